"""What a run leaves behind, and what finding it out costs: nothing is read of a unit that was counted before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import plan
from pipeline.outcome import outcome, standing
from pipeline.plan.success import read_success
from pipeline.receipts import Receipt
from pipeline.storage.put import put
from pipeline.table import layout
from pipeline.table.unit_file import read_unit
from pipeline.tally import Tally
from tests.table.conftest import Made, rows_of

NAMES = ("transcribe",)
RUN = "20260101T000000.000-0000"
UNIT = re.compile(r"^GET \S*/transcribe/[0-9a-f]{32}\.parquet")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    (tmp_path / "out").mkdir()
    return Made(str(tmp_path / "out"))


def worked(made: Made, *numbers: int, broken: tuple[str, ...] = (), outcome: Any = "committed") -> Tally:
    """Commit units, and what a run has counted of it."""
    tally = Tally(recordings=0, audio_seconds=0.0, workers={})
    for number in numbers:
        unit = made.unit(number)
        size = made.put(unit, rows_of(unit, broken=broken))
        errors = sum(each.id in broken for each in unit.recordings)
        tally.record(
            Receipt(
                unit.name, outcome, task="transcribe", size=size, rows=len(unit.recordings),
                errors={"decode.decode": errors} if errors else {},
            )
        )  # fmt: skip
    return tally


def after(made: Made, tally: Tally | None) -> Any:
    return outcome(made.output, RUN, plan.read_planned(made.output), standing(made.output, NAMES, made.units), tally)


def test_the_table_is_counted_and_claimed_complete(made: Made) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.declare()
    half = after(made, worked(made, 0, broken=("c/b",)))
    assert [unit.name for unit in half.pending["transcribe"]] == [made.units[1].name]
    assert (half.totals["transcribe"].rows, half.totals["transcribe"].errors) == (2, 1)
    assert read_success(made.output) is None
    whole = after(made, worked(made, 1))
    assert (list(whole.pending["transcribe"]), whole.totals["transcribe"].rows, whole.trouble) == ([], 4, "")
    assert read_success(made.output) is not None


def test_a_row_that_a_newer_one_replaces_is_not_counted_twice(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.declare()
    assert after(made, worked(made, 0, broken=("c/a",))).totals["transcribe"].errors == 1
    made.plan("a", "b", version="2-2", seconds=30.0)
    assert after(made, None).totals["transcribe"].rows == 2
    totals = after(made, worked(made, 1)).totals["transcribe"]
    assert (totals.rows, totals.errors) == (2, 0)


def test_a_damaged_file_is_told_and_nothing_is_claimed(made: Made) -> None:
    made.plan("a", "b")
    made.declare()
    tally = worked(made, 0, 1)
    made.file(0).write_bytes(b"junk" * 100)
    found = after(made, worked(made, outcome="taken"))
    assert found.damaged == (str(made.file(0)),)
    assert f"{made.file(0)} is damaged; delete it and run again" in found.trouble
    assert len(found.pending["transcribe"]) == 1
    assert read_success(made.output) is None
    assert tally.committed["transcribe"].keys() == {unit.name for unit in made.units}


def test_a_unit_that_may_not_be_read_ends_the_counting_and_no_run(made: Made, s3_proxy: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a", "b")
    made.declare()
    worked(made, 0, 1)
    file = layout.unit_file(made.output, "transcribe", made.units[0].name)
    s3_proxy.refuse(f"^GET .*/{made.units[0].name}", status=403, code="InvalidObjectState")
    found = after(made, worked(made, outcome="taken"))
    remedy = "Check AWS_PROFILE or the bucket policy: s3:GetObject is needed."
    assert found.trouble == f"by a fault: {file}: access denied (403) while reading. {remedy}"
    assert found.damaged == ()
    assert len(found.pending["transcribe"]) == 1
    assert read_success(made.output) is None


def test_what_others_committed_is_read_and_not_believed(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.declare()
    tally = worked(made, 0, broken=("c/b",), outcome="taken")
    assert tally.committed["transcribe"] == {}
    assert after(made, tally).totals["transcribe"].errors == 1


def test_what_a_stopped_run_committed_and_never_heard_of_is_counted_as_its_own(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr("pipeline.late.read_unit", lambda file: (read.append(file), read_unit(file))[1])
    made.plan("a", "b", "c", "d", "e", "f", seconds=30.0)
    made.declare()
    before = standing(made.output, NAMES, made.units)
    tally = worked(made, 0)
    tally.stop()
    late, others = made.unit(1), made.unit(2)
    made.put(late, rows_of(late, broken=("c/c",)), run=RUN)
    made.put(others, rows_of(others), run="another")
    after = outcome(made.output, RUN, plan.read_planned(made.output), before, tally).totals["transcribe"]
    told = tally.totals()
    assert (told["rows"], told["units"], told["errors"]) == (4, 2, {"decode.decode": 1})
    assert told["audio_seconds"] == 30.0
    assert (after.rows, after.errors) == (6, 1)
    assert read == [layout.unit_file(made.output, "transcribe", late.name)]


def test_a_run_with_nothing_to_do_lists_once_and_reads_no_unit(made: Made, s3_proxy: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan(*(f"{number:03d}" for number in range(40)))
    made.declare()
    after(made, worked(made, *range(39)))
    s3_proxy.requests.clear()
    before = standing(made.output, NAMES, made.units)
    assert [line for line in s3_proxy.requests if UNIT.match(line)] == []
    assert sum("prefix=out%2Ftranscribe%2F" in line for line in s3_proxy.requests) == 1
    found = outcome(made.output, RUN, plan.read_planned(made.output), before, worked(made, 39))
    assert (found.totals["transcribe"].rows, found.pending["transcribe"]) == (40, ())
    assert [line for line in s3_proxy.requests if UNIT.match(line)] == []
    s3_proxy.requests.clear()
    found = after(made, None)
    assert found.totals["transcribe"].rows == 40
    assert [line for line in s3_proxy.requests if UNIT.match(line) or line.startswith("PUT ")] == []
    assert sum("prefix=out%2Ftranscribe%2F" in line for line in s3_proxy.requests) == 1


def test_without_a_cache_only_footers_are_read(made: Made, s3_proxy: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a", "b")
    made.declare()
    after(made, worked(made, 0, 1))
    put(layout.totals_file(made.output, "transcribe"), b"junk")
    s3_proxy.requests.clear()
    assert after(made, None).totals["transcribe"].rows == 2
    assert sum(bool(UNIT.match(line)) for line in s3_proxy.requests) == 2
    s3_proxy.requests.clear()
    assert after(made, None).totals["transcribe"].rows == 2
    assert sum(bool(UNIT.match(line)) for line in s3_proxy.requests) == 0
