"""Word and character error counts, compared with an edit distance of our own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.scoring import CharacterErrors, WordErrors, character_errors, normalise, word_errors
from pipeline.scoring.words import word_errors_each, word_total


def distance(reference: Sequence[str], transcript: Sequence[str]) -> int:
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


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_characters_are_counted_with_the_spaces_between_words(pairs: list[tuple[list[str], list[str]]]) -> None:
    references, transcripts = [" ".join(r) for r, _ in pairs], [" ".join(t) for _, t in pairs]
    found = character_errors(references, transcripts)
    assert found.length == sum(map(len, references))
    assert found.errors == sum(map(distance, references, transcripts))


def test_a_joined_word_is_one_character_and_two_words() -> None:
    assert character_errors(["one two"], ["onetwo"]) == CharacterErrors(7, 0, 0, 1)
    assert word_errors(["one two"], ["onetwo"]).errors == 2


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_each_recording_adds_up_to_the_whole(pairs: list[tuple[list[str], list[str]]]) -> None:
    references, transcripts = [" ".join(r) for r, _ in pairs], [" ".join(t) for _, t in pairs]
    each = word_errors_each(references, transcripts)
    assert [one.errors for one in each] == [distance(r, t) for r, t in pairs]
    assert word_total(each) == word_errors(references, transcripts)


def test_letters_that_look_the_same_are_the_same() -> None:
    # Composed, and as a letter with an accent behind it.
    composed, parted = "Caf\u00e9 noir", "cafe\u0301 noir"
    assert word_errors([parted], [composed]) == WordErrors(2, 0, 0, 0)
    assert character_errors([parted], [composed]) == CharacterErrors(9, 0, 0, 0)
    assert word_errors(["cafe"], [composed]).errors == 2


def test_words_and_characters_are_not_equal_counts() -> None:
    assert WordErrors(1, 0, 0, 0) != CharacterErrors(1, 0, 0, 0)
    assert WordErrors(3, 1, 1, 0).rate == pytest.approx(2 / 3)


def test_each_kind_is_counted() -> None:
    found = word_errors(["one two three", "four"], ["one too three four", ""])
    assert found == WordErrors(4, substitutions=1, insertions=1, deletions=1)
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
