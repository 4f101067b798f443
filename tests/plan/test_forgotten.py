"""Which recordings digests stand for, and what may not be forgotten by chance."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.corpus import Recording
from pipeline.plan.forgotten import Forgotten, _last, forgotten, remember
from pipeline.plan.similar import similar

module = importlib.import_module("pipeline.plan.forgotten")


def recording(id: str, whole: str, spans: int = 1) -> Recording:
    return Recording(id, f"file:///{whole}", id, "1-1", whole, "wav", 1.0, "header", 9, spans=spans)


def test_an_id_stands_for_itself_its_spans_and_all_rows_of_its_audio() -> None:
    gone = Forgotten.of(["c/day", "c/call@0-10"])
    assert gone.covers(recording("c/day", "c/day"))
    assert gone.covers(recording("c/day@0-3600", "c/day", spans=2))
    assert gone.covers(recording("line@0-3600", "c/day", spans=2))
    assert gone.covers(recording("c/call@0-10", "c/call", spans=2))
    assert not gone.covers(recording("c/call@10-20", "c/call", spans=2))
    assert not gone.covers(recording("c/days", "c/days"))
    assert not gone.covers(recording("c/day@home", "c/day@home"))
    assert not Forgotten().covers(recording("c/day", "c/day"))


def test_a_table_is_asked_as_a_recording_is() -> None:
    rows = pa.table({"id": ["a", "b@0-1", "c"], "recording": ["a", "b", "x"], "spans": [1, 2, 1]})
    assert Forgotten.of(["b", "x"]).mask(rows) == [False, True, True]
    assert Forgotten().mask(rows) == [False] * 3


def test_what_is_remembered_adds_up(tmp_path: Path) -> None:
    output = str(tmp_path)
    assert forgotten(output) == Forgotten()
    for ids in (["a", "b"], ["b", "a"], ["c"]):
        remember(output, ids)
    assert forgotten(output) == Forgotten.of(["a", "b", "c"])
    assert sorted(file.name for file in (tmp_path / "_forgotten").iterdir()) == ["000001.json", "000002.json"]


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: remember(str(tmp_path), [f"id-{number}"]), range(24)))
    assert forgotten(str(tmp_path)) == Forgotten.of(f"id-{number}" for number in range(24))


def test_a_table_that_is_made_anew_begins_with_nothing(tmp_path: Path) -> None:
    remember(str(tmp_path), ["a"])
    assert forgotten(str(tmp_path))
    (tmp_path / "_forgotten/000001.json").unlink()
    assert not forgotten(str(tmp_path))


def test_without_the_earlier_files_the_last_one_says_all_and_is_followed(tmp_path: Path) -> None:
    output = str(tmp_path)
    remember(output, ["a"])
    remember(output, ["b"])
    (tmp_path / "_forgotten/000001.json").unlink()
    # As in a process that has not seen the table before.
    _last.clear()
    assert forgotten(output) == Forgotten.of(["a", "b"])
    remember(output, ["c"])
    _last.clear()
    assert forgotten(output) == Forgotten.of(["a", "b", "c"])
    assert sorted(file.name for file in (tmp_path / "_forgotten").iterdir()) == ["000002.json", "000003.json"]


def test_a_file_that_a_listing_does_not_show_yet_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = str(tmp_path)
    remember(output, ["a"])
    remember(output, ["b"])
    for shown in (["000001.json"], []):
        _last.clear()
        monkeypatch.setattr(module, "list_names", lambda uri, shown=shown: shown)
        assert forgotten(output) == Forgotten.of(["a", "b"])


def test_ids_that_somebody_may_have_meant() -> None:
    ids = pa.chunked_array([["c/Monday.flac", "c/t.tar::Monday.wav", "c/x.wav", "c/ab.wav"]])
    assert similar(ids, "c/monday.FLAC") == ["c/Monday.flac"]
    assert similar(ids, "d/monday.ogg") == ["c/Monday.flac", "c/t.tar::Monday.wav"]
    assert similar(ids, "d/ab.ogg") == []
