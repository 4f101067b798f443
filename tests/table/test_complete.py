"""`_SUCCESS` is written only where it is true, and names what it is true of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipeline.plan.success import Success, read_success
from pipeline.table import mark_listed, pending
from tests.table.conftest import mark_success


def test_nothing_planned_is_no_success(made: Any) -> None:
    assert not mark_success(made.output, ["transcribe"])
    assert read_success(made.output) is None


def test_pending_units_are_no_success(made: Any) -> None:
    made.plan("a.wav", "b.wav")
    made.commit(0)
    assert [unit.name for unit in pending(made.output, "transcribe", made.units)] == [made.units[1].name]
    assert not mark_success(made.output, ["transcribe"])
    assert not Path(made.output, "_SUCCESS").exists()


def test_what_was_listed_is_not_claimed_once_more_is_planned(made: Any) -> None:
    made.plan("a.wav")
    made.commit()
    made.plan("a.wav", "b.wav")
    assert not mark_listed(made.output, ["transcribe"], generation=1)
    assert read_success(made.output) is None
    assert mark_listed(made.output, ["transcribe"], generation=2)


def test_success_names_generation_and_all_complete_tasks(made: Any) -> None:
    made.plan("a.wav")
    made.plan("a.wav", "b.wav")
    made.commit()
    assert pending(made.output, "transcribe", made.units) == []
    assert mark_success(made.output, ["transcribe"])
    assert read_success(made.output) == Success(2, ("transcribe",))
    dataclasses.replace(made, task="transcribe-v2").commit()
    assert mark_success(made.output, ["transcribe-v2"])
    assert read_success(made.output) == Success(2, ("transcribe", "transcribe-v2"))


@pytest.mark.parametrize("junk", [b"", b"yes", b"[]", b"\xff"])
def test_a_damaged_claim_is_written_anew(made: Any, junk: bytes) -> None:
    made.plan("a.wav")
    made.commit()
    Path(made.output, "_SUCCESS").write_bytes(junk)
    assert mark_success(made.output, ["transcribe"])
    assert read_success(made.output) == Success(1, ("transcribe",))


def test_planning_more_takes_it_back(made: Any) -> None:
    made.plan("a.wav")
    made.commit()
    assert mark_success(made.output, ["transcribe"])
    made.plan("a.wav", "b.wav")
    assert read_success(made.output) is None
