"""One short recording without a cluster: the same rows, at once."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

import pipeline
from pipeline import alone, config, counting, flow, plan, stopping, working
from pipeline.asked import Asked
from pipeline.errors import StorageFault
from pipeline.job import Work
from pipeline.plan import UnitRef
from pipeline.table import read_known, read_table, write_run
from pipeline.table.__main__ import main as table_main
from pipeline.table.verify import verify
from tests.jobs.corpora import MODEL, ROOT, clips, encoded, environment, newest_run, transcribed

# Ray copies its own settings and warns about some of them.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")


def unit(*, count: int = 1, seconds: float = 3.0, tasks: tuple[str, ...] = ("transcribe",)) -> Work:
    return Work(UnitRef("a" * 32, 1, 0, 0, count, seconds, 1000), tasks)


@pytest.mark.parametrize(
    ("units", "options", "fits"),
    [
        ([unit()], {}, True),
        ([unit(seconds=alone.LONGEST)], {"device": "cpu", "address": "local"}, True),
        ([unit(seconds=alone.LONGEST + 1)], {}, False),
        ([unit(tasks=("transcribe", "classify"))], {}, True),
        ([unit(count=2)], {}, False),
        ([unit(), unit()], {}, False),
        ([unit()], {"address": "10.0.0.1:6379"}, False),
        ([unit()], {"gpus": 1}, False),
        ([unit()], {"num_cpus": 2}, False),
        ([unit()], {"read_tasks": 2}, False),
        ([unit()], {"model_actors": 1}, False),
        ([unit()], {"feature_actors": 1}, False),
    ],
)
def test_only_one_short_recording_that_nobody_asked_a_cluster_for_runs_alone(monkeypatch, units, options, fits):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert alone.fits(units, config.make(options)) is fits


def test_a_job_of_a_cluster_never_runs_beside_it(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert not alone.fits([unit()], config.make({}))


@pytest.fixture
def audio(tmp_path):
    """One recording."""
    path = tmp_path / "one.flac"
    path.write_bytes(encoded(clips()[0].samples))
    return path


@pytest.mark.slow
def test_a_run_alone_leaves_what_a_run_on_a_cluster_leaves(audio, tmp_path, ray_cluster):
    assert transcribed([audio], tmp_path / "alone").exit_code == 0
    assert transcribed([audio], tmp_path / "ray", feature_actors=1, model_actors=1).exit_code == 0
    assert newest_run(tmp_path / "alone")["pools"] == "this process"
    assert "features x" in newest_run(tmp_path / "ray")["pools"]
    # And where the model's device makes the features, of which the record tells.
    on_device = transcribed([audio], tmp_path / "device", features="device", feature_actors=1, model_actors=1)
    assert on_device.exit_code == 0
    assert json.loads((tmp_path / "device/transcribe/_task.json").read_text())["parameters"]["features"] == "device"
    rows = {name: read_table(str(tmp_path / name)).to_pandas() for name in ("alone", "ray", "device")}
    for name in ("ray", "device"):
        pd.testing.assert_frame_equal(rows["alone"], rows[name], check_exact=False, atol=1e-4)
    assert rows["alone"].text.tolist() == [clips()[0].text]
    stages = {name: set(newest_run(tmp_path / name)["stage_seconds"]) for name in rows}
    assert stages["alone"] == stages["ray"]


def test_a_mount_that_lacks_for_a_night_is_told_and_costs_no_row(audio, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(Asked, "say", lambda self, text: said.append(text))
    (tmp_path / "mount").mkdir()
    audio.rename(tmp_path / "mount/one.flac")
    (tmp_path / "m.jsonl").write_text('{"path": "mount/one.flac"}')
    assert transcribed([tmp_path / "m.jsonl"], tmp_path / "out").exit_code == 0
    assert not any("not there" in line for line in said)
    (tmp_path / "mount").rename(tmp_path / "away")
    summary = transcribed([tmp_path / "m.jsonl"], tmp_path / "out")
    assert (summary.exit_code, summary.new_recordings, summary.table_rows, summary.table_errors) == (0, 0, 1, 0)
    assert sum("listed, but not there or closed: 1 row, kept as before" in line for line in said) == 1
    assert read_table(str(tmp_path / "out")).to_pandas().text.tolist() == [clips()[0].text]


def test_a_unit_that_somebody_else_committed_meanwhile_is_taken(audio, tmp_path, monkeypatch):
    featurise = flow.featurise

    # Else the second would be on a cluster, as the first is not at its end.
    monkeypatch.setattr(working, "left_off", lambda asked: False)

    def slowly(*arguments):
        monkeypatch.setattr(flow, "featurise", featurise)
        assert transcribed([audio], tmp_path / "out").taken == 0
        return featurise(*arguments)

    monkeypatch.setattr(flow, "featurise", slowly)
    summary = transcribed([audio], tmp_path / "out")
    assert (summary.exit_code, summary.taken, summary.rows) == (0, 1, 1)
    assert verify(str(tmp_path / "out")).complete


def test_a_fault_leaves_the_unit_pending_and_the_next_run_does_it(audio, tmp_path, monkeypatch):
    def broken(*arguments):
        raise StorageFault("s3://b/one.flac: 503 SlowDown, still after 6 tries")

    monkeypatch.setattr(flow, "read", broken)
    summary = transcribed([audio], tmp_path / "out")
    assert (summary.exit_code, summary.pending_units, summary.rows) == (4, 1, 0)
    assert list(summary.faults.values()) == ["s3://b/one.flac: 503 SlowDown, still after 6 tries"]
    monkeypatch.undo()
    again = transcribed([audio], tmp_path / "out")
    assert (again.exit_code, again.pools) == (0, working.HERE)


RUN = {"task": "transcribe", "name": "transcribe", "pools": "this process", "state": "running"}


@pytest.mark.parametrize(
    ("runs", "left"),
    [
        ([], False),
        ([RUN], True),
        ([RUN | {"exit_code": 4, "stopped": "by SIGINT"}], True),
        ([RUN | {"exit_code": 4, "faults": {"u": "503"}}], False),
        ([RUN | {"exit_code": 0}], False),
        ([RUN, RUN | {"exit_code": 0}], False),
        ([RUN, RUN | {"name": "another", "exit_code": 0}], True),
        ([RUN, RUN | {"pools": "1 model actor", "exit_code": 4}], False),
        ([RUN, "damaged"], True),
        ([RUN, *[RUN | {"task": "embed", "exit_code": 0}] * 20], False),
    ],
)
def test_a_recording_over_which_a_run_of_the_task_ended_is_done_on_a_cluster(tmp_path, monkeypatch, runs, left):
    for number, record in enumerate(runs):
        write_run(str(tmp_path), f"20261120T0214{number:02d}", record)
    asked = SimpleNamespace(output=str(tmp_path), facts=lambda: {**RUN, "model": "m"})
    assert working.left_off(asked) == left


def test_a_storage_that_does_not_tell_is_tried_again(monkeypatch):
    def refuse(*arguments):
        raise StorageFault("s3://b/_runs: 503 SlowDown")

    monkeypatch.setattr("pipeline.table.newest_runs", refuse)
    assert not working.left_off(SimpleNamespace(output="s3://b", facts=lambda: RUN))


def test_a_run_that_is_stopped_says_so_and_writes_down_what_it_did(audio, tmp_path, monkeypatch):
    def interrupted(*arguments, **settings):
        raise stopping.Stopped("by SIGTERM")
        yield

    monkeypatch.setattr(alone, "receipts", interrupted)
    summary = transcribed([audio], tmp_path / "out")
    assert (summary.exit_code, summary.stopped) == (4, "by SIGTERM")
    assert newest_run(tmp_path / "out")["stopped"] == "by SIGTERM"
    assert newest_run(tmp_path / "out")["pools"] == working.HERE


def test_a_run_that_does_not_come_to_its_end_leaves_what_it_has_counted(audio, tmp_path, monkeypatch):
    def gone(*_):
        raise SystemExit

    monkeypatch.setattr(counting, "UNITS", 1)
    monkeypatch.setattr("pipeline.run.outcome", gone)
    with pytest.raises(SystemExit):
        transcribed([audio], tmp_path / "out")
    assert [count.rows for count in read_known(str(tmp_path / "out"), "transcribe").values()] == [1]


def test_one_small_file_needs_no_ray_and_seconds_of_work(audio, tmp_path):
    code = (
        "import sys\n"
        "from pipeline import cli\n"
        f"code = cli.main(['transcribe', {str(audio)!r}, {str(tmp_path / 'out')!r}, '--model', {MODEL!r}])\n"
        "print('ray' in sys.modules)\n"
        "sys.exit(code)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment(tmp_path)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert clips()[0].text in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
    assert done.stderr == ""
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Time at work, for on a busy machine the clock says nothing.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 8


def test_a_model_that_hangs_ends_the_run_which_the_next_one_does_on_a_cluster(audio, tmp_path):
    code = (
        "import sys, time\n"
        "from pipeline import cli\n"
        "from pipeline.models.predict import Predictor\n"
        "Predictor._encode = lambda *given: time.sleep(1000)\n"
        f"words = ['transcribe', {str(audio)!r}, {str(tmp_path / 'out')!r}, '--model', {MODEL!r}, '--corpus', 'c']\n"
        "sys.exit(cli.main([*words, '--batch-timeout', '1s']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment(tmp_path), timeout=100
    )
    assert done.returncode == 4, done.stdout + done.stderr
    told = "c/one.flac: held by the model for more than 1.0 s in one batch; --batch-timeout gives it longer"
    assert done.stdout.splitlines()[-1].startswith(f"stopped: {told}")
    assert done.stderr == ""
    record = newest_run(tmp_path / "out")
    assert (record["state"], record["exit_code"], record["stopped"]) == ("ended", 4, told)
    assert working.left_off(SimpleNamespace(output=str(tmp_path / "out"), facts=lambda: record))
    assert not list((tmp_path / "out/_leases").iterdir())


def test_a_recording_that_is_forgotten_before_it_is_heard_is_not_heard(audio, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    plan.extend([str(audio)], str(output), corpus="c")
    assert table_main(["forget", str(output), "c/one.flac", "--yes"]) == 0
    summary = pipeline.transcribe(str(audio), str(output), model=MODEL, corpus="c", device="cpu")
    assert (summary.exit_code, summary.table_rows) == (0, 0)
    verdict = verify(str(output))
    assert (verdict.complete, verdict.tasks[0].committed, verdict.tasks[0].rows) == (True, 1, 0)
