"""Several tasks over one corpus, on Ray: one read, one folder a task, and only what is lacking."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from pipeline import config, models
from pipeline.run import run
from pipeline.summary import RunSummary
from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.heads import checkpoints
from tests.jobs.corpora import clips, encoded, newest_run

# Ray copies its own settings and warns about some of them.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")


@pytest.fixture(scope="module")
def folders(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return checkpoints(checkpoint, tmp_path_factory.mktemp("heads"))


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Three recordings, and a file that is none."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for clip in clips()[:3]:
        (folder / f"{clip.key}.flac").write_bytes(encoded(clip.samples, rate=clip.rate))
    (folder / "zzz.wav").write_text("this is no audio")
    return folder


def labelled(source: Path, output: Path, folders: dict[str, Path], *kinds: str, **options: Any) -> RunSummary:
    tasks = [f"{kind}={folders[kind]}" for kind in kinds]
    options = {"speech": "frames", **options} if "frames" in kinds else options
    chosen = config.make({"task": tasks, "device": "cpu", "corpus": "c", "max_errors": 1, "model_actors": 1, **options})
    return run([str(source)], str(output), chosen, kind="label", console=Console(file=io.StringIO(), width=200))


def rows(output: Path, task: str) -> list[dict[str, Any]]:
    return read_table(str(output), task=task).to_table().to_pylist()


def near(one: Any, other: Any) -> bool:
    """Equal but for the last digits of numbers, wherever they stand."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(near(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(near, one, other))
    return one == (pytest.approx(other, abs=1e-4) if isinstance(one, float) else other)


@pytest.mark.slow
def test_each_task_has_its_rows_and_a_task_that_is_added_is_done_alone(audio, tmp_path, folders, ray_cluster):
    output = tmp_path / "out"
    first = labelled(audio, output, folders, "transcribe", "frames")
    assert (first.exit_code, first.rows, sum(first.errors.values()), first.task) == (0, 8, 2, "label")
    assert [(each.name, each.rows, each.errors) for each in first.tasks] == [("transcribe", 4, 1), ("frames", 4, 1)]
    files = {file: file.stat().st_mtime_ns for file in output.glob("*/*.parquet")}
    second = labelled(audio, output, folders, "transcribe", "frames", "classify", "embed")
    assert (second.exit_code, second.rows) == (0, 8)
    assert {file: file.stat().st_mtime_ns for file in files} == files
    assert {each.name: each.pending_units for each in second.tasks} == dict.fromkeys(folders, 0)
    done = verify(str(output))
    assert done.complete
    assert [row["text"] for row in rows(output, "transcribe")][:3] == [clip.text for clip in clips()[:3]]
    for kind in folders:
        assert [row["error"] and row["error"]["stage"] for row in rows(output, kind)] == [None, None, None, "decode"]
    third = labelled(audio, output, folders, *folders)
    assert (third.exit_code, third.units) == (0, 0)


@pytest.mark.slow
def test_rows_are_those_of_the_tasks_own_jobs(audio, tmp_path, folders, ray_cluster):
    labelled(audio, tmp_path / "all", folders, *folders)
    for kind in ("classify", "embed"):
        speech = {"speech": str(folders["frames"])} if kind == "embed" else {}
        options = config.make({"model": str(folders[kind]), "device": "cpu", "corpus": "c", "max_errors": 1, **speech})
        run([str(audio)], str(tmp_path / kind), options, kind=kind, console=Console(file=io.StringIO()))
        ours, theirs = rows(tmp_path / "all", kind), rows(tmp_path / kind, kind)
        assert near(ours, theirs)
        # What finds speech for one task alone writes nothing.
        assert sorted(p.name for p in (tmp_path / kind).iterdir() if p.is_dir() and p.name[0] != "_") == [kind]


@pytest.mark.slow
def test_models_in_actors_of_their_own_say_the_same(audio, checkpoint, tmp_path, folders, ray_cluster):
    """Frame labels come from another encoder, so that what finds speech and what embeds are two actors."""
    finder = tmp_path / "finder"
    model = models.load(folders["frames"])
    with torch.no_grad():
        model.encoder.projection.linear.weight *= 1.5
    models.save(model, finder)
    (finder / "processor_config.json").write_text((checkpoint / "processor_config.json").read_text())
    mixed = {**folders, "frames": finder}
    for name, asked in (("one", "always"), ("two", "never")):
        done = labelled(audio, tmp_path / name, mixed, "transcribe", "frames", "embed", share_actor=asked)
        assert (done.exit_code, done.rows) == (0, 12)
    assert newest_run(tmp_path / "two")["pools"].count("model x") == 2
    for kind in ("transcribe", "frames", "embed"):
        ours, theirs = rows(tmp_path / "one", kind), rows(tmp_path / "two", kind)
        assert near(ours, theirs)


def test_the_manifest_tells_every_task(audio, tmp_path, folders, ray_cluster):
    labelled(audio, tmp_path / "out", folders, "transcribe", "classify")
    told = newest_run(tmp_path / "out")
    assert told["task"] == "label"
    assert [(each["kind"], each["name"], each["rows"]) for each in told["tasks"]] == [
        ("transcribe", "transcribe", 4), ("classify", "classify", 4),
    ]  # fmt: skip
    assert json.loads((tmp_path / "out/_SUCCESS").read_text())["tasks"] == ["classify", "transcribe"]
    assert told["audio_seconds"] == pytest.approx(sum(len(clip.samples) / clip.rate for clip in clips()[:3]), abs=0.01)
