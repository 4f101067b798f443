"""What a run costs that finds nearly everything done, on an object store: requests by kind, and seconds.

    python tests/benchmarks/resume.py [--units 20000] [--done 0.99]

All that a run does beside its work, without sources, models and Ray: compare what it would plan with the plan, list
what is committed, and count the table afterwards; between, the units that were left are committed. The plan, the record
and the new units are real, the units that are there hold the bytes of one. A store on loopback answers each request
after 50 to 100 ms (`slowstore.py`). Last, for comparison, the same with what earlier runs have counted deleted. Ends
with 1 where a unit's file is read before that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pyarrow as pa  # noqa: E402

from pipeline.corpus import Unit  # noqa: E402
from pipeline.outcome import outcome, standing  # noqa: E402
from pipeline.plan import load_unit, read_planned, units  # noqa: E402
from pipeline.plan.generations import Scope  # noqa: E402
from pipeline.plan.store import Bounds, extend_from  # noqa: E402
from pipeline.receipts import Receipt  # noqa: E402
from pipeline.storage.put import delete  # noqa: E402
from pipeline.table import Count, TaskRecord, declare, layout, write_known  # noqa: E402
from pipeline.table.commit import commit, encode  # noqa: E402
from pipeline.table.schema import planned_columns, schema  # noqa: E402
from pipeline.tally import Tally  # noqa: E402
from tests.benchmarks import slowstore  # noqa: E402
from tests.benchmarks.header import header  # noqa: E402
from tests.benchmarks.opening import listing  # noqa: E402

TASK = "transcribe"
SCHEMA = schema((pa.field("text", pa.string()),))
OUTPUT = f"s3://{slowstore.BUCKET}/out"
RECORDINGS = 5
"""In each unit."""
ANEW = "without _totals, counting"
"""The one thing that reads committed units."""

T = TypeVar("T")


def rows_of(unit: Unit) -> pa.Table:
    """Rows without much in them."""
    columns = planned_columns(unit.name, unit.recordings)
    empty = {each.name: pa.nulls(len(unit.recordings), each.type) for each in SCHEMA}
    return pa.table({name: columns.get(name, empty[name]) for name in SCHEMA.names}, schema=SCHEMA)


def again() -> None:
    """Plan what is planned already."""
    extend_from(lambda _: listing(options.units, RECORDINGS), OUTPUT, scope=SCOPE, bounds=BOUNDS)


reads: Counter[str] = Counter()
"""What was done -> how many committed units were read for it."""


def measured(what: str, endpoint: str, act: Callable[[], T]) -> T:
    """Act, and print what it took."""
    slowstore.counts(endpoint)
    begin = time.monotonic()
    found = act()
    seconds = time.monotonic() - begin
    counts = slowstore.counts(endpoint)
    reads[what] = counts.get("get units", 0)
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(f"{what}: {seconds:.1f} s, unit_reads={reads[what]:,}, requests: {told or 'none'}", flush=True)
    return found


def work(lacking: list[Unit]) -> Tally:
    """Commit what is left."""
    tally = Tally(recordings=0, audio_seconds=0.0, workers={})
    for unit in lacking:
        rows = rows_of(unit)
        commit(OUTPUT, TASK, unit.name, rows, {}, ids=[each.id for each in unit.recordings])
        tally.record(Receipt(unit.name, "committed", task=TASK, rows=rows.num_rows))
    return tally


def main() -> int:
    print(header(), flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "out").mkdir()
        local = str(folder / "out")
        extend_from(lambda _: listing(options.units, RECORDINGS), local, scope=SCOPE, bounds=BOUNDS)
        record = TaskRecord(task=TASK, output_version=1, model_name="m", model_hash="0" * 64, schema=SCHEMA)
        declare(local, TASK, record)
        planned = units(local)
        done = planned[: int(len(planned) * options.done)]
        data = encode(rows_of(load_unit(local, planned[0])), {})
        write_known(local, TASK, {unit.name: Count(len(data), 0, RECORDINGS, 0) for unit in done})
        print(f"units={len(planned):,} committed={len(done):,} of {len(data):,} bytes", flush=True)
        keys = [f"out/{TASK}/{unit.name}.parquet" for unit in done]
        with slowstore.running(folder, keys, data=data) as endpoint:
            measure(endpoint)
    return 1 if any(count for what, count in reads.items() if what != ANEW) else 0


def measure(endpoint: str) -> None:
    """A run that resumes, one that finds nothing to do, and one that must count anew."""
    names = (TASK,)
    measured("resume, planning", endpoint, again)
    planned = measured("resume, reading the plan", endpoint, lambda: read_planned(OUTPUT))
    before = measured("resume, what is pending", endpoint, lambda: standing(OUTPUT, names, planned.units))
    left = [load_unit(OUTPUT, ref) for ref in before[TASK].pending]
    tally = measured(f"(the work: {len(left):,} units)", endpoint, lambda: work(left))
    after = measured("resume, counting the table", endpoint, lambda: outcome(OUTPUT, "a run", planned, before, tally))
    check(after.totals[TASK].rows)
    before = measured("nothing to do, what is pending", endpoint, lambda: standing(OUTPUT, names, planned.units))
    after = measured("nothing to do, counting", endpoint, lambda: outcome(OUTPUT, "a run", planned, before, None))
    check(after.totals[TASK].rows)
    delete(layout.totals_file(OUTPUT, TASK))
    after = measured(ANEW, endpoint, lambda: outcome(OUTPUT, "a run", planned, before, None))
    check(after.totals[TASK].rows)


def check(rows: int) -> None:
    if rows != options.units * RECORDINGS:
        raise SystemExit(f"{rows} rows were counted, not {options.units * RECORDINGS}")


SCOPE, BOUNDS = Scope(None, ("s3://archive",)), Bounds(60.0)
options = argparse.Namespace(units=20_000, done=0.99)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=options.units)
    parser.add_argument("--done", type=float, default=options.done)
    options = parser.parse_args()
    sys.exit(main())
