"""What labels of a manifest mean to a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.training.labels import (
    IGNORED,
    Numbers,
    Stretch,
    Words,
    space_of_classes,
    space_of_frames,
    space_of_speakers,
)
from pipeline.training.vocabulary import letters_of

WHOLE = Stretch()


def test_texts_are_spelled_and_unknown_letters_named() -> None:
    space = Words(letters_of(["two one", "six"]))
    assert space.target("  six   two ", WHOLE, 50) == tuple(space.tokenizer.encode("six two"))
    assert space.check("eight") == "has 'g', which is not in the vocabulary"
    assert space.check("six\u00a0two\tq") == "has 'q', which is not in the vocabulary"
    assert space.check(3) == "must be text, got 3"


def test_kinds_of_classes_are_told_by_their_type() -> None:
    assert space_of_classes(["b", "a", "b"]).names == ("a", "b")
    several = space_of_classes([["b"], ["a", "b"], []])
    assert several.target(["b"], WHOLE, 9) == (0.0, 1.0)
    assert isinstance(space_of_classes([1, 2.5]), Numbers)
    with pytest.raises(ValueError, match="all be texts, all lists of texts or all numbers, got int, str"):
        space_of_classes(["a", 1])
    assert several.check("b") == "must be a list of classes, got 'b'"
    assert several.check(["b", "c"]) == "'c' is none of the classes a, b"
    assert space_of_classes(["a"]).check("c") == "'c' is none of the classes a"


def test_frames_take_the_class_in_which_their_middle_lies() -> None:
    space = space_of_frames([[{"start": 0.1, "end": 0.2, "label": "speech"}]], "silence")
    classes = space.target([{"start": 0.1, "end": 0.2, "label": "speech"}], WHOLE, 12)
    # The middle of frame t is 17.5 ms after t times 20 ms.
    assert np.flatnonzero(classes).tolist() == [5, 6, 7, 8, 9]
    assert space.names == ("silence", "speech")
    assert space.check([{"start": 0, "end": 1, "label": "music"}]) == "'music' is none of the classes silence, speech"
    unmarked = space_of_frames([[{"start": 0.1, "end": 0.2, "label": "speech"}]], None)
    assert set(unmarked.target([], WHOLE, 3).tolist()) == {IGNORED}


def test_stretches_move_with_where_an_example_starts_and_how_fast_it_is() -> None:
    label = [{"start": 1.0, "end": 2.0, "label": "speech"}]
    space = space_of_frames([label], "silence")
    classes = space.target(label, Stretch(start=0.5, speed=2.0), 50)
    # 0.25 s to 0.75 s of what is heard.
    assert np.flatnonzero(classes)[[0, -1]].tolist() == [12, 36]


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ("speech", "must be a list of stretches"),
        ([{"start": 0, "end": 1}], "must be a list of stretches"),
        ([{"start": "0", "end": 1, "label": "a"}], "must be a list of stretches"),
        ([{"start": 2, "end": 1, "label": "a"}], "ends before it starts"),
        ([{"start": 2, "end": 10**400, "label": "a"}], "must be a list of stretches"),
    ],
)
def test_what_is_no_list_of_stretches_is_named(label: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        space_of_frames([label], None)


def test_whole_numbers_are_taken_as_far_as_a_float_holds_them() -> None:
    numbers = space_of_classes([1, 10**400])
    assert numbers.check(10**300) is None
    assert str(numbers.check(10**400)).startswith("must be a number, as those of other lines, got 1000")
    assert str(numbers.check(True)).startswith("must be a number")
    label = [{"start": -(10**300), "end": 10**300, "label": "a"}]
    assert space_of_frames([label], None).target(label, WHOLE, 3).tolist() == [0, 0, 0]


def test_a_speaker_at_another_speed_may_be_another() -> None:
    space = space_of_speakers([103, "7", 103], (0.9, 1.0))
    assert space.names == ("103@0.9", "7@0.9", "103@1", "7@1")
    assert space.target(103, Stretch(speed=1.0, version=1), 50) == 2
    same = space_of_speakers(["a", "b"])
    assert same.target("b", Stretch(speed=1.1, version=1), 50) == 1
