"""The command line: one line for a mistake, its code, and nothing lost in between."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline import cli, run
from pipeline.config import RunConfig
from pipeline.summary import PARTIAL, RunSummary
from pipeline.table.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent


def said(capfd):
    out, err = capfd.readouterr()
    return out + err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required"),
        (["only-one"], "SOURCE and OUTPUT are needed, got only 'only-one'"),
        (["a", "b", "--modle", "x"], "unrecognized arguments: --modle x (did you mean --model?)"),
        (["a", "b", "--column", "x:string"], "unrecognized arguments: --column x:string (did you mean --columns?)"),
        (["a", "b", "--top", "3"], "unrecognized arguments: --top 3 (--top is an option of classify, label). See"),
        (["a", "b", "--device", "tpu"], "argument --device: invalid choice: 'tpu' (choose from 'auto'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments, message, capfd):
    with pytest.raises(SystemExit) as left:
        cli.run_job("transcribe", arguments, prog="transcribe")
    assert left.value.code == 2
    text = said(capfd)
    assert message in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("transcribe", "--model is needed: a checkpoint folder or hub id of Wav2Vec2-BERT with a CTC head"),
        ("classify", "with a classification head"),
        ("frames", "with a head that scores frames"),
        ("embed", "with an x-vector head"),
        ("label", "--task is needed"),
    ],
)
def test_a_missing_model_is_named(tmp_path, capfd, kind, message):
    assert cli.run_job(kind, [str(tmp_path), str(tmp_path / "out")], prog=kind) == 2
    assert message in said(capfd)


def test_options_may_stand_between_source_and_output(tmp_path, capfd):
    words = [str(tmp_path), "--model", "", str(tmp_path / "out")]
    assert cli.run_job("transcribe", words, prog="transcribe") == 2
    assert "--model is needed" in said(capfd)


def test_a_value_without_meaning_is_named(tmp_path, capfd):
    code = cli.run_job(
        "transcribe", [str(tmp_path), str(tmp_path / "o"), "--model", "m", "--window", "soon"], prog="transcribe"
    )
    assert code == 2
    assert "--window: 'soon' is not a number with a unit" in said(capfd)


@pytest.mark.parametrize("kind", cli.JOBS)
def test_help_has_every_option_of_the_job_with_its_default_and_the_exit_codes(capfd, kind):
    with pytest.raises(SystemExit) as left:
        cli.run_job(kind, ["--help"], prog=kind)
    assert left.value.code == 0
    text = said(capfd)
    for words in ("--unit-bytes SIZE", "(default: 256MB)", "(default: 5%)", "exit codes:", "4  partial", "examples:"):
        assert words in text
    for option in dataclasses.fields(RunConfig):
        flag = f"--{option.name.replace('_', '-')}"
        has = option.metadata["of"] is None or kind in option.metadata["of"]
        assert bool(re.search(rf"^ +(-\w, )?{flag}(?![\w-])", text, re.MULTILINE)) is has, flag
        assert not has or option.metadata["help"].split()[0] in text


def test_every_option_is_one_of_some_job_and_transcription_has_none_of_the_others():
    options = {option.name: option.metadata["of"] for option in dataclasses.fields(RunConfig)}
    assert all(of is None or (of and set(of) <= set(cli.JOBS)) for of in options.values())
    assert {name for name, of in options.items() if of is not None and "transcribe" in of} == {"model", "name"}


@pytest.mark.parametrize(
    "command",
    [
        "transcribe",
        "classify",
        "label-frames",
        "embed",
        "label",
        "status",
        "verify",
        "errors",
        "vacuum",
        "forget",
        "demo",
        "evaluate",
    ],
)
def test_every_command_of_voxmill_has_help(command, capfd):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert "usage" in said(capfd)


def test_voxmill_alone_lists_its_commands(capfd):
    with pytest.raises(SystemExit):
        cli.main([])
    text = said(capfd)
    commands = ("transcribe", "classify", "label-frames", "embed", "label", "demo", "verify")
    assert [each for each in commands if not re.search(rf"^  {each} ", text, re.MULTILINE)] == []


def test_the_commands_of_a_table_are_all_commands():
    assert list(cli._TABLE) == [each.name for each in COMMANDS]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transcribee", "a", "b"], "there is no command 'transcribee' (did you mean transcribe?)"),
        (["Verify"], "there is no command 'Verify' (did you mean verify?)"),
        (
            ["xyz"],
            "there is no command 'xyz' (the commands are transcribe, classify, label-frames, embed, label, finetune, "
            "demo, evaluate, status, verify, errors, explain, publish, vacuum, forget)",
        ),
        (["label-frame"], "there is no command 'label-frame' (did you mean label-frames?)"),
        (["--versio"], "unrecognized arguments: --versio (did you mean --version?)"),
        (["--"], "there is no command '--'"),
    ],
)
def test_a_slip_is_answered_with_what_is_nearest(arguments, message, capfd):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}", "{folder}/out"], "--model is needed"),
        (["{folder}", "{folder}/out", "--model", "m", "--window", "soon"], "--window: 'soon'"),
        (["{folder}", "{folder}/out", "--model", "m", "--columns", "age"], "--columns: 'age' is not name:type"),
        (["{folder}", "{folder}/out", "--config", "{folder}/no.yaml"], "--config {folder}/no.yaml: no such file"),
        (["{folder}/no", "{folder}/out", "--model", "m"], "file://{folder}/no: no such file or folder"),
        (["{folder}", "{folder}/a.wav", "--model", "m"], "{folder}/a.wav: a file is where a folder should be"),
        (["{folder}", "{folder}/a.wav/b", "--model", "m"], "({folder}/a.wav). OUTPUT, the last argument, is"),
    ],
)
def test_a_mistake_is_answered_on_standard_error_without_importing_torch(tmp_path, arguments, message):
    (tmp_path / "a.wav").write_bytes(b"mine")
    code = (
        "import sys; from pipeline import cli; code = cli.main(sys.argv[1:]);"
        "assert not {'torch', 'ray'} & set(sys.modules); sys.exit(code)"
    )
    words = [word.format(folder=tmp_path) for word in arguments]
    done = subprocess.run(
        [sys.executable, "-c", code, "transcribe", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message.format(folder=tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_mistake_in_the_demo_is_answered_on_standard_error(tmp_path, capfd):
    (tmp_path / "file").write_text("mine")
    assert cli.main(["demo", "--output", str(tmp_path / "file")]) == 2
    assert cli.main(["demo", "--output", str(tmp_path / "out"), "--num-cpus", "two"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "file: is a file; name a folder with --output" in err
    assert "--num-cpus: 'two' is no whole number" in err
    assert not (tmp_path / "out").exists()


def ended(**changes):
    values = {
        "run": "r1", "exit_code": PARTIAL, "output": "out", "task": "transcribe", "model": {}, "config": {},
        "sources": (), "name": "t", "started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:05:05+00:00",
        "pending_units": 2,
    }  # fmt: skip
    return RunSummary(**values | changes)


def test_a_run_ends_with_a_line_for_programs_where_no_terminal_shows_it(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(run, "run", lambda *_, **__: print("a library") or ended())
    assert (
        cli.run_job("transcribe", [str(tmp_path), str(tmp_path / "out"), "--model", "m"], prog="transcribe") == PARTIAL
    )
    out, err = capfd.readouterr()
    assert (
        out.splitlines()[-1]
        == "2026-01-02T03:05:05Z run=r1 exit=4 rows=0 errors=0 table_rows=0 table_errors=0 pending_units=2"
    )
    log = Path(err.split()[1])
    assert err == f"log     {log} has what the libraries said; --debug shows it here\n"
    log.unlink()


def test_an_empty_log_is_not_named_and_not_left(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(run, "run", lambda *_, **__: ended())
    assert (
        cli.run_job("transcribe", [str(tmp_path), str(tmp_path / "out"), "--model", "m"], prog="transcribe") == PARTIAL
    )
    assert capfd.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_debug_in_a_file_of_options_counts(tmp_path, monkeypatch, capfd):
    (tmp_path / "run.yaml").write_text("debug: true\nmodel: m\n")

    def noisy(*_, **__):
        print("noise")
        return ended()

    monkeypatch.setattr(run, "run", noisy)
    arguments = [str(tmp_path), str(tmp_path / "out"), "--config", str(tmp_path / "run.yaml")]
    assert cli.run_job("transcribe", arguments, prog="transcribe") == PARTIAL
    assert "noise" in capfd.readouterr().out


def test_the_module_runs_as_the_console_command_does():
    ran = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "transcribe", "a"], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert "SOURCE and OUTPUT are needed" in ran.stderr
