"""Scores of a validation, against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.training import metrics


def test_accuracy_and_f1_and_error() -> None:
    assert metrics.accuracy(np.array([1, 2, 3, 3]), np.array([1, 2, 0, 3])) == 0.75
    assert metrics.f1(np.array([True, True, False, False]), np.array([True, False, True, False])) == 0.5
    assert metrics.f1(np.array([False]), np.array([False])) == 1.0
    assert metrics.root_mean_square(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx(math.sqrt(2))


def test_a_rate_of_one_kind_of_pair_is_no_number() -> None:
    alone = metrics.equal_error_rate_of_pairs(np.eye(3), np.array([0, 1, 2]), np.array([0, 1, 2]))
    assert math.isnan(alone)


def test_vectors_of_two_normal_distributions_are_told_apart_as_the_formula_says() -> None:
    random = np.random.default_rng(0)
    speakers = np.repeat(np.arange(200), 2)
    centres = random.normal(0, 1, (200, 40))
    near, far = (centres[speakers] + random.normal(0, noise, (400, 40)) for noise in (0.3, 3.0))
    rates = [metrics.equal_error_rate_of_pairs(each, speakers, np.arange(400)) for each in (near, far)]
    assert rates[0] < 0.01
    assert 0.2 < rates[1] < 0.4


def test_pairs_of_one_recording_are_left_out() -> None:
    # Speaker 0 sounds the same within a recording, and as speaker 1 across.
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0.1]], dtype=float)
    speakers, recordings = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 1, 1, 2])
    assert metrics.equal_error_rate_of_pairs(embeddings, speakers, recordings) > 0.9
    alone = metrics.equal_error_rate_of_pairs(embeddings[:4], np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    assert alone == 0.0
