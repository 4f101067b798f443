"""Storage that does not answer: the first signal ends a run in seconds, and without one it ends by itself."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline import alone, choices, config, hanging, overlap, run, table, working
from pipeline.asked import Asked
from pipeline.job import Job
from tests.engine.test_pulse import until
from tests.jobs.corpora import MODEL, ROOT, clips, encoded, environment, newest_run

PROGRAM = """
import pathlib, sys, threading, time
from pipeline import cli, config, overlap
from pipeline.leaving import leave
from pipeline.storage import fetch
where, sign, beat, *words = sys.argv[1:]
config.BACK_AGAIN, overlap.BEAT = 0.0, float(beat)
once = fetch._read_file
def hung(path, *given, **more):
    thread = threading.current_thread().name
    if path.endswith(".flac") and thread.startswith({"planning": "in-order", "reading": "read"}.get(where, "-")):
        pathlib.Path(sign).touch()
        time.sleep(300)
    return once(path, *given, **more)
fetch._read_file = hung
if where == "checkpoint":
    from pipeline import checkpoint
    once = checkpoint.checkpoint.fingerprint
    def dead(path):
        once(path)
        pathlib.Path(sign).touch()
        time.sleep(300)
    checkpoint.checkpoint.fingerprint = dead
if where == "starting":
    import subprocess
    from pipeline.engine import cluster, local
    def asleep(own, num_cpus):
        # As what Ray starts, it has the folder among its words, and children of other names.
        once = subprocess.Popen(["sh", "-c", "sleep 1234 & wait", str(own.folder)])
        pathlib.Path(sign).write_text(str(once.pid))
        time.sleep(300)
    local.start, cluster.START = asleep, 3.0
leave(cli.run_job("transcribe", words, prog="transcribe"))
"""
"""A transcription that hangs at the first file that a thread reads, to plan it or for the model, or in Ray."""


@contextlib.contextmanager
def held_up(folder: Path, where: str, *options: str, beat: str = "15") -> Iterator[subprocess.Popen[str]]:
    """Such a run, that hangs by now."""
    (folder / "in").mkdir()
    (folder / "in/a.flac").write_bytes(encoded(clips()[0].samples))
    sign, words = folder / "hangs", [str(folder / "in"), str(folder / "out"), "--model", MODEL, "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, where, str(sign), beat, *words, *options], env=environment(folder), cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            assert until(lambda: sign.exists() or process.poll() is not None, seconds=90)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("where", ["planning", "reading"])
def test_the_first_signal_ends_a_run_whose_storage_is_silent(tmp_path: Path, where: str) -> None:
    with held_up(tmp_path, where) as process:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    # Less than the 10 s that `docker stop` gives.
    assert (process.returncode, time.monotonic() - began < 8) == (4, True), said
    assert re.search(r"stopped\s+by SIGTERM", said), said
    assert list((tmp_path / "out/_leases").iterdir()) == []


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("planning", "held by storage, which answered nothing for 8.0 s while planning; --stall-timeout gives it"),
        ("reading", "a.flac: held by storage that is read, without an answer for more than 8.0 s; --stall-timeout"),
    ],
)
def test_a_run_whose_storage_is_silent_ends_by_itself(tmp_path: Path, where: str, told: str) -> None:
    limits = [f"--{name}-timeout" for name in ("stall", "recording", "batch")]
    # The output answers each of the signs of life, as it does where only the disk of the sources is gone.
    with held_up(tmp_path, where, *[word for limit in limits for word in (limit, "8s")], beat="0.3") as process:
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 4, said
    assert told in said
    assert "The same command goes on" in said
    assert told in newest_run(tmp_path / "out")["stopped"]
    assert list((tmp_path / "out/_leases").iterdir()) == []


def test_a_run_whose_ray_hangs_as_it_starts_ends_by_itself_and_leaves_nothing(tmp_path: Path) -> None:
    told = "held by Ray, which neither started nor failed to within 3.0 s"
    with held_up(tmp_path, "starting", "--num-cpus", "1") as process:
        assert until(lambda: (tmp_path / "hangs").read_text().isdigit(), seconds=5)
        started = psutil.Process(int((tmp_path / "hangs").read_text()))
        of_ray = [started, *started.children(recursive=True)]
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 4, said
    assert f"stopped: {told}. The same command goes on" in said
    assert newest_run(tmp_path / "out")["stopped"] == told
    assert list((tmp_path / "out/_leases").iterdir()) == []
    assert psutil.wait_procs(of_ray, timeout=5)[1] == []


@pytest.mark.parametrize(
    ("where", "call", "dry", "told"),
    [
        (choices, "choose", False, "reading the checkpoint"),
        (choices, "choose", True, "reading the checkpoint"),
        (run, "probe", False, "looking for the sources"),
        (run, "probe_write", False, "looking at the output"),
        (run, "_compare", False, "looking at the output"),
        (overlap, "held", False, "looking for other runs"),
        (run, "_compare", True, "planning"),
        (run, "_tell_pending", True, "looking for what is committed"),
        (run, "_plan", False, "planning"),
        (run, "standing", False, "looking for what is committed"),
        (table, "newest_runs", False, "looking at the last runs"),
        (Job, "load_predictors", False, "held by storage that has the model, without an answer for"),
        (table, "declare", False, "writing down what is to be done"),
        (run, "outcome", False, "counting what is committed"),
        (Asked, "write_down", False, "writing down what is to be done"),
    ],
)
def test_every_wait_for_storage_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, call: str, dry: bool, told: str
) -> None:
    class Left(BaseException):
        """The process would have ended."""

    armed: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def unmoved(seconds: float, over: Callable[[], None]) -> Iterator[None]:
        assert seconds == 200.0
        armed.append(over)
        try:
            yield
        finally:
            armed.pop()

    def leave(asked: Asked, held: str, **more: str) -> None:
        raise Left(held)

    def silent(*given: object, **more: object) -> None:
        assert armed, "nobody would end this"
        armed[-1]()

    (tmp_path / "a.flac").write_bytes(encoded(clips()[0].samples))
    for module in (hanging, alone):
        monkeypatch.setattr(module, "unmoved", unmoved)
    for module in (hanging, working):
        monkeypatch.setattr(module, "leave", leave)
    monkeypatch.setattr(where, call, silent)
    limits = config.RunConfig(
        model=MODEL, device="cpu", dry_run=dry, stall_timeout=200.0, recording_timeout=90.0, batch_timeout=90.0
    )
    with pytest.raises(Left, match=told):
        run.run([str(tmp_path / "a.flac")], str(tmp_path / "out"), limits)


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_checkpoint_on_a_dead_disk_ends_a_run_that_leaves_nothing_behind(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    limits = [f"--{name}-timeout" for name in ("stall", "recording", "batch")]
    with held_up(tmp_path, "checkpoint", *options, *[word for limit in limits for word in (limit, "8s")]) as process:
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 4, said
    assert "held by storage, which answered nothing for 8.0 s while reading the checkpoint; --stall-timeout" in said
    assert not (tmp_path / "out").exists()


def test_a_dry_run_that_is_held_leaves_nothing_behind(tmp_path: Path) -> None:
    limits = [f"--{name}-timeout" for name in ("stall", "recording", "batch")]
    with held_up(tmp_path, "planning", "--dry-run", *[word for limit in limits for word in (limit, "8s")]) as process:
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 4, said
    assert "answered nothing for 8.0 s while planning" in said
    assert not (tmp_path / "out").exists()
