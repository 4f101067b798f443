"""Benchmarks that hold a promise fail where it is broken."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.benchmarks import opening, resume, slowstore


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """The store sets variables that lead to it."""
    with mock.patch.dict(os.environ):
        yield


@pytest.mark.parametrize(("most", "code"), [({}, 0), ({"read_table": 0.0}, 1), ({"read_published": 0.0}, 1)])
def test_a_table_that_opens_too_late_is_told(most: dict[str, float], code: int, monkeypatch) -> None:
    monkeypatch.setattr(opening, "MOST", opening.MOST | most)
    assert opening.main(["--units", "20", "--recordings", "2"]) == code


@pytest.mark.parametrize("more", [0, 1])
def test_a_resume_that_reads_committed_units_is_told(more: int, monkeypatch) -> None:
    counts = slowstore.counts
    monkeypatch.setattr(resume, "options", argparse.Namespace(units=20, done=0.9))
    monkeypatch.setattr(slowstore, "counts", lambda endpoint: counts(endpoint) | ({"get units": 1} if more else {}))
    assert resume.main() == more
    assert resume.reads[resume.ANEW] > 0
