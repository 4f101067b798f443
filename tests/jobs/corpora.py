"""Small corpora made of the demo's recordings, and runs over them, in this process or in one of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
import soxr
from rich.console import Console

from pipeline import config, demo
from pipeline.run import run
from pipeline.summary import RunSummary

ROOT = Path(__file__).resolve().parents[2]
MODEL = str(demo.checkpoint_folder())
RATE = 16_000


@dataclass(frozen=True)
class Clip:
    """One spoken string of digits."""

    key: str
    text: str
    samples: np.ndarray
    """(N,) float32."""
    rate: int
    """Hz."""

    def resampled(self, rate: int) -> np.ndarray:
        """The samples at another rate."""
        return soxr.resample(self.samples, self.rate, rate)


@cache
def clips() -> tuple[Clip, ...]:
    """Recordings of the demo that last less than 5 s and that its checkpoint hears without a mistake, in order."""
    made = []
    with tarfile.open(demo.corpus_folder() / "digits-000001.tar") as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}
    for name in sorted(name for name in content if name.startswith(("cleo", "dev")) and name.endswith(("ogg", "mp3"))):
        samples, rate = soundfile.read(io.BytesIO(content[name]), dtype="float32")
        if len(samples) < 5 * rate:
            made.append(Clip(name[:-4], content[name[:-4] + ".txt"].decode().strip(), samples, rate))
    return tuple(made)


def encoded(samples: np.ndarray, format: str = "FLAC", subtype: str | None = None, rate: int = RATE) -> bytes:
    """Samples as an audio file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar of these members, in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def many_units(folder: Path, *, count: int, per_shard: int = 20) -> Path:
    """Shards of `count` recordings of about 3 s, each different; `--unit-seconds 5` makes a unit of one or two."""
    spoken = [clip.resampled(RATE)[: 3 * RATE] for clip in clips()]
    for shard in range(0, count, per_shard):
        members = {
            f"k{number:04d}.flac": encoded(np.roll(spoken[number % len(spoken)], number))
            for number in range(shard, min(shard + per_shard, count))
        }
        write_tar(folder / f"shard-{shard // per_shard:03d}.tar", members)
    return folder


def transcribed(sources: Sequence[Path | str], output: Path | str, **options: Any) -> RunSummary:
    """A run in this process, its words thrown away."""
    options = {"model": MODEL, "device": "cpu", "corpus": "c", **options}
    console = Console(file=io.StringIO(), width=200)
    return run([str(source) for source in sources], str(output), config.make(options), console=console)


def newest_run(output: Path) -> dict[str, Any]:
    """Manifest of the last run."""
    return dict(json.loads(max((output / "_runs").glob("*.json")).read_text()))


def environment(home: Path, **more: str) -> dict[str, str]:
    """Variables for a driver that shares nothing with this process's Ray, its home elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "VOXMILL_"))}
    kept |= {
        "HOME": str(home),
        "VOXMILL_OBJECT_STORE_BYTES": str(200 << 20),
        "COLUMNS": "400",
        "RAY_worker_niceness": "0",
    }
    return kept | more


JOB = (str(ROOT / "jobs/transcribe_corpus.py"),)


def driver(
    arguments: Sequence[str],
    *,
    home: Path,
    program: Sequence[str] = JOB,
    stdout: Any = subprocess.PIPE,
    model: str | None = MODEL,
    path: Sequence[Path] = (),
) -> subprocess.Popen[str]:
    """A job on a local Ray of its own, leading a session of its own; by default a transcription.

    Its processes look for modules in `path` before they look elsewhere.
    """
    named = ["--model", model] if model else []
    command = [sys.executable, *program, *arguments, *named, "--log-every", "1s"]
    modules = os.pathsep.join(map(str, (*path, ROOT)))
    return subprocess.Popen(
        command, env=environment(home, PYTHONPATH=modules), stdout=stdout, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, cwd=home,
    )  # fmt: skip


def processes_of(leader: subprocess.Popen[str]) -> list[psutil.Process]:
    """What is left of a session that a test started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader.pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_group(leader: subprocess.Popen[str]) -> None:
    """SIGKILL for a driver that a test started and for everything that it started."""
    while left := processes_of(leader):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    leader.wait()
