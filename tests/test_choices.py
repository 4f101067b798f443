"""Which tasks a run does: what the options say, and what is refused before any work."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline import choices, config
from pipeline.choices import Choice, choose, model_sizes, shared_encoders
from pipeline.errors import UserError
from pipeline.run import run
from pipeline.tasks.frames import Frames
from tests.heads import checkpoints
from tests.jobs.corpora import clips, encoded


@pytest.fixture(scope="module")
def folders(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return checkpoints(checkpoint, tmp_path_factory.mktemp("heads"))


def chosen(kind: str, **options: Any) -> tuple[Choice, ...]:
    return choose(kind, config.make(options))


def several(folders: dict[str, Path], *names: str, **options: Any) -> tuple[Choice, ...]:
    tasks = [f"{name}={folders[name.partition(':')[0]]}" for name in names]
    return chosen("label", task=tasks, **options)


def test_a_job_of_one_task_writes_to_a_folder_of_its_name(folders):
    (one,) = chosen("classify", model=str(folders["classify"]), top=2)
    assert (one.name, one.job.kind, one.job.committed) == ("classify", "classify", True)
    (other,) = chosen("classify", model=str(folders["classify"]), name="emotion")
    assert other.name == "emotion"


def test_only_what_changes_rows_is_recorded(folders):
    options = {"top": 2, "threshold": "70%", "min_segment": "2s", "model_actors": 3, "unit_seconds": 60}
    kinds = {kind: chosen(kind, model=str(folders[kind]), speech="all", **options)[0] for kind in folders}
    shared = {"window": "10s", "context": "1s", "features": "float64", "dtype": "auto"}
    assert kinds["transcribe"].parameters == shared
    assert kinds["classify"].parameters == shared | {"top": "2"}
    assert kinds["frames"].parameters["threshold"] == "70%"
    assert kinds["embed"].parameters["min_segment"] == "2s"
    assert kinds["embed"].parameters["speech"] == "all"
    record = kinds["embed"].record(config.make(options))
    assert (record.task, record.model_hash) == ("embed", kinds["embed"].checkpoint.hash)
    assert "embedding" in record.schema.names


def test_several_tasks_may_share_a_kind_under_names_of_their_own(folders):
    names = [each.name for each in several(folders, "classify", "classify:other", "transcribe")]
    assert names == ["classify", "classify:other".partition(":")[2], "transcribe"]


def test_speech_is_found_by_the_frame_labels_of_the_run(folders):
    order = several(folders, "embed", "frames", "transcribe", speech="frames")
    assert [each.name for each in order] == ["frames", "transcribe", "embed"]
    embed = order[-1]
    assert (embed.job.after, embed.parameters["speech"]) == ("frames", order[0].checkpoint.hash)
    assert isinstance(embed.task.speech, Frames)


def test_a_finder_that_nobody_asked_for_runs_before_and_writes_nothing(folders):
    finder, embed = chosen("embed", model=str(folders["embed"]), speech=str(folders["frames"]))
    assert (finder.name, finder.job.committed, embed.job.after) == (choices.SPEECH, False, choices.SPEECH)
    twice = several(folders, "embed", "embed:other", speech=str(folders["frames"]))
    assert [each.name for each in twice] == [choices.SPEECH, "embed", "other"]
    same = several(folders, "frames", "embed", speech=str(folders["frames"]))
    assert [each.name for each in same] == ["frames", "embed"]


def test_no_folder_has_the_name_of_the_finder(folders):
    finder, embed = chosen("embed", model=str(folders["embed"]), speech=str(folders["frames"]), name="speech")
    assert (embed.name, embed.job.after) == ("speech", finder.name)
    assert finder.name != embed.name
    assert not config.plain_name(finder.name)


def test_a_task_may_be_named_as_all_audio_is(folders):
    order = several(folders, "frames:all", "embed", speech="all")
    assert [each.name for each in order] == ["all", "embed"]
    assert order[1].job.after == "all"


def test_all_audio_may_be_taken_for_speech(folders):
    (embed,) = chosen("embed", model=str(folders["embed"]), speech="all")
    assert (embed.job.after, embed.task.speech) == (None, None)


def test_equal_encoders_are_told_and_counted_once(folders):
    order = several(folders, "transcribe", "frames")
    (line,) = shared_encoders(order)
    assert line.startswith("one encoder pass for transcribe, frames (encoder ")
    assert list(model_sizes(order)) == [order[0].checkpoint.encoder]
    assert shared_encoders(order[:1]) == []


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("transcribe", "--task transcribe: write it as KIND=MODEL or KIND:NAME=MODEL; the kinds are transcribe, "),
        ("sing=x", "--task sing=x: write it as"),
        ("transcribe:=x", "--task transcribe:=x: write it as"),
        ("transcribe:_x=y", "write it as"),
        ("transcribe=", "write it as"),
    ],
)
def test_a_task_that_cannot_be_meant_is_refused(task, message):
    with pytest.raises(UserError, match=message):
        chosen("label", task=[task])


def test_two_tasks_of_one_name_are_refused(folders):
    with pytest.raises(UserError, match="two tasks would write to frames; name one of them, as --task KIND:NAME=MODEL"):
        several(folders, "frames", "frames")


def test_no_task_is_refused():
    with pytest.raises(UserError, match="--task is needed: KIND=MODEL"):
        chosen("label")


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("transcribe", "transcription needs a CTC head"),
        ("classify", "classification needs a head for it"),
        ("frames", "frame labels need a head for them"),
        ("embed", "speaker embeddings need an x-vector head"),
    ],
)
def test_a_checkpoint_of_another_head_is_refused_by_name(folders, kind, needed):
    other = folders["frames" if kind == "transcribe" else "transcribe"]
    with pytest.raises(UserError, match=rf"{other}: config.json says architectures=\['.*'\]; {needed}"):
        chosen(kind, model=str(other))


def test_segments_too_short_for_the_checkpoint_are_refused(folders):
    # 5 + (3 - 1) * 2 frames for one, one more for a deviation.
    with pytest.raises(UserError, match=r"--min-segment 0.1s: embed needs 0.2 s for an embedding"):
        chosen("embed", model=str(folders["embed"]), speech="all", min_segment="100ms")


def test_speech_is_found_by_the_checkpoint_that_comes_along(folders):
    finder, embed = chosen("embed", model=str(folders["embed"]))
    assert finder.checkpoint.name == "speech-frames"
    assert not finder.job.committed
    assert embed.parameters["speech"] == finder.checkpoint.hash


def test_the_way_out_of_a_conflict_is_an_option_of_the_job(folders, tmp_path):
    (tmp_path / "a.flac").write_bytes(encoded(clips()[0].samples, rate=clips()[0].rate))
    output = str(tmp_path / "out")
    run([str(tmp_path / "a.flac")], output, config.make({"model": str(folders["classify"])}), kind="classify")
    given = {"task": [f"classify={folders['classify']}"], "top": 2}
    with pytest.raises(UserError, match="Use --task classify:classify-v2=MODEL to put the new labels beside the old"):
        run([str(tmp_path / "a.flac")], output, config.make(given), kind="label")
    with pytest.raises(UserError, match="Use --name classify-v2 to put the new labels beside the old"):
        run(
            [str(tmp_path / "a.flac")], output, config.make({"model": str(folders["classify"]), "top": 2}),
            kind="classify",
        )  # fmt: skip


def test_speech_that_is_everything_needs_no_rule(folders):
    options = {"model": str(folders["embed"]), "speech": "all"}
    assert chosen("embed", **options)[0].parameters == chosen("embed", threshold="40%", **options)[0].parameters


def test_only_what_is_lacking_is_loaded_with_what_it_looks_at(folders):
    order = several(folders, "transcribe", "frames", "classify", "embed", speech="frames")
    assert [each.name for each in choices.needed(order, {"embed"})] == ["frames", "embed"]
    assert [each.name for each in choices.needed(order, {"classify"})] == ["classify"]


def test_a_dry_run_tells_what_each_task_lacks(folders, tmp_path):
    (tmp_path / "a.flac").write_bytes(encoded(clips()[0].samples, rate=clips()[0].rate))
    output, screen = str(tmp_path / "out"), io.StringIO()
    run([str(tmp_path / "a.flac")], output, config.make({"model": str(folders["classify"])}), kind="classify")
    tasks = [f"classify={folders['classify']}", f"frames={folders['frames']}"]
    told = config.make({"task": tasks, "dry_run": True})
    run([str(tmp_path / "a.flac")], output, told, kind="label", console=Console(file=screen, width=200))
    lines = screen.getvalue().splitlines()
    assert "classify: 0 of 1 planned unit to do" in lines
    assert "frames: 1 of 1 planned unit to do" in lines


def test_a_file_in_place_of_a_tasks_folder_is_named(folders, tmp_path):
    (tmp_path / "a.flac").write_bytes(encoded(clips()[0].samples, rate=clips()[0].rate))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/classify").write_text("a file")
    with pytest.raises(UserError, match="out/classify: a file is where a folder should be.* Move it away"):
        run([str(tmp_path / "a.flac")], str(tmp_path / "out"), config.make({"model": str(folders["classify"])}),
            kind="classify")  # fmt: skip
