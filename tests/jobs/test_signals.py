"""A signal at any moment of a run: nothing half-committed, code 4, how to go on is said, the next run completes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pipeline.table.verify import verify
from tests.jobs.corpora import clips, driver, encoded, end_group, many_units, processes_of

PROGRAM = """
import importlib, os, signal, sys
from pipeline import cli
module, names, number = {module!r}, {names!r}.split("."), {number}
owner = importlib.import_module(module)
for name in names[:-1]:
    owner = getattr(owner, name)
once = [getattr(owner, names[-1])]
def signalled(*given, **more):
    if number and signalled.first:
        signalled.first = False
        os.kill(os.getpid(), number)
    return once[0](*given, **more)
signalled.first = True
setattr(owner, names[-1], signalled)
sys.exit(cli.run_job("transcribe", prog="transcribe"))
"""
"""A transcription that gets a signal when it first calls a function."""

ALONE = {
    "listing": ("pipeline.plan", "extend"),
    "looking": ("pipeline.table", "compare"),
    "declaring": ("pipeline.table", "declare"),
    "loading": ("pipeline.job", "Job.load_tasks"),
    "at the model": ("pipeline.job", "Job.infer"),
    "committing": ("pipeline.job", "commit"),
    "reckoning": ("pipeline.run", "outcome"),
    "recording": ("pipeline.table", "write_run"),
}
ON_RAY = {
    "starting Ray": ("ray._private.node", "Node.start_ray_processes"),
    "measuring": ("pipeline.engine.cluster", "measure"),
    "shipping": ("pipeline.engine.shipping", "ship"),
    "leaving": ("pipeline.engine.cluster", "_leave"),
}
"""Moment -> the function that is called then."""


def ended(arguments: list[str], home: Path, moment: tuple[str, str], number: int) -> tuple[int, str, int]:
    """Exit code, screen, and processes that are left."""
    code = PROGRAM.format(module=moment[0], names=moment[1], number=int(number))
    process = driver(arguments, home=home, program=["-c", code])
    try:
        screen = process.communicate(timeout=280)[0]
        left = len(processes_of(process))
    finally:
        end_group(process)
    return process.returncode, screen, left


def check(arguments: list[str], home: Path, moment: tuple[str, str], number: signal.Signals) -> None:
    code, screen, left = ended(arguments, home, moment, number)
    assert (code, left) == (4, 0), screen
    assert f"stopped by {number.name}" in screen
    assert "the same command" in screen
    assert "Traceback" not in screen
    output = home / "out"
    # What is there is whole; of a folder that nothing was planned in, nothing can be said.
    assert not (output / "_plan").exists() or verify(str(output)).holds
    code, screen, left = ended(arguments, home, moment, 0)
    assert (code, left) == (0, 0), screen
    assert verify(str(output)).complete


@pytest.mark.slow
@pytest.mark.parametrize("moment", sorted(ALONE))
def test_a_run_without_a_cluster_is_stopped_at_any_moment(tmp_path: Path, moment: str) -> None:
    (tmp_path / "one.flac").write_bytes(encoded(clips()[0].samples, rate=clips()[0].rate))
    number = signal.SIGINT if moment in ("loading", "recording") else signal.SIGTERM
    check([str(tmp_path / "one.flac"), str(tmp_path / "out")], tmp_path, ALONE[moment], number)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ON_RAY)
def test_a_run_on_ray_is_stopped_at_any_moment(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    arguments = [str(many_units(tmp_path / "in", count=6)), str(tmp_path / "out"), "--unit-seconds", "5"]
    check([*arguments, "--device", "cpu", "--num-cpus", "2"], tmp_path, ON_RAY[moment], number)
