"""Text files that name rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import UserError
from pipeline.evaluation.files import RowNames, lines


def test_a_line_may_hold_what_other_programs_take_for_its_end(words: str, tmp_path: Path) -> None:
    path = tmp_path / "checked.jsonl"
    path.write_text(json.dumps({"id": "a", "text": "one\u2028two"}, ensure_ascii=False), encoding="utf-8")
    assert pipeline.evaluate(words, reference=str(path)).scores.words.errors == 0


def test_a_file_that_is_no_text(words: str, tmp_path: Path) -> None:
    (tmp_path / "audio.wav").write_bytes(b"RIFF\xff\xfe")
    with pytest.raises(UserError, match=r"audio.wav: is not UTF-8 text \(invalid start byte at byte 4\)"):
        pipeline.evaluate(words, reference=str(tmp_path / "audio.wav"))


def test_lines_have_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfone\r\n\n  two  ")
    assert list(lines(str(tmp_path / "list.txt"))) == [(1, "one"), (3, "two")]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        list(lines(str(tmp_path / "list.txt")))


def test_an_id_comes_before_a_key() -> None:
    names = RowNames(["c/a.wav", "b", "c/c.wav", "c/c.flac"], ["b", "x", "c", "c"])
    assert [names.row(name, "f") for name in ("c/a.wav", "b", "x", "zoe", "c/c.flac")] == [0, 1, 1, None, 3]
    with pytest.raises(UserError, match="f: several rows have the key 'c'"):
        names.row("c", "f")
