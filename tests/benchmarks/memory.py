"""Peak memory of the driver and of every stage: many short recordings, and one very long one.

    python tests/benchmarks/memory.py [--case short-1h short-10h long-4h long-24h]

Strings of human digits (VOXMILL_SPEECH), 8 kHz FLAC: half an hour of them in tar shards, under as many names as it
takes, and recordings that repeat ten minutes of them. Each case runs in a process of its own with its own local Ray.
`peak` is the largest resident size that a process reported of itself, shared libraries included, the object store's
pages apart; `own` is sampled from outside, twice a second, and leaves the libraries out too: it is what must not grow
with the corpus, and what the README quotes; `store` is the most of the object store that one process had looked at;
`all` the largest sum of store and everybody's own, Ray's servers included.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.header import header  # noqa: E402

CASES = ("short-1h", "short-10h", "long-4h", "long-24h")
STAGES = ("driver", "read", "features", "model", "commit")
TITLES = {"read": "Units", "features": "Features", "model": "Inference", "commit": "Commit"}
"""Stage -> what stands in the title of its Ray processes."""
CHILD = "pipeline.isolation.child"
"""In the command of the process that decodes."""
FLAT = 200e6
"""Bytes of own memory that the larger case of a pair may take more."""


@dataclasses.dataclass
class Peaks:
    """Largest own memory of each stage's processes, and of all together, while somebody looked."""

    own: dict[str, int] = dataclasses.field(default_factory=dict)
    store: int = 0
    together: int = 0

    def look(self, root: psutil.Process) -> None:
        own = store = 0
        stages: dict[int, str | None] = {}
        sizes: dict[int, int] = {}
        for process in [root, *root.children(recursive=True)]:
            try:
                anonymous, shared = pages(process.pid)
                title = " ".join(process.cmdline())
                # The process that decodes is part of the actor that it works for.
                worker = process.ppid() if CHILD in title else process.pid
            except (psutil.Error, OSError):
                continue
            if worker == process.pid:
                stages[worker] = "driver" if process.pid == root.pid else stage_of(title)
            own += anonymous
            store = max(store, shared)
            sizes[worker] = sizes.get(worker, 0) + anonymous
        for worker, stage in stages.items():
            if stage:
                self.own[stage] = max(sizes[worker], self.own.get(stage, 0))
        self.store = max(self.store, store)
        self.together = max(self.together, own + store)


