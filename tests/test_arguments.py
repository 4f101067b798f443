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


@pytest.mark.parametrize(
    ("words", "paths", "size"),
    [
        ("a b --size 3", ["a", "b"], "3"),
        ("a --size 3 b", ["a", "b"], "3"),
        ("--size 3 -- -a b", ["-a", "b"], "3"),
    ],
)
def test_options_may_stand_between_the_others(words: str, paths: list[str], size: str) -> None:
    parser = Parser(prog="tool")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--size")
    assert vars(parser.parse_mixed(words.split())) == {"paths": paths, "size": size}
