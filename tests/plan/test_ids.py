"""Ids are readable and names of units depend on every id and version."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpus import Recording
from pipeline.plan.ids import digests, span_id, unit_name, unit_name_of


def test_span_id_is_in_whole_seconds() -> None:
    assert span_id("c/a.wav", 3600.0, 7199.2) == "c/a.wav@3600-7200"


PAIRS = st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))), max_size=4)


@given(PAIRS, PAIRS)
def test_names_are_equal_only_for_equal_lists(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    assert (unit_name_of(one) == unit_name_of(other)) == (one == other)


def test_name_is_32_hex_digits_of_ids_and_versions() -> None:
    first = Recording("c/a.wav", "u", "a", "1-2", "c/a.wav", "wav", 1.0, "header", 10)
    name = unit_name([first])
    assert len(name) == 32
    assert int(name, 16) >= 0
    assert unit_name([dataclasses.replace(first, seconds=9.0, source="elsewhere")]) == name
    assert unit_name([dataclasses.replace(first, version="1-3")]) != name
    assert unit_name([first, dataclasses.replace(first, id="b")]) != unit_name(
        [dataclasses.replace(first, id="b"), first]
    )


def test_digests_can_be_sorted_and_found() -> None:
    ids = [f"c/{number}.wav" for number in range(5000)]
    ordered = np.sort(digests(ids))
    assert len(np.unique(ordered)) == 5000
    assert (ordered[np.searchsorted(ordered, digests(ids))] == digests(ids)).all()
    assert digests([]).shape == (0,)
