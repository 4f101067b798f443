"""How long it takes to open a table of many units on an object store, before and after it is published.

    python tests/benchmarks/opening.py [--units 300000] [--recordings 10]

The plan is real, made of a made-up listing, and so are `_task.json` and the manifest of what is published; the units'
files are names in a listing. A store on loopback answers each request after 50 to 100 ms (`slowstore.py`), listings in
pages of 1,000 keys. Opening is `read_table` and `read_published`, up to where the first row could be read. Ends with 1
where one of them takes longer than it must.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pyarrow as pa  # noqa: E402

import pipeline  # noqa: E402
from pipeline.corpus import Recording  # noqa: E402
from pipeline.plan import units  # noqa: E402
from pipeline.plan.generations import Scope  # noqa: E402
from pipeline.plan.store import Bounds, extend_from  # noqa: E402
from pipeline.table import TaskRecord, declare, read_table  # noqa: E402
from pipeline.table.publish import manifest  # noqa: E402
from pipeline.table.publish.manifest import Held, Manifest, PublishedFile  # noqa: E402
from pipeline.table.schema import schema  # noqa: E402
from tests.benchmarks import slowstore  # noqa: E402
from tests.benchmarks.header import header  # noqa: E402

TASK = "transcribe"
SCHEMA = schema((pa.field("text", pa.string()),))
OUTPUT = f"s3://{slowstore.BUCKET}/out"
MOST = {"read_table": 60.0, "read_published": 5.0}
"""Seconds that each may take."""


def listing(units: int, recordings: int) -> Iterator[tuple[Recording, ...]]:
    """Made-up recordings of which so many fill a unit."""
    for number in range(units * recordings):
        id = f"archive/{number // 10_000:04d}/{number:09d}.flac"
        yield (
            Recording(
                id, f"s3://{id}", id[:-5], f"60000-{number:032x}", id, "flac", 60.0 / recordings, "header", 60_000
            ),
        )


def prepare(folder: Path, count: int, recordings: int) -> list[str]:
    """Plan units and publish them, as far as their names go; gives the keys of their files."""
    output = str(folder / "out")
    (folder / "out").mkdir()
    extend_from(lambda _: listing(count, recordings), output, scope=Scope(None, ("s3://archive",)), bounds=Bounds(60.0))
    declare(
        output, TASK,
        TaskRecord(task=TASK, output_version=1, model_name="m", model_hash="0" * 64, schema=SCHEMA),
    )  # fmt: skip
    names = [unit.name for unit in units(output)]
    files = tuple(PublishedFile(f"{n:032x}.parquet", 512_000_000, 100_000, 0) for n in range(max(1, count // 10_000)))
    (folder / "out/_published").mkdir()
    (folder / "out/_published" / TASK).mkdir()
    held = {name: Held(20_000, 0, (number % len(files),)) for number, name in enumerate(names)}
    assert manifest.put(output, TASK, Manifest(1, "p", files=files, units=held, schema=SCHEMA))
    return [f"out/{TASK}/{name}.parquet" for name in names]


def timed(what: str, endpoint: str, open_table: Callable[[], Any], files: int) -> bool:
    """Open a table, print what it took, and say whether that was soon enough."""
    slowstore.counts(endpoint)
    wall, busy = time.monotonic(), time.process_time()
    table = open_table()
    wall, busy = time.monotonic() - wall, time.process_time() - busy
    if len(table.files) != files or not table.schema.equals(SCHEMA):
        raise SystemExit(f"{what} did not find what was made")
    counts = slowstore.counts(endpoint)
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{what}_s={wall:.1f} cpu_s={busy:.1f} files={files:,} requests={sum(counts.values()):,}: {told}", flush=True)
    return wall <= MOST[what]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=300_000)
    parser.add_argument("--recordings", type=int, default=10, help="in each unit")
    options = parser.parse_args(argv)
    print(header(), flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        keys = prepare(folder, options.units, options.recordings)
        size = sum(file.stat().st_size for file in (folder / "out/_plan").iterdir())
        print(
            f"units={len(keys):,} recordings={options.units * options.recordings:,} plan={size / 1e6:,.0f} MB in "
            f"{len(list((folder / 'out/_plan').iterdir()))} files; answers after {slowstore.DELAY[0] * 1000:.0f} to "
            f"{slowstore.DELAY[1] * 1000:.0f} ms",
            flush=True,
        )
        with slowstore.running(folder, keys) as endpoint:
            published = max(1, options.units // 10_000)
            soon = [
                timed("read_table", endpoint, lambda: read_table(OUTPUT), len(keys)),
                timed("read_published", endpoint, lambda: pipeline.read_published(OUTPUT), published),
            ]
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB, planning included")
    return 0 if all(soon) else 1


if __name__ == "__main__":
    sys.exit(main())
