"""Equal error rate, detection cost and their interval, compared with walking all thresholds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.scoring.speakers import bootstrap, curve

# Few values, so that many scores are equal.
TRIALS = st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(1, 3)), min_size=2, max_size=25)


def walk(trials: list[tuple[int, bool, int]]) -> list[tuple[Fraction, Fraction]]:
    """(misses, false alarms) above all scores and at each, from the highest, by counting; the last is a weight."""
    targets = sum(weight for _, target, weight in trials if target)
    others = sum(weight for _, target, weight in trials if not target)
    found = [(Fraction(1), Fraction(0))]
    for threshold in sorted({score for score, _, _ in trials}, reverse=True):
        missed = sum(weight for score, target, weight in trials if target and score < threshold)
        alarms = sum(weight for score, target, weight in trials if not target and score >= threshold)
        found.append((Fraction(missed, targets), Fraction(alarms, others)))
    return found


def equal_error(points: list[tuple[Fraction, Fraction]]) -> Fraction:
    """Where the polyline through all points meets the diagonal."""
    for (miss, alarm), (next_miss, next_alarm) in zip(points, points[1:], strict=False):
        if next_miss <= next_alarm:
            # miss + t * (next_miss - miss) = alarm + t * (next_alarm - alarm)
            t = (miss - alarm) / ((next_alarm - alarm) - (next_miss - miss))
            return miss + t * (next_miss - miss)
    raise AssertionError("the last point misses nothing")


def both(trials: list[tuple[int, bool, int]]) -> bool:
    return len({target for _, target, _ in trials}) == 2


@given(TRIALS)
def test_the_rate_is_where_the_curve_meets_the_diagonal(trials: list[tuple[int, bool, int]]) -> None:
    assume(both(trials))
    once = [(score, target, 1) for score, target, _ in trials]
    found = curve([score for score, _, _ in once], [target for _, target, _ in once])
    assert found.equal_error_rate == pytest.approx(float(equal_error(walk(once))))


@given(TRIALS, st.sampled_from([Fraction(1, 20), Fraction(1, 100), Fraction(1, 2), Fraction(9, 10)]))
def test_the_cost_is_the_lowest_of_all_thresholds(trials: list[tuple[int, bool, int]], p: Fraction) -> None:
    assume(both(trials))
    once = [(score, target, 1) for score, target, _ in trials]
    costs = [(p * miss + (1 - p) * alarm) / min(p, 1 - p) for miss, alarm in walk(once)]
    found = curve([score for score, _, _ in once], [target for _, target, _ in once])
    assert found.min_cost(float(p)) == pytest.approx(float(min(costs)))


@given(TRIALS)
def test_only_the_order_of_scores_counts(trials: list[tuple[int, bool, int]]) -> None:
    assume(both(trials))
    scores, targets = np.array([t[0] for t in trials], float), np.array([t[1] for t in trials])
    assert curve(np.exp(scores) - 7, targets).equal_error_rate == curve(scores, targets).equal_error_rate
    assert curve(-scores, ~targets).equal_error_rate == pytest.approx(curve(scores, targets).equal_error_rate)


def test_known_cases() -> None:
    assert curve([0.9, 0.8, 0.2, 0.1], [True, True, False, False]).equal_error_rate == 0.0
    assert curve([0.1, 0.2, 0.8, 0.9], [True, True, False, False]).equal_error_rate == 1.0
    assert curve([0.5] * 4, [True, True, False, False]).equal_error_rate == 0.5
    assert curve([0.9, 0.8, 0.7, 0.6], [True, False, True, False]).equal_error_rate == 0.5


def test_two_normal_distributions_have_the_rate_of_the_tables() -> None:
    random = np.random.default_rng(1)
    targets = random.random(200_000) < 0.3
    scores = random.normal(size=200_000) + 2 * targets
    # The share of a normal distribution beyond 1 is 0.1587.
    assert curve(scores, targets).equal_error_rate == pytest.approx(0.1587, abs=0.004)


def test_the_curve_runs_from_nothing_to_everything() -> None:
    found = curve([3.0, 2.0, 1.0], [True, False, True])
    assert (found.misses[0], found.false_alarms[0]) == (1.0, 0.0)
    assert (found.misses[-1], found.false_alarms[-1]) == (0.0, 1.0)
    assert (np.diff(found.misses) <= 0).all()
    assert (np.diff(found.false_alarms) >= 0).all()


@pytest.mark.parametrize("targets", [[True, True], [False, False], []])
def test_trials_of_one_kind_are_refused(targets: list[bool]) -> None:
    with pytest.raises(UserError, match="trials need both kinds"):
        curve([0.5] * len(targets), targets)


def weighted(scores: list[int], speakers: list[tuple[int, int]], drawn: list[int]) -> list[tuple[int, bool, int]]:
    """The trials of one replicate, each as often as its speakers were drawn."""
    weights = [drawn[a] if a == b else drawn[a] * drawn[b] for a, b in speakers]
    return [(s, a == b, w) for s, (a, b), w in zip(scores, speakers, weights, strict=True) if w]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3), st.integers(0, 3)), min_size=6, max_size=25))
def test_the_interval_holds_every_draw_counted_by_hand(trials: list[tuple[int, int, int]]) -> None:
    there = sorted({each for _, *pair in trials for each in pair})
    speakers = [(there.index(a), there.index(b)) for _, a, b in trials]
    scores, targets = [s for s, _, _ in trials], [a == b for a, b in speakers]
    assume(len(set(targets)) == 2)
    number = len(there)
    random = np.random.default_rng(5)
    rates = []
    for _ in range(8):
        drawn = np.bincount(random.integers(number, size=number), minlength=number).tolist()
        replicate = weighted(scores, speakers, drawn)
        if both(replicate):
            rates.append(float(equal_error(walk(replicate))))
    first, second = zip(*((a, b) for _, a, b in trials), strict=True)
    found = bootstrap(scores, targets, first, second, replicates=8, level=1.0, seed=5)
    if not rates:
        assert found is None
    else:
        assert found is not None
        assert (found.low, found.high, found.replicates, found.groups) == (
            pytest.approx(min(rates)),
            pytest.approx(max(rates)),
            len(rates),
            number,
        )


def test_the_interval_of_many_speakers_is_around_the_rate_and_wider_than_that_of_trials() -> None:
    random = np.random.default_rng(3)
    speakers = np.repeat(np.arange(20), 16)
    # Some speakers are recognised easily, others not.
    noise = random.uniform(0.3, 3.0, size=20)[speakers, None]
    vectors = random.normal(size=(20, 16))[speakers] + noise * random.normal(size=(320, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.triu_indices(320, k=1)
    scores = (vectors[first] * vectors[second]).sum(axis=1)
    targets = speakers[first] == speakers[second]
    rate = curve(scores, targets).equal_error_rate
    by_speaker = bootstrap(scores, targets, speakers[first], speakers[second], replicates=100)
    assert by_speaker is not None
    assert by_speaker.low < rate < by_speaker.high
    # As if all trials were independent: a binomial share of the targets.
    independent = 2 * 1.96 * np.sqrt(rate * (1 - rate) / targets.sum())
    assert by_speaker.high - by_speaker.low > 2 * independent


def test_speakers_without_trials_change_nothing() -> None:
    random = np.random.default_rng(2)
    first, second = np.triu_indices(12, k=1)
    targets = first % 3 == second % 3
    scores = random.normal(size=66) + targets
    alone = bootstrap(scores, targets, first % 3, second % 3)
    among_many = bootstrap(scores, targets, first % 3 * 40 + 7, second % 3 * 40 + 7)
    assert alone == among_many
    assert alone is not None
    assert alone.groups == 3


def test_no_replicates_no_interval() -> None:
    assert bootstrap([1.0, 0.0], [True, False], [0, 0], [0, 1], replicates=0) is None
