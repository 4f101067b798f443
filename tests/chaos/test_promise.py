"""The shared check holds a whole table, and notices each way in which one is not."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.chaos.promise import Broken, check, watch
from tests.table.conftest import Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Three units of two recordings, planned."""
    (tmp_path / "out").mkdir()
    made = Made(str(tmp_path / "out"))
    made.plan(*(f"{number}.wav" for number in range(6)), seconds=30.0)
    return made


def test_a_whole_table_is_kept_and_counted(made: Made) -> None:
    made.commit(broken=["c/0.wav"])
    kept = check(made.output, ids=[f"c/{number}.wav" for number in range(6)], errors=1)
    assert (kept.planned, kept.rows, kept.errors, kept.units) == (6, 6, 1, 3)


def test_a_recording_that_has_changed_counts_once(made: Made) -> None:
    made.plan("0.wav", version="2-2", seconds=30.0)
    made.commit()
    assert check(made.output).rows == 6


def break_one_unit_pending(made: Made) -> None:
    made.file(1).unlink()


def break_orphan(made: Made) -> None:
    made.file(1).with_name("0" * 32 + ".parquet").write_bytes(made.file(1).read_bytes())


def break_half_file(made: Made) -> None:
    table = pq.read_table(made.file(1))
    pq.write_table(table.slice(0, 1), made.file(1), write_page_checksum=True)


def break_an_error_more(made: Made) -> None:
    made.file(1).unlink()
    made.commit(1, broken=["c/2.wav"])


def break_claim(made: Made) -> None:
    Path(made.output, "_SUCCESS").write_text("{}")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (break_one_unit_pending, "transcribe lacks 2 (c/2.wav, c/3.wav)"),
        (break_orphan, "a glob finds files that no reader may: 1 (00000000"),
        (break_half_file, "transcribe lacks 1 (c/3.wav)"),
        (break_an_error_more, "1 rows have an error, not 0: 1 x decode.decode: not audio"),
        (break_claim, "BROKEN, 1 violation"),
    ],
)
def test_what_is_broken_is_told(made: Made, harm, told: str) -> None:
    made.commit()
    harm(made)
    with pytest.raises(Broken, match=re.escape(told)):
        check(made.output)


def test_recordings_that_nobody_planned_are_missed(made: Made) -> None:
    made.commit()
    with pytest.raises(Broken, match=re.escape("planned is something else than what is there: 1 (c/9.wav)")):
        check(made.output, ids=[*(f"c/{number}.wav" for number in range(6)), "c/9.wav"])


def test_a_reader_in_the_middle_sees_whole_units_only(made: Made) -> None:
    made.commit(0)
    seen = watch(made.output, "transcribe", set())
    assert len(seen) == 1
    made.commit(1)
    break_half_file(made)
    with pytest.raises(Broken, match="has 1 of 2 rows"):
        watch(made.output, "transcribe", seen)
