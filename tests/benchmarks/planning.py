"""How fast, and in how much memory, a corpus of many small recordings is planned.

    python tests/benchmarks/planning.py [COUNT ...]          default: 1000000 4000000
    python tests/benchmarks/planning.py --files [COUNT]      default: 100000

Each count is planned in a process of its own, from a made-up listing (tar shards of 500 recordings, with reference
text and metadata) into a folder on the local disk; then the same listing is planned again, which finds nothing new.
`--files` plans real files: so many of a tenth of a second, and as many recordings again in tars of 500, plain and
compressed. It plans them a second time as `extend` does, opening nothing, and for comparison opening everything.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipeline.corpus import Recording  # noqa: E402
from pipeline.plan import PlanReport, extend, units  # noqa: E402
from pipeline.plan.generations import Scope  # noqa: E402
from pipeline.plan.store import extend_from  # noqa: E402
from pipeline.sources import entries  # noqa: E402

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
        report = extend_from(lambda _: listing(count), output, scope=scope)
        first = time.monotonic() - begin
        peak_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        begin = time.monotonic()
        again = extend_from(lambda _: listing(count), output, scope=scope)
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


def write_files(folder: Path, count: int) -> None:
    """Write `count` audio files in folders of 1,000, and tars of 500 with as many recordings, every second one gzip."""
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(16_000)
        audio.writeframes(bytes(3200))
    content = file.getvalue()
    for number in range(count):
        inside = folder / f"{number // 1000:04d}"
        if number % 1000 == 0:
            inside.mkdir(parents=True)
        (inside / f"{number:07d}.wav").write_bytes(content)
    for number in range(count // SHARD):
        end, mode = (".tar.gz", "w:gz") if number % 2 else (".tar", "w")
        with tarfile.open(folder / f"shard-{number:05d}{end}", mode) as tar:  # type: ignore[call-overload]
            for member in range(SHARD):
                info = tarfile.TarInfo(f"{member:05d}.wav")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def measure_files(count: int) -> None:
    """Plan real files, then again without and with opening them."""
    with tempfile.TemporaryDirectory() as place:
        folder, output = Path(place, "corpus"), str(Path(place, "out"))
        write_files(folder, count)
        Path(output).mkdir()
        source = str(folder)
        scope = Scope(None, (f"file://{source}",))
        first = _timed(lambda: extend([source], output))
        again = _timed(lambda: extend([source], output))
        opening = _timed(lambda: extend_from(lambda _: entries([source]), output, scope=scope))
    rows = first.report.new
    if (again.report.unopened, again.report.unchanged, opening.report.unchanged) != (rows, rows, rows):
        raise SystemExit("the second planning did not find what the first had planned")
    print(
        f"{count:>9,} files and {count // SHARD:,} tars, {rows:,} recordings: planned in {first.text}; "
        f"again, nothing new: {again.text}; if everything was opened: {opening.text}"
    )


class Timed(NamedTuple):
    """A planning and what it took."""

    report: PlanReport
    text: str


def _timed(act: Callable[[], PlanReport]) -> Timed:
    wall, busy = time.monotonic(), time.process_time()
    report = act()
    return Timed(report, f"{time.monotonic() - wall:.1f} s ({time.process_time() - busy:.1f} s of CPU)")


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
    elif sys.argv[1:2] == ["--files"]:
        measure_files(int((sys.argv[2:] or ["100000"])[0]))
    else:
        main([int(each) for each in sys.argv[1:]] or [1_000_000, 4_000_000])
