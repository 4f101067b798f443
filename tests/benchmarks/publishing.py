"""How fast, and in how much memory, many units are published.

    python tests/benchmarks/publishing.py [UNITS ...]          default: 2000 20000

Each number of units, of 50 rows with word times, is committed to a local disk and published in a process of its own,
then a tenth as many more; memory must not grow with the table.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from pipeline.corpus import Unit  # noqa: E402
from pipeline.plan import load_unit, units  # noqa: E402
from pipeline.plan.generations import Scope  # noqa: E402
from pipeline.plan.store import Bounds, extend_from  # noqa: E402
from pipeline.table import TaskRecord, declare, read_table  # noqa: E402
from pipeline.table.commit import encode  # noqa: E402
from pipeline.table.layout import unit_file  # noqa: E402
from pipeline.table.publish import publish, read_published  # noqa: E402
from pipeline.table.schema import planned_columns, schema  # noqa: E402
from tests.benchmarks.header import header  # noqa: E402
from tests.benchmarks.opening import listing  # noqa: E402

TASK = "transcribe"
RECORDINGS = 50
WORD = pa.struct([pa.field("word", pa.string()), pa.field("start", pa.float64()), pa.field("end", pa.float64())])
SCHEMA = schema((pa.field("text", pa.string()), pa.field("words", pa.list_(WORD))))


def rows_of(unit: Unit, dice: np.random.Generator) -> pa.Table:
    """Rows with thirty words each."""
    count = len(unit.recordings)
    columns = planned_columns(unit.name, unit.recordings)
    columns |= {each.name: pa.nulls(count, each.type) for each in SCHEMA if each.name not in columns}
    words = pa.array([f"w{number}" for number in dice.integers(0, 5000, 30 * count)])
    starts = np.cumsum(dice.random(30 * count))
    parts = pa.StructArray.from_arrays([words, pa.array(starts), pa.array(starts + 0.3)], fields=list(WORD))
    columns["words"] = pa.ListArray.from_arrays(pa.array(range(0, 30 * count + 1, 30), pa.int32()), parts)
    columns["text"] = pa.array([" ".join(words[30 * row : 30 * row + 30].to_pylist()) for row in range(count)])
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def grow(output: str, count: int) -> None:
    """Plan so many units in all, and commit those that are new."""
    extend_from(lambda _: listing(count, RECORDINGS), output, scope=Scope(None, ("s3://archive",)), bounds=Bounds(60.0))
    dice = np.random.default_rng(0)
    for ref in units(output):
        file = Path(unit_file(output, TASK, ref.name))
        if not file.exists():
            # As a commit, but for waiting until the disk has it.
            file.write_bytes(encode(rows_of(load_unit(output, ref), dice), {}))


def measure(count: int, output: str) -> dict[str, float]:
    """Publish, then again with a tenth more; both are made in other processes."""
    found: dict[str, float] = {}
    for step, size in (("first", count), ("more", count + count // 10)):
        subprocess.run([sys.executable, __file__, "--grow", str(size), output], check=True)
        begin = time.monotonic()
        done = publish(output, TASK)
        found |= {step: time.monotonic() - begin, f"{step}_units": done.new_units, f"{step}_files": done.new_files}
        found["bytes"] = sum(each.size for each in done.manifest.files)
    if read_published(output).count_rows() != read_table(output).count_rows():
        raise SystemExit("what is published is not what is in the table")
    return found | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main(counts: list[int]) -> None:
    print(header(), flush=True)
    for count in counts:
        with tempfile.TemporaryDirectory() as output:
            record = TaskRecord(task=TASK, output_version=1, model_name="m", model_hash="0" * 64, schema=SCHEMA)
            declare(output, TASK, record)
            child = [sys.executable, __file__, "--measure", str(count), output]
            found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
        print(
            f"units={count:,} rows={count * RECORDINGS:,} published in {found['first']:.1f} s, "
            f"{1000 * found['first'] / count:.1f} ms a unit, {found['bytes'] / 1e6:,.0f} MB; {found['more_units']:,} "
            f"units more in {found['more']:.1f} s; peak_MiB={found['peak']:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--grow"]:
        grow(sys.argv[3], int(sys.argv[2]))
    elif sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]), sys.argv[3])))
    else:
        main([int(word) for word in sys.argv[1:]] or [2000, 20_000])
