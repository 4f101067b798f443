"""How fast, and in how much memory, a corpus of many small recordings is planned.

    python tests/benchmarks/planning.py [COUNT ...]          default: 1000000 4000000

Each count is planned in a process of its own, from a made-up listing (tar shards of 500 recordings, with reference
text and metadata) into a folder on the local disk; then the same listing is planned again, which finds nothing new.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipeline.corpus import Recording  # noqa: E402
from pipeline.plan import units  # noqa: E402
from pipeline.plan.generations import Scope  # noqa: E402
from pipeline.plan.store import extend_from  # noqa: E402

SHARD = 500
SOURCE = "s3://archive/2026"


def listing(count: int) -> Iterator[tuple[Recording]]:
    """Made-up entries, as a listing of tar shards gives them."""
    for number in range(count):
        shard = f"{SOURCE}/shard-{number // SHARD:06d}.tar"
        member = f"calls/{number % 977:03d}/{number:09d}.flac"
        yield (
            Recording(
                id=f"{shard}::{member}",
                source=shard,
                key=member.removesuffix(".flac"),
                version=f'35000000-"{number // SHARD:032x}"',
                recording=f"{shard}::{member}",
                format="flac",
                seconds=2.0 + number % 11,
                seconds_from="header",
                size=60_000 + number % 1009,
                offset=number % SHARD * 70_000,
                member=member,
                sample_rate=16_000,
                reference="one two three four",
                metadata=f'{{"speaker": "s{number % 800}"}}',
            ),
        )


def measure(count: int) -> dict[str, float]:
    """Plan `count` recordings in this process, twice."""
    scope = Scope(None, (SOURCE,))
    begin = time.monotonic()
    for _ in listing(count):
        pass
    made_up = time.monotonic() - begin
    with tempfile.TemporaryDirectory() as output:
        begin = time.monotonic()
        report = extend_from(lambda: listing(count), output, scope=scope)
        first = time.monotonic() - begin
        peak_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        begin = time.monotonic()
        again = extend_from(lambda: listing(count), output, scope=scope)
        second = time.monotonic() - begin
        begin = time.monotonic()
        listed = len(units(output))
        listed_in = time.monotonic() - begin
        size = sum(file.stat().st_size for file in Path(output, "_plan").iterdir())
    if report.new != count or again.new != 0 or again.unchanged != count or listed != report.units:
        raise SystemExit("the plan does not hold what was listed")
    return {
        "count": count, "making_up": made_up, "first": first, "again": second, "units": listed,
        "units_in": listed_in, "bytes": size, "peak_first": peak_first,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip


def main(counts: list[int]) -> None:
    """Measure each count in a process of its own, and print a line for each."""
    for count in counts:
        run = subprocess.run(
            [sys.executable, __file__, "--one", str(count)], check=True, capture_output=True, text=True
        )
        found = json.loads(run.stdout)
        print(
            f"{count:>9,} recordings: planned in {found['first']:.1f} s, {count / found['first']:,.0f} entries/s "
            f"({found['making_up']:.1f} s to make them up); peak memory {found['peak_first'] / 2**20:,.0f} MiB; "
            f"again, nothing new: {found['again']:.1f} s, peak {found['peak'] / 2**20:,.0f} MiB; "
            f"{found['units']:,.0f} units listed in {found['units_in']:.2f} s; "
            f"{found['bytes'] / count:.0f} bytes a recording",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        main([int(each) for each in sys.argv[1:]] or [1_000_000, 4_000_000])
