"""Manifests that tell of a recording are cleaned, whatever they hold."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.table.traces import REPLACED, Names, clean_runs


def test_a_manifest_keeps_what_tells_of_others(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"task": "c/a", "faults": {"u": "c/a: closed", "v": "c/ab: closed"}}))
    clean_runs([f"{tmp_path}/r.json", f"{tmp_path}/gone.json"], Names(["c/a"]))
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["faults"] == {"u": REPLACED, "v": "c/ab: closed"}


@pytest.mark.parametrize("text", ['["c/a"]', '"c/a"', "c/a", "[" * 200_000 + '"c/a"'])
def test_what_is_no_manifest_goes(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    clean_runs([f"{tmp_path}/r.json"], Names(["c/a"]))
    assert not (tmp_path / "r.json").exists()


def told(names: Collection[str], text: str) -> bool:
    """The same by one pattern of all names."""
    spelled = {*names, *(json.dumps(each)[1:-1] for each in names)}
    either = "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))
    return bool(names) and re.search(rf"(?<![\w/.-])(?:{either})(?![\w/-]|\.\w)", text) is not None


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("c/a.wav: closed", True), ("see c/a.wav.", True), ("c/a.wav.. then", True), ("c/a.wav.bak", False),
        ("c/a.wav/b", False), ("xc/a.wav", False), ("/c/a.wav", False), ('"c/a.wav"', True), ("c/a.wav", True),
        ("(c/my file (1).wav)", True), ("c/my file (1).wave", False), ("c/my file", False),
        ("c/my file (2).wav", False), ("\u00e9.wav", True), ("\\u00e9.wav was", True), ("x\u00e9.wav", False),
        (" b", True), ("a b", False), ("", False),
    ],
)  # fmt: skip
def test_a_name_is_told_as_a_whole(text: str, is_told: bool) -> None:
    names = ["c/a.wav", "c/my file (1).wav", "é.wav", " b"]
    assert Names(names).told_in(text) == told(names, text) == is_told
    assert not Names([]).told_in(text)


ODD = st.text('ab./- ("é\\', min_size=1, max_size=5)


@settings(max_examples=500, deadline=None)
@given(st.sets(ODD, max_size=4), st.lists(ODD, max_size=6))
def test_names_are_found_where_a_pattern_finds_them(names: set[str], parts: list[str]) -> None:
    for text in ("".join(parts), " ".join([*parts, *names]), "".join([*parts, *names, "."])):
        assert Names(names).told_in(text) == told(names, text)


def test_many_names_take_no_longer_than_few() -> None:
    names = Names([f"c/{folder:03d}/my file {number}.wav" for folder in range(200) for number in range(100)])
    text = " ".join(f"c/{folder:03d}/my other file {folder}.wav: closed." for folder in range(1000))
    begin = time.process_time()
    assert not names.told_in(text)
    assert time.process_time() - begin < 1.0
    assert names.told_in(f"{text} c/199/my file 99.wav.")
