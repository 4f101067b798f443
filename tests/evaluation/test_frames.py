"""Labelled stretches from table to scores."""

from __future__ import annotations

import json
from typing import Any

import pytest

import pipeline
from pipeline.errors import UserError


def stretch(start: float, end: float, label: str = "speech") -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


def labelled(*stretches: dict[str, Any]) -> dict[str, Any]:
    return {"frames": [{**each, "score": 0.9} for each in stretches]}


def test_frames_are_judged_over_each_recording(table: Any, row: Any) -> None:
    rows = [
        row("a.wav", labelled(stretch(0.5, 2.0)), metadata={"frames": [stretch(1.0, 2.0)]}, seconds=3.0),
        row("b.wav", labelled(), metadata={"frames": [stretch(0.0, 1.0)]}, seconds=1.0),
        row("c.wav", {}, metadata={"frames": []}, error=True),
        row("d.wav", labelled()),
    ]
    found = pipeline.evaluate(table("frames", rows))
    assert (found.compared, found.left_out["with an error"], found.left_out["without a reference"]) == (2, 1, 1)
    figures = found.to_json()["scores"]
    (speech,) = figures["labels"]
    assert (speech["hits"], speech["false_alarms"], speech["misses"]) == (50, 25, 50)
    assert figures["background"]["hits"] == 75
    assert (figures["frames"], figures["accuracy"]) == (200, 125 / 200)
    assert figures["macro_f1"] == figures["micro_f1"] == pytest.approx(100 / (100 + 25 + 50))
    assert [(each["errors"], each["total"]) for each in figures["by_duration"]] == [(50, 50), (25, 150)]
    assert "frame F1, mean of 1 label without none" in found.markdown()


def test_a_span_is_judged_over_its_own_audio(table: Any, row: Any) -> None:
    whole = {"recording": "long.wav", "spans": 2, "metadata": {"frames": [stretch(5.0, 15.0)]}, "seconds": 10.0}
    rows = [
        row("long.wav@0-10", labelled(stretch(5.0, 10.0)), **whole),
        row("long.wav@10-20", labelled(stretch(10.0, 15.0)), **whole, span=1, start=10.0),
    ]
    found = pipeline.evaluate(table("frames", rows)).scores.frames
    assert (found.frames, found.exact) == (1000, 1000)


def test_the_name_of_silence_may_be_given(table: Any, row: Any) -> None:
    rows = [row("a.wav", labelled(stretch(1.0, 2.0)),
                metadata={"frames": [stretch(0.0, 1.0, "silence"), stretch(1.0, 2.0)]}, seconds=2.0)]  # fmt: skip
    output = table("frames", rows)
    assert pipeline.evaluate(output).scores.frames.accuracy == 0.5
    found = pipeline.evaluate(output, background="silence").scores.frames
    assert (found.accuracy, found.background.label, found.background.hits) == (1.0, "silence", 50)


def test_a_background_that_nothing_has_is_told(table: Any, row: Any) -> None:
    rows = [row("a.wav", labelled(stretch(1.0, 2.0)),
                metadata={"frames": [stretch(0.0, 1.0, "Silence"), stretch(1.0, 2.0)]}, seconds=2.0)]  # fmt: skip
    output = table("frames", rows)
    missed = "no row has the label Silence; if it means no label, add --background Silence"
    wrong = "no interval has the label silnce, which --background names; there are Silence, speech"
    assert pipeline.evaluate(output, background="silnce").to_json()["notes"] == [wrong, missed]
    assert f"Note: {missed}.\n" in pipeline.evaluate(output).markdown()
    assert pipeline.evaluate(output, background="Silence").scores.notes == []


def test_references_may_be_json_in_a_manifest(table: Any, row: Any, tmp_path: Any) -> None:
    output = table("frames", [row("a.wav", labelled(stretch(1.0, 2.0)))])
    line = {"id": "a", "frames": json.dumps([stretch(1.0, 2.0)])}
    (tmp_path / "r.jsonl").write_text(json.dumps(line))
    assert pipeline.evaluate(output, reference=str(tmp_path / "r.jsonl")).scores.frames.accuracy == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        "speech",
        3,
        [3],
        [{"start": 0}],
        [stretch(2.0, 1.0)],
        [stretch(-1.0, 1.0)],
        "[]x",
        [stretch(0.0, 10**400)],
        "[" * 10**5,
    ],
)
def test_references_that_are_no_intervals(table: Any, row: Any, wrong: Any) -> None:
    output = table("frames", [row("a.wav", labelled(), metadata={"frames": wrong})])
    with pytest.raises(
        UserError, match=r"c/a.wav: the reference of frames must be a list of objects with start <= end"
    ):
        pipeline.evaluate(output)
