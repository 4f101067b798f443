"""Labels, sets of labels and numbers from table to scores."""

from __future__ import annotations

import json
from typing import Any

import pytest

import pipeline
from pipeline.errors import UserError


def given(**scores: float) -> dict[str, Any]:
    """Columns of a row whose labels have these scores."""
    ordered = sorted(scores.items(), key=lambda item: -item[1])
    return {"label": ordered[0][0], "score": ordered[0][1],
            "scores": [{"label": label, "score": score} for label, score in ordered]}  # fmt: skip


def test_one_label(table: Any, row: Any) -> None:
    rows = [
        row("a.wav", given(yes=0.75, no=0.25), metadata={"label": "yes"}, seconds=0.5),
        row("b.wav", given(yes=0.75, no=0.25), metadata={"label": "no"}, seconds=1.5),
        row("c.wav", given(no=0.75, yes=0.25), metadata={"label": " no"}, seconds=1.5),
        row("d.wav", {}, metadata={"label": "no"}, error=True),
        row("e.wav", given(no=0.75, yes=0.25), metadata={"speaker": "x"}),
    ]
    found = pipeline.evaluate(table("classify", rows))
    assert (found.compared, found.left_out["with an error"], found.left_out["without a reference"]) == (3, 1, 1)
    assert found.reference == "metadata field label"
    figures = json.loads(json.dumps(found.to_json()))["scores"]
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["macro_f1"] == pytest.approx(2 / 3)
    assert figures["confusion"] == {"labels": ["no", "yes"], "counts": [[1, 1], [0, 1]]}
    # Two of three are right at 0.75.
    assert figures["calibration"]["expected_error"] == pytest.approx(0.75 - 2 / 3)
    assert [(each["low"], each["errors"], each["total"]) for each in figures["by_duration"]] == [(0, 0, 1), (1, 1, 2)]
    assert set(found.scores.plots()) == {"confusion.png", "error_by_duration.png"}
    page = found.markdown()
    assert "| accuracy" in page
    assert "expected calibration error, 15 bins of equal width | 8.3 %" in page


def test_references_in_the_text_column_where_no_metadata_has_a_label(table: Any, row: Any) -> None:
    rows = [row("a.wav", given(yes=0.9, no=0.1), "yes", {"speaker": "x"})]
    found = pipeline.evaluate(table("classify", rows))
    assert (found.reference, found.scores.confusion.accuracy) == ("column reference", 1.0)


@pytest.mark.parametrize("digit", [7, 7.0])
def test_numbers_may_be_names_of_labels(table: Any, row: Any, digit: float) -> None:
    said = {"label": "7", "score": 0.9, "scores": [{"label": "7", "score": 0.9}]}
    rows = [row("a.wav", said, metadata={"digit": digit})]
    assert pipeline.evaluate(table("classify", rows), label_field="digit").scores.confusion.accuracy == 1.0


def test_numbers_with_a_fraction_stay_as_the_labels_have_them(table: Any, row: Any) -> None:
    labels = ("0.5", "1.0", "1.5", "2.0")
    said = [{"label": each, "score": 0.9, "scores": [{"label": each, "score": 0.9}]} for each in labels]
    rows = [row(f"{i}.wav", one, metadata={"grade": float(one["label"])}) for i, one in enumerate(said)]
    assert pipeline.evaluate(table("classify", rows), label_field="grade").scores.confusion.accuracy == 1.0


def test_a_reference_that_is_no_number_is_none(table: Any, row: Any) -> None:
    said = {"label": "7", "score": 0.9, "scores": [{"label": "7", "score": 0.9}]}
    rows = [row("a.wav", said, metadata={"digit": 7.0}), row("b.wav", said, metadata={"digit": float("nan")})]
    found = pipeline.evaluate(table("classify", rows), label_field="digit")
    assert found.scores.confusion.counts.sum() == 1
    assert found.scores.confusion.accuracy == 1.0


def test_several_labels(table: Any, row: Any) -> None:
    rows = [
        row("a.wav", given(speech=0.9, music=0.6, noise=0.1), metadata={"label": ["speech", "music"]}),
        row("b.wav", given(speech=0.9, music=0.6, noise=0.1), metadata={"label": ["speech"]}),
        row("c.wav", given(noise=0.4, speech=0.3, music=0.1), metadata={"label": []}),
    ]
    output = table("classify", rows)
    found = pipeline.evaluate(output).scores
    assert (found.found.exact, found.found.recordings) == (2, 3)
    figures = found.to_json()
    assert figures["micro_f1"] == pytest.approx(2 * 3 / (2 * 3 + 1))
    assert figures["kind"] == "several labels"
    assert found.plots() == {}
    assert pipeline.evaluate(output, threshold=0.7).scores.found.exact == 2
    assert pipeline.evaluate(output, threshold=0.05).scores.found.exact == 0


