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
    ids = ["c/a.wav", "b", "c/c.wav", "c/c.flac"]
    names = RowNames(ids, ["b", "x", "c", "c"], ids)
    assert [names.row(name, "f") for name in ("c/a.wav", "b", "x", "zoe", "c/c.flac")] == [0, 1, 1, None, 3]
    with pytest.raises(UserError, match="f: several rows have the key 'c'"):
        names.row("c", "f")


def test_a_recording_in_spans_names_all_its_rows() -> None:
    ids = ["c/l.wav@0-9", "c/s.wav", "c/l.wav@9-18", "c/l.flac"]
    names = RowNames(ids, ["l", "s", "l", "f"], ["c/l.wav", "c/s.wav", "c/l.wav", "c/l.flac"])
    found = [list(names.rows(name, "f")) for name in ("c/l.wav", "l", "c/l.wav@9-18", "s", "f", "zoe")]
    assert found == [[0, 2], [0, 2], [2], [1], [3], []]
    with pytest.raises(UserError, match="f: 'l' is in several rows; write the id of one of them"):
        names.row("l", "f")


def test_a_key_of_spans_and_of_another_recording_names_none() -> None:
    names = RowNames(["l.wav@0-9", "l.wav@9-18", "l.flac"], ["l"] * 3, ["l.wav", "l.wav", "l.flac"])
    assert list(names.rows("l.wav", "f")) == [0, 1]
    with pytest.raises(UserError, match="f: several rows have the key 'l'"):
        names.rows("l", "f")
