"""Word error counts, compared with an edit distance of our own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.scoring import WordErrors, normalise, word_errors


def distance(reference: list[str], transcript: list[str]) -> int:
    """Levenshtein's recurrence, row by row."""
    row = list(range(len(transcript) + 1))
    for i, word in enumerate(reference, 1):
        above, row = row, [i]
        for j, other in enumerate(transcript, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (word != other)))
    return row[-1]


TEXTS = st.lists(st.sampled_from(["one", "two", "oh"]), max_size=6)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_counts_are_the_edit_distance(pairs: list[tuple[list[str], list[str]]]) -> None:
    found = word_errors([" ".join(r) for r, _ in pairs], [" ".join(t) for _, t in pairs])
    assert found.words == sum(len(r) for r, _ in pairs)
    assert found.errors == sum(distance(r, t) for r, t in pairs)
    assert found.insertions - found.deletions == sum(len(t) - len(r) for r, t in pairs)


def test_each_kind_is_counted() -> None:
    found = word_errors(["one two three", "four"], ["one too three four", ""])
    assert found == WordErrors(words=4, substitutions=1, insertions=1, deletions=1)
    assert found.rate == 0.75


def test_case_and_space_do_not_count_but_punctuation_does() -> None:
    assert normalise("  One\n TWO, ") == "one two,"
    assert word_errors(["One  two\n"], ["one TWO"]).errors == 0
    assert word_errors(["one"], ["one,"]).errors == 1


def test_words_where_there_are_none_are_insertions() -> None:
    assert word_errors(["", "one"], ["two", "one"]) == WordErrors(1, 0, 1, 0)
    assert word_errors([""], ["two"]).rate is None
    assert word_errors([], []) == WordErrors(0, 0, 0, 0)


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(UserError, match=r"each reference needs one transcript: 1 references, 2 transcripts"):
        word_errors(["one"], ["one", "two"])
