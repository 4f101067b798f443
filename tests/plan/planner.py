"""A planner in a process of its own: for each line `OUTPUT FOLDER` it plans what the folder holds.

Run by `test_races.py`; answers with one line of JSON: generations written, listings begun, rows planned.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

from pipeline.corpus import Recording
from pipeline.plan.generations import Scope
from pipeline.plan.store import Bounds, extend_from
from pipeline.sources import RowsPlanned


def listing(folder: str) -> Iterator[tuple[Recording]]:
    for name in sorted(os.listdir(folder)):
        id = f"c/{name}"
        yield (Recording(id, f"file://{folder}/{name}", name, "1-1", id, "wav", 30.0, "estimate", 1000),)
        # As slow as a real listing, so that the other planner and the arriving files fall into it.
        time.sleep(0.0002)


def main() -> None:
    for line in sys.stdin:
        output, folder = line.split()
        answer = {"generations": [], "listings": 0, "new": 0}
        for _ in range(3):

            def entries(known: RowsPlanned, folder: str = folder, answer: dict = answer) -> Iterator[tuple[Recording]]:
                answer["listings"] += 1
                return listing(folder)

            report = extend_from(entries, output, scope=Scope("c", (folder,)), bounds=Bounds(unit_seconds=100.0))
            answer["generations"] += report.generations
            answer["new"] += report.new
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
