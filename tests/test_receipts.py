"""What a unit's rows say about themselves."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from pipeline.audio import Facts
from pipeline.corpus import Recording
from pipeline.fed import Fed
from pipeline.flow import UnitOutputs
from pipeline.receipts import Receipt, Timings, counted_once, receipt_of
from pipeline.stitching import Kept
from pipeline.tasks.heard import NO_PIECES

ERROR = pa.struct([("stage", pa.string()), ("type", pa.string()), ("message", pa.string())])

FED = Fed(120, context=15, padding=5)


def recording(name: str) -> Recording:
    return Recording(name, f"file:///{name}", name, "1", name, "wav", 1.0, "header", 9)


def outputs(*durations: float | None, fed: Fed = FED) -> UnitOutputs:
    facts = tuple(None if each is None else Facts(0.0, each, 8000, 1, (), 0, 50, 0.0, 1.0) for each in durations)
    lengths = tuple(0 if each is None else 50 for each in durations)
    return UnitOutputs(
        recordings=tuple(recording(str(number)) for number in range(len(durations))),
        lengths=lengths,
        facts=facts,
        errors={},
        kept={"t": Kept(lengths, (np.zeros(sum(lengths)),), NO_PIECES, (0,) * len(lengths))},
        faults={},
        fed=fed,
    )


def table(
    errors: list[tuple[str, str, str] | None],
    warnings: list[list[str]] | None = None,
    seconds: list[float | None] | None = None,
) -> pa.Table:
    structs = [None if each is None else dict(zip(("stage", "type", "message"), each, strict=True)) for each in errors]
    return pa.table(
        {
            "id": pa.array([f"c/{number}" for number in range(len(errors))]),
            "duration": pa.array(seconds or [None] * len(errors), pa.float64()),
            "error": pa.array(structs, ERROR),
            "warnings": pa.array(warnings or [[]] * len(errors), pa.list_(pa.string())),
        }
    )


def test_a_receipt_counts_rows_audio_frames_and_warnings() -> None:
    warnings = [["odd", "and more"], [], []]
    rows = table([None, None, ("decode", "decode", "not audio")], warnings, [1.5, 2.0, None])
    found = receipt_of("u", "t", rows, outputs(1.5, 2.0, None), size=700, timings=Timings({"read": 1.0}))
    assert (found.unit, found.task, found.outcome) == ("u", "t", "committed")
    assert (found.rows, found.audio_seconds) == (3, 3.5)
    assert (found.fed, found.warnings) == (FED, 1)
    assert found.timings.seconds == {"read": 1.0}


def test_errors_are_counted_by_reason_with_the_first_of_each_as_the_example() -> None:
    rows = table([("decode", "decode", "one"), ("read", "missing", "two"), None, ("decode", "decode", "three")])
    found = receipt_of("u", "t", rows, outputs(None, None, 1.0, None), size=700, timings=Timings())
    assert found.errors == {"decode.decode": 2, "read.missing": 1}
    assert found.examples == {"decode.decode": "c/0: one", "read.missing": "c/1: two"}
    assert found.failed == {"decode.decode": ["c/0", "c/3"], "read.missing": ["c/1"]}


def test_who_came_second_says_so_and_counts_the_rows_all_the_same() -> None:
    found = receipt_of("u", "t", table([None]), outputs(1.0), size=0, timings=Timings())
    assert (found.outcome, found.rows) == ("taken", 1)


def test_a_unit_without_a_recording_that_decodes_has_no_audio() -> None:
    found = receipt_of("u", "t", table([("read", "missing", "x")]), outputs(None), size=700, timings=Timings())
    assert found.audio_seconds == 0


def test_timings_of_stages_are_put_together_and_the_later_one_counts() -> None:
    first = Timings({"read": 1.0, "wait": 9.0}, {"read": 10}, {"read": "a:1"}, {"read": 3})
    second = Timings({"model": 2.0, "wait": 3.0}, {"model": 20}, {"model": "b:2"}, {"model": 2})
    joined = first.joined(second)
    assert joined.seconds == {"read": 1.0, "wait": 3.0, "model": 2.0}
    assert joined.peak_bytes == {"read": 10, "model": 20}
    assert joined.workers == {"read": "a:1", "model": "b:2"}
    assert joined.attempts == {"read": 3, "model": 2}
    assert first.seconds == {"read": 1.0, "wait": 9.0}


def test_workers_in_a_row_at_one_stage_add_up_and_the_most_attempts_of_one_count() -> None:
    first = Timings({"model": 1.0}, {"model": 30}, {"model": "a:1"}, {"model": 3})
    both = first.added(Timings({"model": 2.0}, {"model": 20}, {"model": "b:2"}, {"model": 1}))
    assert both == Timings({"model": 3.0}, {"model": 30}, {"model": "b:2"}, {"model": 3})


def test_a_receipt_is_plain_values_that_travel() -> None:
    found = receipt_of(
        "u", "t", table([("decode", "decode", "é")]), outputs(None), size=700, timings=Timings({"read": 0.5})
    )
    back = json.loads(json.dumps(dataclasses.asdict(found)))
    values = {"timings": Timings(**back["timings"]), "fed": Fed(*back["fed"])}
    assert Receipt(**back | values) == found


def test_receipts_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="rows"):
        Receipt("u", "fault").rows = 3  # type: ignore[misc]


def ended(task: str, seconds: float, outcome: str = "committed") -> Receipt:
    timings = Timings({"read": 1.0, "commit": seconds})
    return Receipt("u", outcome, task=task, rows=2, audio_seconds=9.0, fed=Fed(500, 50), timings=timings)  # type: ignore[arg-type]


def test_audio_frames_and_time_of_a_unit_are_counted_once_whatever_the_number_of_its_tasks() -> None:
    counted = counted_once([ended("a", 0.5), ended("b", 0.7, "taken"), ended("c", 0.9)])
    assert [(each.task, each.outcome, each.rows) for each in counted] == [
        ("a", "committed", 2), ("b", "taken", 2), ("c", "committed", 2),
    ]  # fmt: skip
    heard = [(each.audio_seconds, each.fed) for each in counted]
    assert heard == [
        (9.0, Fed(500, 50)),
        (0, Fed()),
        (0, Fed()),
    ]
    # The last one ended when all had.
    assert [each.timings for each in counted] == [Timings({"read": 1.0, "commit": 0.9}), Timings(), Timings()]


def test_a_task_that_failed_counts_nothing_and_another_stands_for_the_unit() -> None:
    fault = Receipt("u", "fault", task="a", fault="a: 503")
    assert counted_once([fault, ended("b", 0.7)]) == [fault, ended("b", 0.7)]
    assert counted_once([fault]) == [fault]
    assert counted_once([ended("b", 0.7)]) == [ended("b", 0.7)]
