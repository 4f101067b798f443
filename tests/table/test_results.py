"""Rows of every task have a result or a reason why there is none."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from pipeline.table.results import contradictions
from pipeline.table.schema import ERROR
from pipeline.tasks import classify, frames, transcribe

ERRORS = {"stage": "read", "type": "missing", "message": "gone"}
VECTOR = pa.list_(pa.float32(), 2)
TYPES = {
    "text": pa.string(), "words": transcribe.COLUMNS[2].type, "score": pa.float32(), "label": pa.string(),
    "frames": pa.list_(frames.SPAN), "embedding": VECTOR,
}  # fmt: skip


def told(task: str, **values: Any) -> list[str]:
    """What is wrong with one row."""
    types = {**TYPES, "warnings": pa.list_(pa.string()), "error": ERROR}
    row = {"warnings": [], "error": None, **values}
    return list(contradictions(pa.table({name: pa.array([row[name]], types[name]) for name in row}), task))


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("transcribe", {"text": "", "words": []}),
        ("transcribe", {"text": None, "words": None, "error": ERRORS}),
        ("classify", {"label": "a", "score": 0.5}),
        ("classify", {"label": None, "score": -3.0}),  # a number has no label
        ("classify", {"label": None, "score": None, "warnings": ["too short to classify"]}),
        ("frames", {"frames": []}),
        ("embed", {"embedding": [0.6, 0.8]}),
        ("embed", {"embedding": None, "warnings": ["too little speech"]}),
        ("translate", {}),
    ],
)
def test_rows_that_a_task_makes(task: str, values: dict[str, Any]) -> None:
    assert told(task, **values) == []


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        ("transcribe", {"text": None, "words": None, "warnings": ["odd"]}, "1 rows have neither text nor error"),
        ("transcribe", {"text": None, "words": [], "error": ERRORS}, "1 rows have a text or words and an error"),
        ("classify", {"label": None, "score": None}, "1 rows have neither score nor error"),
        ("classify", {"label": "a", "score": math.nan}, "1 rows have no finite number as their score"),
        ("classify", {"label": "a", "score": 0.5, "error": ERRORS}, "1 rows have a score and an error"),
        ("frames", {"frames": None, "warnings": ["odd"]}, "1 rows have neither frames nor error"),
        ("frames", {}, "1 rows have neither frames nor error"),
        ("embed", {"embedding": None}, "1 rows have neither embedding nor error"),
        ("embed", {"embedding": [math.nan, 7.0]}, "1 rows have no finite number as their embedding"),
        ("embed", {"embedding": [None, 7.0]}, "1 rows have no finite number as their embedding"),
    ],
)
def test_rows_that_no_task_makes(task: str, values: dict[str, Any], message: str) -> None:
    assert told(task, **values) == [message]


def test_nulls_beside_them_are_passed_over() -> None:
    vectors = pa.array([None, [1.0, math.inf], None, [0.0, 1.0], [math.nan, math.nan]], VECTOR)
    odd = pa.array([["quiet"]] * 5, pa.list_(pa.string()))
    table = pa.table({"embedding": vectors, "warnings": odd, "error": pa.nulls(5, ERROR)})
    assert list(contradictions(table, "embed")) == ["2 rows have no finite number as their embedding"]
    assert list(contradictions(table.slice(2), "embed")) == ["1 rows have no finite number as their embedding"]


def test_every_task_is_known() -> None:
    from pipeline.job import TASKS
    from pipeline.table.results import RESULTS

    assert set(RESULTS) == set(TASKS)
    assert RESULTS["classify"] in {each.name for each in classify.COLUMNS}