def test_one_reference_for_several_labels_is_told(table: Any, row: Any) -> None:
    rows = [row("a.wav", given(speech=0.9, music=0.8), metadata={"label": "music"})]
    found = pipeline.evaluate(table("classify", rows))
    assert found.scores.confusion.accuracy == 0.0
    assert "Note: the model gives several labels at once and each reference is one" in found.markdown()


def test_shares_of_one_are_one_label(table: Any, row: Any) -> None:
    rows = [row("a.wav", given(speech=0.7, music=0.3), metadata={"label": "music"})]
    assert pipeline.evaluate(table("classify", rows)).scores.notes == []


def test_labels_are_ranked_where_every_class_is_listed(table: Any, row: Any) -> None:
    rows = [
        row("a.wav", given(speech=0.9, music=0.6), metadata={"label": ["speech"]}),
        row("b.wav", given(speech=0.8, music=0.1), metadata={"label": ["music"]}),
    ]
    found = pipeline.evaluate(table("classify", rows))
    figures = found.to_json()["scores"]
    # Speech is first of two; music is right only where both are given.
    assert figures["average_precision"] == {"music": 0.5, "speech": 1.0}
    assert figures["mean_average_precision"] == 0.75
    assert "| mean average precision                             | 75.0 %" in found.markdown()
    assert found.to_json()["notes"] == []


def test_classes_that_are_not_listed_may_be_missed(table: Any, row: Any) -> None:
    rows = [
        row("a.wav", given(speech=0.45, music=0.4), metadata={"label": ["speech", "noise"]}),
        row("b.wav", given(noise=0.6, music=0.1), metadata={"label": ["noise"]}),
    ]
    output = table("classify", rows)
    found = pipeline.evaluate(output, threshold=0.3)
    assert found.scores.cut_short == 1
    assert "Note: in 1 row every listed class has at least --threshold 0.3, and so may classes" in found.markdown()
    assert "not known: some rows do not list all classes" in found.markdown()
    assert found.to_json()["scores"]["mean_average_precision"] is None
    # The task lists all classes from a half on.
    assert [pipeline.evaluate(output, threshold=each).scores.notes for each in (0.42, 0.5)] == [[], []]


def test_a_column_of_text_may_hold_lists_of_labels(table: Any, row: Any) -> None:
    rows = [row("a.wav", given(speech=0.9, music=0.6, noise=0.1), '["speech", "music"]')]
    found = pipeline.evaluate(table("classify", rows)).scores
    assert (found.found.exact, found.found.recordings) == (1, 1)


def test_a_label_in_brackets_is_no_list(table: Any, row: Any) -> None:
    rows = [row("a.wav", given(**{"[noise]": 0.9}), "[noise]")]
    assert pipeline.evaluate(table("classify", rows)).scores.confusion.accuracy == 1.0


def test_numbers(table: Any, row: Any) -> None:
    rows = [
        row("a.wav", {"score": 3.5}, metadata={"label": 3}),
        row("b.wav", {"score": 4.0}, metadata={"label": "4.5"}),
        row("c.wav", {}, metadata={"label": 1}),
    ]
    found = pipeline.evaluate(table("classify", rows))
    assert found.scores.errors.mean_absolute == pytest.approx(0.5)
    assert found.left_out["without a label"] == 1
    assert "mean absolute error" in found.markdown()


@pytest.mark.parametrize(
    ("values", "reference", "message"),
    [
        ({"score": 1.0}, "loud", "the model gives numbers, and the reference 'loud' is none"),
        ({"score": 1.0}, "nan", "the model gives numbers"),
        ({"score": 1.0}, 1e200, "the model gives numbers"),
        ({"score": 1.0}, 10**400, "the model gives numbers"),
        (given(LABEL_0=1.0), "yes", "no reference is a label of the model: the references are such as 'yes', the lab"),
        (given(yes=1.0), "[" * 10**5, "no reference is a label of the model"),
        (given(yes=1.0), {"name": "yes"}, "c/a.wav: the reference of a label must be text, a list of texts or a numbe"),
    ],
)
def test_references_that_do_not_fit(table: Any, row: Any, values: Any, reference: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pipeline.evaluate(table("classify", [row("a.wav", values, metadata={"label": reference})]))


def test_of_many_labels_the_page_shows_the_worst(table: Any, row: Any) -> None:
    rows = [row(f"{n:02}.wav", given(**{f"l{n:02}": 1.0}), metadata={"label": f"l{max(n, 1):02}"}) for n in range(40)]
    page = pipeline.evaluate(table("classify", rows)).markdown()
    assert "## Labels: the 30 with the lowest F1 of 40; scores.json has all" in page
    assert "| l00 " in page
    assert "| l39 " not in page
