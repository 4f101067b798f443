"""Fields of a form as arguments: groups, defaults, kinds of value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import pytest

from pipeline.arguments import Parser
from pipeline.errors import UserError
from pipeline.fields import add_options, parse_job, with_file
from pipeline.options import option
from pipeline.quantities import parse_list, parse_seconds, parse_share


@dataclass(frozen=True, kw_only=True)
class Form:
    """One field of each kind."""

    window: float = option("what to hear", "longest stretch", default=10.0, parse=parse_seconds, metavar="TIME")
    share: float = option("limits", "faults that are 100% fine", default=0.05, parse=parse_share, metavar="SHARE")
    device: Literal["auto", "cpu"] = option("resources", "where it runs", default="auto")
    task: tuple[str, ...] = option("what to hear", "again and again", default=(), parse=parse_list, metavar="KIND")
    name: str | None = option("limits", "folder; default: none", default=None, metavar="NAME")
    dry_run: bool = option("limits", "write nothing", default=False)


def parser(*names: str) -> Parser:
    made = Parser(prog="tool")
    add_options(made, Form, [each for each in fields(Form) if each.name in names] if names else None)
    return made


def test_help_has_the_groups_with_every_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = [line.split("  ") for line in parser().format_help().splitlines()]
    shown = [" ".join(part.strip() for part in line if part) for line in lines]
    assert shown[shown.index("what to hear:") :] == [
        "what to hear:", "--window TIME longest stretch (default: 10s)", "--task KIND again and again", "",
        "limits:", "--share SHARE faults that are 100% fine (default: 5%)", "--name NAME folder; default: none",
        "--dry-run write nothing", "", "resources:", "--device {auto,cpu} where it runs (default: auto)",
    ]  # fmt: skip


def test_values_are_kept_as_they_are_written() -> None:
    words = "--window 1.5s --task a=b --task c=d --dry-run --device cpu"
    found = vars(parser().parse_args(words.split()))
    assert (found["window"], found["task"], found["dry_run"], found["device"]) == ("1.5s", ["a=b", "c=d"], True, "cpu")


def test_of_a_closed_set_no_other_word_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["--device", "tpu"])
    assert "argument --device: invalid choice: 'tpu' (choose from 'auto', 'cpu')" in capsys.readouterr().err


def test_some_fields_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser("name").parse_args(["--window", "3"])
    assert "unrecognized arguments: --window 3" in capsys.readouterr().err


def test_paths_are_two_at_least(capsys: pytest.CaptureFixture[str]) -> None:
    made = Parser(prog="tool")
    made.add_argument("paths", nargs="+")
    made.add_argument("--model")
    assert parse_job(made, ["a", "b", "--model", "m", "c"]) == (["a", "b"], "c", {"model": "m"})
    with pytest.raises(SystemExit, match="2"):
        parse_job(made, ["a"])
    assert "SOURCE and OUTPUT are needed, got only 'a'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        parse_job(made, ["a", "--modle", "m", "b"])
    assert "unrecognized arguments: --modle" in (said := capsys.readouterr().err)
    assert "did you mean --model?" in said


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("window: 5s\ndry-run: true\n")
    given = vars(parser().parse_args(["--window", "2s", "--config", str(tmp_path / "run.yaml")]))
    chosen = {name: value for name, value in given.items() if value is not None}
    assert with_file(Form, chosen)["window"] == "2s"
    assert with_file(Form, {"config": str(tmp_path / "run.yaml")}) == {"window": 5.0, "dry_run": True}
    assert with_file(Form, {"window": "1s"}) == {"window": "1s"}
    with pytest.raises(UserError, match=r"no.yaml: no such file"):
        with_file(Form, {"config": str(tmp_path / "no.yaml")})
