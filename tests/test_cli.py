"""The command line: one line for a mistake, its code, and nothing lost in between."""

from __future__ import annotations

import pytest

from pipeline import cli
from pipeline.errors import StorageFault, UserError
from pipeline.stopping import Stopped


def said(capfd):
    out, err = capfd.readouterr()
    return out + err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required"),
        (["only-one"], "SOURCE and OUTPUT are needed, got only 'only-one'"),
        (["a", "b", "--modle", "x"], "unrecognized arguments: --modle x (did you mean --model?)"),
        (["a", "b", "--device", "tpu"], "invalid choice: 'tpu'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments, message, capfd):
    with pytest.raises(SystemExit) as left:
        cli.transcribe(arguments, prog="transcribe")
    assert left.value.code == 2
    text = said(capfd)
    assert message in text
    assert len(text.splitlines()) == 1


def test_a_missing_model_is_named(tmp_path, capfd):
    assert cli.transcribe([str(tmp_path), str(tmp_path / "out")], prog="transcribe") == 2
    assert "--model is needed" in said(capfd)


def test_a_value_without_meaning_is_named(tmp_path, capfd):
    code = cli.transcribe([str(tmp_path), str(tmp_path / "o"), "--model", "m", "--window", "soon"], prog="transcribe")
    assert code == 2
    assert "--window: 'soon' is not a number with a unit" in said(capfd)


def test_help_has_every_option_with_its_default_and_the_exit_codes(capfd):
    with pytest.raises(SystemExit) as left:
        cli.transcribe(["--help"], prog="transcribe")
    assert left.value.code == 0
    text = said(capfd)
    for words in ("--unit-bytes SIZE", "(default: 256MB)", "(default: 5%)", "exit codes:", "4  partial", "examples:"):
        assert words in text


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (UserError("out: is a file"), 2, "out: is a file"),
        (StorageFault("s3://b: 503"), 4, "s3://b: 503"),
        (Stopped("by SIGTERM"), 4, "stopped before any work began"),
        (ZeroDivisionError("a bug"), 1, "failed: ZeroDivisionError: a bug"),
    ],
)
def test_every_end_has_its_code(raised, code, message, capfd):
    def work():
        raise raised

    from pipeline.noise import kept_off

    with kept_off(show=False) as (console, log):
        assert cli.guarded(work, console, debug=False) == code
    text = said(capfd)
    assert message in text
    assert "Traceback" not in text
    assert log is not None
    log.unlink()


@pytest.mark.parametrize("command", ["transcribe", "status", "verify", "errors", "vacuum", "demo"])
def test_every_command_of_voxmill_has_help(command, capfd):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert "usage" in said(capfd)


def test_voxmill_alone_lists_its_commands(capfd):
    with pytest.raises(SystemExit):
        cli.main([])
    text = said(capfd)
    assert "transcribe" in text
    assert "verify" in text


def test_an_unknown_command_is_refused(capfd):
    with pytest.raises(SystemExit) as left:
        cli.main(["transcrieb"])
    assert left.value.code == 2
    assert "transcrieb" in said(capfd)