def pages(pid: int) -> tuple[int, int]:
    """Bytes of a process that are nobody else's, and bytes of shared memory that it has touched."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(RssAnon|RssShmem):\s+(\d+) kB", status, re.MULTILINE))
    return int(found.get("RssAnon", 0)) * 1024, int(found.get("RssShmem", 0)) * 1024


def stage_of(title: str) -> str | None:
    if not title.startswith("ray::"):
        return None
    return next((stage for stage, name in TITLES.items() if name in title), None)


@contextmanager
def watched(pid: int) -> Iterator[Peaks]:
    """Look at a process and its descendants until the block is left."""
    peaks, stop, root = Peaks(), threading.Event(), psutil.Process(pid)

    def look() -> None:
        while not stop.wait(0.5):
            if root.is_running():
                peaks.look(root)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        stop.set()
        thread.join()


def prepare(case: str, folder: Path) -> None:
    """The audio of one case, made in a process of its own: its memory would be inherited by what is measured."""
    import numpy as np
    import soundfile

    from tests import speech
    from tests.digits import RATE, utterances, write_shards

    kind, hours = case.split("-")
    if kind == "short":
        shards = write_shards(folder / "once", utterances(speech.FOLDER, count=int(1800 / 3.2)), per_shard=100)
        for number in range(2 * int(hours.removesuffix("h"))):
            (folder / "source" / f"{number:03d}").mkdir(parents=True)
            for shard in shards:
                os.link(shard, folder / "source" / f"{number:03d}" / shard.name)
    else:
        ten_minutes = np.concatenate([each.samples for each in utterances(speech.FOLDER, count=200)])[: 600 * RATE]
        (folder / "source").mkdir()
        with soundfile.SoundFile(folder / "source" / "long.flac", "w", RATE, 1, "PCM_16") as file:
            for _ in range(6 * int(hours.removesuffix("h"))):
                file.write(ten_minutes)


def transcribe(folder: Path) -> None:
    """Run the job in this process and print what its summary says."""
    from pipeline import config
    from pipeline.demo import checkpoint_folder
    from pipeline.noise import kept_off
    from pipeline.run import run

    with kept_off(show=False) as (console, _):
        options = config.make({"model": str(checkpoint_folder()), "num_cpus": 2, "log_every": 3600})
        summary = run([str(folder / "source")], str(folder / "out"), options, console=console)
        said = {
            "peak": summary.peak_bytes, "rows": summary.rows, "audio": summary.audio_seconds,
            "units": summary.units, "seconds": summary.work_seconds, "exit": summary.exit_code,
            "stages": summary.stage_seconds,
        }  # fmt: skip
        console.print(json.dumps(said), soft_wrap=True, markup=False, highlight=False)


def measure(case: str, scratch: str | None) -> dict:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        subprocess.run([sys.executable, __file__, "--prepare", case, "--folder", folder], check=True)
        command = [sys.executable, __file__, "--transcribe", "--folder", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child, watched(child.pid) as peaks:
            assert child.stdout is not None
            lines = child.stdout.read().splitlines()
        if child.returncode or not lines:
            raise SystemExit(f"{case}: the job ended with {child.returncode}\n" + "\n".join(lines))
        said = json.loads(lines[-1])
        size = sum(file.stat().st_size for file in (Path(folder) / "source").rglob("*.*"))
    return said | {"own": peaks.own, "store": peaks.store, "together": peaks.together, "encoded": size}


def report(case: str, found: dict) -> None:
    cells = "  ".join(
        f"{found['peak'].get(stage, 0) / 1e6:5.0f} / {found['own'].get(stage, 0) / 1e6:5.0f}" for stage in STAGES
    )
    sizes = f"{found['store'] / 1e6:5.0f}  {found['together'] / 1e6:6.0f}"
    counts = f"{found['units']:5d}  {found['rows']:6d}  {found['encoded'] / 1e6:7.0f}"
    speed = f"{found['seconds']:6.0f}  {found['audio'] / found['seconds']:5.0f}x"
    print(f"{case:15}  {cells}  {sizes}  {counts}  {speed}", flush=True)
    if found["exit"]:
        print(f"{case}: exit code {found['exit']}", flush=True)


def compare(name: str, small: dict, large: dict) -> None:
    """How much more the larger case takes, stage by stage; `own` decides, `peak` is shown beside it."""
    more = {column: {stage: growth(small, large, column, stage) for stage in STAGES} for column in ("own", "peak")}
    verdict = "flat" if max(more["own"].values()) <= FLAT else "NOT FLAT"
    print(f"{name}: {verdict} within {FLAT / 1e6:.0f} MB of own memory")
    for column, grown in more.items():
        print(f"{name}, {column}: " + "  ".join(f"{stage} {size / 1e6:+.0f} MB" for stage, size in grown.items()))


def growth(small: dict, large: dict, column: str, stage: str) -> int:
    """Bytes that a stage of the larger case takes more, by one of the columns `own` and `peak`."""
    return large[column].get(stage, 0) - small[column].get(stage, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--scratch", help="folder for the audio: 30 MB an hour")
    for hidden in ("--prepare", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--transcribe", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        prepare(options.prepare, Path(options.folder))
    elif options.transcribe:
        transcribe(Path(options.folder))
    else:
        table(options.case, options.scratch)


def table(cases: list[str], scratch: str | None) -> None:
    print(f"{header()}\n")
    names = "  ".join(f"{stage:>13}" for stage in STAGES)
    print(f"MB (peak / own)  {names}  store     all  units    rows  encoded  work s  speed")
    found = {}
    for case in cases:
        found[case] = measure(case, scratch)
        report(case, found[case])
    for name, small, large in (("short", "short-1h", "short-10h"), ("long", "long-4h", "long-24h")):
        if small in found and large in found:
            compare(name, found[small], found[large])


if __name__ == "__main__":
    main()
