"""A committer in a process of its own, run by `test_commit.py`.

For each line `OUTPUT UNIT ROWS MARK` it commits a unit whose rows all carry MARK, and answers `won` or `taken`.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa

from pipeline.table.commit import commit

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("text", pa.string()),
        pa.field("noise", pa.binary()),
        pa.field("error", pa.struct([pa.field("type", pa.string())])),
    ],
    metadata={"voxmill.schema": "1"},
)


def table(unit: str, rows: int, mark: str) -> pa.Table:
    noise = np.random.default_rng(0)
    return pa.table(
        {
            "id": [f"c/{row}" for row in range(rows)],
            "unit": [unit] * rows,
            "text": [mark] * rows,
            "noise": [noise.bytes(1000) for _ in range(rows)],
            "error": pa.nulls(rows, SCHEMA.field("error").type),
        },
        schema=SCHEMA,
    )


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        output, unit, rows, mark = line.split()
        made = table(unit, int(rows), mark)
        ids = [f"c/{row}" for row in range(int(rows))]
        size = commit(output, "transcribe", unit, made, {"attempt": mark}, ids=ids)
        print("won" if size else "taken", flush=True)


if __name__ == "__main__":
    main()
