"""A mistake on the command line is one line that says where to look."""

from __future__ import annotations

import pytest

from pipeline.arguments import Parser


def mistake(parser: Parser, *words: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(words)


def test_the_nearest_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="tool")
    parser.add_argument("--json", action="store_true")
    mistake(parser, "--jsno")
    assert capsys.readouterr().err == "tool: unrecognized arguments: --jsno (did you mean --json?). See tool --help\n"
