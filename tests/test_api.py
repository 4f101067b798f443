"""What a caller in Python sees of a run that does not go well; runs that do are in the tests of `run`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import pipeline
from pipeline import api, config, run


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Folder of the logs."""
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_mistake_leaves_no_log(tmp_path, logs, monkeypatch):
    def refused(*_, **__):
        raise pipeline.UserError("out: is of another model")

    with pytest.raises(pipeline.UserError, match="no such file or folder"):
        pipeline.transcribe(tmp_path / "no", tmp_path / "out", model="m")
    monkeypatch.setattr(run, "run", refused)
    with pytest.raises(pipeline.UserError, match="another model"):
        pipeline.transcribe(tmp_path, tmp_path / "out", model="m")
    assert list(logs.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "kind"),
    [("transcribe", "transcribe"), ("classify", "classify"), ("label_frames", "frames"), ("embed", "embed")],
)
def test_each_call_is_a_run_of_its_kind(tmp_path, logs, monkeypatch, call, kind):
    asked = []
    monkeypatch.setattr(run, "run", lambda *given, **more: asked.append((*given, more)) or SimpleNamespace(exit_code=0))
    getattr(pipeline, call)(tmp_path, tmp_path / "out", model=tmp_path / "m", window="9s")
    ((sources, output, chosen, more),) = asked
    assert (sources, output, more["kind"]) == ([str(tmp_path)], str(tmp_path / "out"), kind)
    assert (chosen.model, chosen.window) == (str(tmp_path / "m"), 9.0)


def test_several_tasks_are_one_run(tmp_path, logs, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "run", lambda *given, **more: asked.append((*given, more)) or SimpleNamespace(exit_code=0))
    pipeline.label([tmp_path], tmp_path / "out", tasks={"transcribe": "a", "embed:other": tmp_path / "b"}, top=3)
    ((_, _, chosen, more),) = asked
    assert (more["kind"], chosen.task, chosen.top) == ("label", ("transcribe=a", f"embed:other={tmp_path}/b"), 3)


@pytest.mark.parametrize("call", ["transcribe", "classify", "label_frames", "embed"])
def test_a_call_without_a_model_is_refused(tmp_path, logs, call):
    with pytest.raises(pipeline.UserError, match="--model is needed"):
        getattr(pipeline, call)(tmp_path, tmp_path / "out", model="")


def test_several_tasks_without_a_task_are_refused(tmp_path, logs):
    with pytest.raises(pipeline.UserError, match="--task is needed"):
        pipeline.label(tmp_path, tmp_path / "out", tasks={})


def test_a_failure_names_its_log(tmp_path, logs, monkeypatch):
    def broken(*_, **__):
        print("the libraries' words")
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(run, "run", broken)
    with pytest.raises(ZeroDivisionError) as caught:
        pipeline.transcribe(tmp_path, tmp_path / "out", model="m")
    log = Path(caught.value.__notes__[0].split()[0])
    assert log.parent == logs
    assert log.read_text() == "the libraries' words\n"


def test_progress_is_on_the_stream_that_the_caller_sees(tmp_path, logs, monkeypatch, capsys):
    def going_well(*_, console, **__):
        console.print("progress")
        return SimpleNamespace(exit_code=0)

    monkeypatch.setattr(run, "run", going_well)
    pipeline.transcribe(tmp_path, tmp_path / "out", model="m")
    assert capsys.readouterr().out == "progress\n"
    assert list(logs.iterdir()) == []


def test_a_partial_run_keeps_its_log_and_names_it(tmp_path, logs, monkeypatch, capsys):
    monkeypatch.setattr(run, "run", lambda *_, **__: print("a library") or SimpleNamespace(exit_code=4))
    pipeline.transcribe(tmp_path, tmp_path / "out", model="m")
    (log,) = logs.iterdir()
    assert str(log) in capsys.readouterr().err


def test_an_output_that_this_user_may_not_write_is_found_before_anything_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "a.wav").touch()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    source, output = [str(tmp_path / "a.wav")], str(tmp_path / "new")
    with pytest.raises(pipeline.UserError, match=r"new: permission denied while writing .*\. Check owner and mode"):
        api.check("transcribe", source, output, config.make({"model": "m"}))
    api.check("transcribe", source, output, config.make({"model": "m", "dry_run": True}))
