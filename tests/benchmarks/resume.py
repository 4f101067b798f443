"""What a run costs after one that was killed with nearly everything done, on an object store: requests, and seconds.

    python tests/benchmarks/resume.py [--units 20000] [--done 0.99]

Two whole runs of a job, but for the listing of sources, which is made up, and for the workers: those of the first one
tell that units are committed until SIGKILL ends the process, those of the second one commit the rest. What the first
one left (plan, `_task.json`, lease, manifest, `_totals`) is real, its units hold the bytes of one. A store on loopback
answers each request after 50 to 100 ms (`slowstore.py`). A third run finds nothing to do. Ends with 1 where a unit's
file is read before the work, where more of them are read at the end than a killed run may leave uncounted, or where
the third run reads one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pyarrow as pa  # noqa: E402
from rich.console import Console  # noqa: E402

from pipeline import config, counting, run  # noqa: E402
from pipeline.asked import Asked  # noqa: E402
from pipeline.corpus import Unit  # noqa: E402
from pipeline.job import Work  # noqa: E402
from pipeline.plan import load_unit, units  # noqa: E402
from pipeline.receipts import Receipt  # noqa: E402
from pipeline.table.commit import commit, encode  # noqa: E402
from pipeline.table.schema import planned_columns, schema  # noqa: E402
from tests.benchmarks import slowstore  # noqa: E402
from tests.benchmarks.header import header  # noqa: E402
from tests.benchmarks.opening import listing  # noqa: E402

TASK = "transcribe"
SCHEMA = schema((pa.field("text", pa.string()),))
OUTPUT = f"s3://{slowstore.BUCKET}/out"
RECORDINGS = 5
"""In each unit."""
START, COUNT, NOTHING = "before the work", "counting the table", "nothing to do"

reads: Counter[str] = Counter()
"""What was done -> how many committed units were read for it."""


class Watch:
    """Tells what each step took of a store that counts."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        slowstore.counts(endpoint)
        self.begin = time.monotonic()

    def tell(self, what: str) -> None:
        """Print what there was since the last step."""
        counts = slowstore.counts(self.endpoint)
        seconds, self.begin = time.monotonic() - self.begin, time.monotonic()
        reads[what] = counts.get("get units", 0)
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        print(
            f"{what}: {seconds:.1f} s, unit_reads={reads[what]:,}, {sum(counts.values()):,} requests: {told}",
            flush=True,
        )


def rows_of(unit: Unit) -> pa.Table:
    """Rows without much in them."""
    columns = planned_columns(unit.name, unit.recordings)
    empty = {each.name: pa.nulls(len(unit.recordings), each.type) for each in SCHEMA}
    return pa.table({name: columns.get(name, empty[name]) for name in SCHEMA.names}, schema=SCHEMA)


def job(output: str, work: Any) -> Any:
    """Run the job of so many units, with made-up sources and workers."""

    @contextlib.contextmanager
    def workers(asked: Asked, lacking: Sequence[Work]) -> Iterator[Any]:
        yield work(lacking), {}, "made up", {}

    asked = config.make({"model": str(ROOT / "pipeline/demo/digits-ctc"), "device": "cpu", "unit_seconds": 60.0})
    with (
        mock.patch("pipeline.working._workers", workers),
        mock.patch("pipeline.run.probe"),
        mock.patch("pipeline.plan.store.entries", return_value=listing(options.units, RECORDINGS)),
    ):
        return run.run(["s3://archive"], output, asked, console=Console(file=io.StringIO()))


def killed(output: str) -> None:
    """The first run: it hears of units that are committed, and is gone."""

    def work(lacking: Sequence[Work]) -> Iterator[Receipt]:
        size = len(one(output))
        for each in lacking[: int(len(lacking) * options.done)]:
            yield Receipt(each.name, "committed", task=TASK, size=size, rows=RECORDINGS)
        os.kill(os.getpid(), signal.SIGKILL)

    job(output, work)


def one(output: str) -> bytes:
    """The file that stands for those of all units."""
    return encode(rows_of(load_unit(output, units(output)[0])), {})


def resume(watch: Watch) -> None:
    """The second run, and the third."""

    def work(lacking: Sequence[Work]) -> Iterator[Receipt]:
        watch.tell(START)
        for each in lacking:
            unit = load_unit(OUTPUT, each.unit)
            size = commit(OUTPUT, TASK, unit.name, rows_of(unit), {}, ids=[each.id for each in unit.recordings])
            yield Receipt(unit.name, "committed", task=TASK, size=size, rows=RECORDINGS)
        watch.tell(f"(the work: {len(lacking):,} units)")

    for what in (COUNT, NOTHING):
        summary = job(OUTPUT, work)
        watch.tell(what)
        if summary.exit_code or summary.table_rows != options.units * RECORDINGS:
            raise SystemExit(f"{summary.table_rows} rows were counted ({summary.stopped}), code {summary.exit_code}")


def main() -> int:
    print(header(), flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "out").mkdir()
        local = str(folder / "out")
        given = ["--units", str(options.units), "--done", str(options.done), "--killed", local]
        ended = subprocess.run([sys.executable, __file__, *given], check=False)
        if ended.returncode != -signal.SIGKILL:
            raise SystemExit(f"the first run ended with {ended.returncode}")
        planned, data = units(local), one(local)
        done = planned[: int(len(planned) * options.done)]
        left = ", ".join(sorted({file.relative_to(local).parts[0] for file in folder.glob("out/**/*.*")}))
        print(f"units={len(planned):,} committed={len(done):,} of {len(data):,} bytes; beside them {left}", flush=True)
        with slowstore.running(folder, [f"out/{TASK}/{unit.name}.parquet" for unit in done], data=data) as endpoint:
            resume(Watch(endpoint))
    return int(broken())


def broken() -> bool:
    """Whether more was read than may be."""
    return bool(reads[START] or reads[NOTHING]) or reads[COUNT] > counting.UNITS


options = argparse.Namespace(units=20_000, done=0.99)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=options.units)
    parser.add_argument("--done", type=float, default=options.done)
    parser.add_argument("--killed", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.exit(killed(options.killed) if options.killed else main())
