"""Frame scores, compared with asking every frame's middle by itself."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.frames import FrameScores, Interval, Stretches, frame_scores, total_frames
from pipeline.scoring.hits import Hits

MOMENTS = st.integers(0, 100).map(lambda n: n / 100)


@st.composite
def intervals(draw: st.DrawFn) -> list[Interval]:
    found = draw(st.lists(st.tuples(MOMENTS, MOMENTS, st.sampled_from("ab")), max_size=4))
    return [Interval(min(a, b), max(a, b), label) for a, b, label in found]


def exact(moment: float) -> Fraction:
    return Fraction(round(moment * 100), 100)


def labels_at(middle: Fraction, found: list[Interval]) -> set[str]:
    """Labels at a moment, in whole hundredths of a second, where nothing is rounded."""
    return {each.label for each in found if exact(each.start) <= middle < exact(each.end)}


@given(intervals(), intervals(), MOMENTS, st.integers(0, 50).map(lambda n: n / 100))
def test_every_middle_is_judged(given_: list[Interval], wanted: list[Interval], duration: float, start: float) -> None:
    found = frame_scores(Stretches(start, duration, given_, wanted))
    middles, count = [], 0
    while Fraction(2 * count + 1, 100) < exact(duration):
        middles.append(exact(start) + Fraction(2 * count + 1, 100))
        count += 1
    pairs = [(labels_at(middle, given_), labels_at(middle, wanted)) for middle in middles]
    assert found.frames == len(pairs)
    assert found.exact == sum(g == w for g, w in pairs)
    assert found.background.hits == sum(not g and not w for g, w in pairs)
    for label in "ab":
        counted = Hits(
            label,
            sum(label in g and label in w for g, w in pairs),
            sum(label in g and label not in w for g, w in pairs),
            sum(label not in g and label in w for g, w in pairs),
        )
        (mine,) = [each for each in found.per_label if each.label == label] or [Hits(label, 0, 0, 0)]
        assert mine == counted


def test_one_second_with_speech_found_late() -> None:
    speech = [Interval(0.2, 0.6, "speech")], [Interval(0.1, 0.6, "speech")]
    found = frame_scores(Stretches(0.0, 1.0, *speech))
    assert found == FrameScores(50, 45, (Hits("speech", 20, 0, 5),), Hits("none", 25, 5, 0))
    assert found.accuracy == 0.9


def test_a_frame_belongs_where_its_middle_is() -> None:
    # Middles at 0.01, 0.03, 0.05; an end is not inside.
    found = frame_scores(Stretches(0.0, 0.06, [Interval(0.01, 0.03, "a")], []))
    assert found.per_label == (Hits("a", 0, 1, 0),)
    assert frame_scores(Stretches(0.0, 0.06, [Interval(0.011, 0.03, "a")], [])).per_label == (Hits("a", 0, 0, 0),)


def test_rounding_moves_no_edge() -> None:
    # 0.29 / 0.02 - 0.5 is 13.999999999999998.
    found = frame_scores(Stretches(0.0, 1.0, [Interval(0.29, 1.0, "a")], [Interval(0.29, 1.0, "a")]))
    assert found.per_label[0].hits == 36


def test_the_background_may_have_another_name() -> None:
    rows = Stretches(0.0, 0.1, [], [Interval(0.0, 0.1, "silence")])
    assert frame_scores(rows, background="silence").exact == 5
    assert frame_scores(rows).per_label == (Hits("silence", 0, 0, 5),)


def test_a_part_of_a_recording_is_judged_by_itself() -> None:
    wanted = [Interval(0.0, 10.0, "speech")]
    found = frame_scores(Stretches(9.0, 2.0, [Interval(9.0, 11.0, "speech")], wanted))
    assert found.per_label == (Hits("speech", 50, 50, 0),)


def test_recordings_add_up() -> None:
    one = frame_scores(Stretches(0.0, 1.0, [Interval(0.0, 1.0, "a")], [Interval(0.0, 0.5, "a")]))
    two = frame_scores(Stretches(0.0, 1.0, [], [Interval(0.0, 0.5, "b")]))
    total = total_frames([one, two])
    assert total.per_label == (Hits("a", 25, 25, 0), Hits("b", 0, 0, 25))
    assert (total.frames, total.exact) == (100, 50)
    assert total.background == Hits("none", 25, 25, 25)


def test_nothing_has_no_accuracy() -> None:
    assert total_frames([]).accuracy is None
    assert frame_scores(Stretches(0.0, 0.005, [], [])).frames == 0


@pytest.mark.parametrize("duration", [3600.0, 0.1])
def test_how_many_frames_there_are(duration: float) -> None:
    assert frame_scores(Stretches(0.0, duration, [], [])).frames == duration * 50
