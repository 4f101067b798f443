"""Benchmarks that hold a promise fail where it is broken."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from unittest import mock

import pytest

from pipeline import counting
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


@pytest.mark.slow
def test_a_resume_that_reads_committed_units_is_told(monkeypatch) -> None:
    monkeypatch.setattr(resume, "options", argparse.Namespace(units=20, done=0.9))
    monkeypatch.setattr(slowstore, "DELAY", (0.0, 0.0))
    assert resume.main() == 0
    assert resume.reads[resume.COUNT] == 18
    monkeypatch.setattr(counting, "UNITS", 17)
    assert resume.broken()
    monkeypatch.setattr(resume, "reads", Counter({resume.START: 1}))
    assert resume.broken()
