"""Drivers in processes of their own, each with a local Ray of its own: small machines, signals, what is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipeline.demo import CHECKPOINTS
from pipeline.demo.make_corpus import DIGITS
from pipeline.plan import units
from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.jobs.corpora import ROOT, driver, end_group, environment, many_units, processes_of, transcribed

# Ray copies its own settings and warns about some of them.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.Popen[str], str]:
    """The demo on one logical CPU: home, process and screen."""
    home = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "pipeline.demo", "--num-cpus", "1", "--output", str(home / "out")]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        return home, process, process.communicate(timeout=280)[0]
    finally:
        end_group(process)


def test_the_demo_runs_on_one_logical_cpu(demo):
    home, process, screen = demo
    assert process.returncode == 0, screen
    assert "local Ray, 1 CPU" in screen
    assert "37 transcribed, 1 error" in screen
    assert "Traceback" not in screen
    assert verify(str(home / "out")).complete
    for task in CHECKPOINTS:
        assert len(read_table(str(home / "out"), task=task).to_pandas()) == 38


def test_the_demo_shows_what_each_task_says(demo):
    _, _, screen = demo
    shown = [line.split() for line in screen.splitlines() if line.startswith("ann-000")]
    assert shown[0][:7] == ["ann-000", *["two", "four", "one"] * 2]
    keyword, speech, speaker = shown[0][7:]
    assert keyword in DIGITS
    assert 40 <= float(speech.rstrip("%")) <= 95
    assert speaker == "ann"
    right = re.search(r"nearest speaker right for (\d+) of 37", screen)
    assert right is not None
    assert int(right[1]) >= 22


def test_a_local_run_leaves_nothing_behind(demo):
    home, process, _ = demo
    assert [file.name for file in home.rglob("*token*")] == []
    assert processes_of(process) == []
    # The folder of a Ray ends with the number of the process that started it.
    assert [*Path(tempfile.gettempdir()).glob(f"*ray*/session_*_{process.pid}")] == []


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """Folder, exit code and screen of a run whose group got a SIGTERM after its first commit, as `timeout` does it."""
    return stopped_by(signal.SIGTERM, tmp_path_factory.mktemp("stopped"))


def stopped_by(number: signal.Signals, folder: Path) -> tuple[Path, int, str]:
    """The same for any signal; the driver had imported Ray, and nothing is left of the run."""
    many_units(folder / "in", count=40)
    code = "import ray, sys; from pipeline import cli; sys.exit(cli.run_job('transcribe', prog='transcribe'))"
    arguments = [str(folder / "in"), str(folder / "out"), "--corpus", "c", "--unit-seconds", "5", "--device", "cpu"]
    process = driver(arguments, home=folder, program=["-c", code])
    try:
        wait_for(lambda: any((folder / "out/transcribe").glob("*.parquet")), process)
        os.killpg(process.pid, number)
        screen, _ = process.communicate(timeout=120)
        assert processes_of(process) == [], screen
    finally:
        end_group(process)
    return folder, process.returncode, screen


def wait_for(happens, process):
    deadline = time.monotonic() + 200
    while not happens():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "nothing was committed"
        time.sleep(0.02)


def test_a_run_that_is_terminated_says_how_to_go_on(stopped):
    folder, code, screen = stopped
    assert code == 4, screen
    assert "stopped by SIGTERM" in screen
    assert "run the same command again" in screen
    assert f"python -m pipeline.table status {folder / 'out'}" in screen
    assert "exit    4: partial" in screen
    assert "Traceback" not in screen
    assert not (folder / "out/_SUCCESS").exists()
    assert [file.name for file in folder.rglob("*token*")] == []


@pytest.mark.slow
def test_a_terminal_that_interrupts_the_whole_group_stops_a_run_as_well(tmp_path):
    _, code, screen = stopped_by(signal.SIGINT, tmp_path)
    assert code == 4, screen
    assert "stopped by SIGINT" in screen
    assert "exit    4: partial" in screen
    assert "Traceback" not in screen


@pytest.mark.slow
def test_the_next_run_completes_what_a_terminated_one_left(stopped, ray_cluster):
    folder, _, _ = stopped
    output = folder / "out"
    planned, before = len(units(str(output))), len(list((output / "transcribe").glob("*.parquet")))
    assert 0 < before < planned
    assert verify(str(output)).holds
    summary = transcribed([folder / "in"], output, unit_seconds=5)
    assert (summary.exit_code, summary.units, summary.new_recordings) == (0, planned - before, 0)
    assert verify(str(output)).complete
