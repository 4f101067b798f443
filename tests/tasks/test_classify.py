"""Rows of classification: the best classes, windows with their times, their mean by duration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline import config
from pipeline.models.outputs import ClassOutput
from pipeline.tasks import TASKS, Heard, Stretch
from pipeline.tasks.classify import COLUMNS, Classify
from pipeline.tasks.labels import Labels

LABELS = Labels(("yes", "no", "maybe"))
TASK = Classify(LABELS, top=2)


def heard(scores: list[list[float]], pieces: list[tuple[int, int]], **facts: Any) -> Heard:
    places = np.array([(a, b, 0) for a, b in pieces], np.int32).reshape(-1, 3)
    return Heard(
        (np.array(scores, np.float32).reshape(len(pieces), len(scores[0]) if scores else 3),), pieces=places, **facts
    )


def row(task: Classify, one: Heard | None) -> dict[str, Any]:
    return {name: column[0].as_py() for name, column in task.rows([one]).columns.items()}


def test_the_best_classes_come_first_and_no_more_than_asked_for():
    found = row(TASK, heard([[0.2, 0.7, 0.1]], [(0, 50)]))
    assert (found["label"], found["score"]) == ("no", pytest.approx(0.7))
    assert [(each["label"], round(each["score"], 6)) for each in found["scores"]] == [("no", 0.7), ("yes", 0.2)]
    assert [(each["start"], each["end"]) for each in found["windows"]] == [(0.0, 1.0)]


def test_windows_count_by_their_duration():
    found = row(TASK, heard([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [(0, 150), (150, 200)], offset=10.0, start=10.0))
    assert [(each["label"], round(each["score"], 6)) for each in found["scores"]] == [("yes", 0.75), ("no", 0.25)]
    assert [(each["start"], each["end"]) for each in found["windows"]] == [(10.0, 13.0), (13.0, 14.0)]
    assert [each["scores"][0]["label"] for each in found["windows"]] == ["yes", "no"]


def test_times_end_with_the_audio():
    assert row(TASK, heard([[1, 0, 0]], [(0, 50)], audio_end=0.995))["windows"][0]["end"] == 0.995


def test_numbers_have_no_label_and_stand_in_the_checkpoints_order():
    found = row(Classify(Labels(("valence", "arousal"), "regression"), top=1), heard([[0.5, 3.0]], [(0, 50)]))
    assert (found["label"], found["score"]) == (None, 0.5)
    assert [(each["label"], each["score"]) for each in found["scores"]] == [("valence", 0.5), ("arousal", 3.0)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_an_error_of_that_recording_only(value):
    rows = TASK.rows([heard([[value, 0, 0]], [(0, 9)]), heard([[1, 0, 0]], [(0, 9)]), None])
    assert {number: error.type for number, error in rows.errors.items()} == {0: "not_finite"}
    assert [column.null_count for column in rows.columns.values()] == [2, 2, 2, 2]
    assert {name: column.type for name, column in rows.columns.items()} == {f.name: f.type for f in COLUMNS}


def test_what_is_too_short_has_no_class_and_a_warning():
    rows = TASK.rows([heard([], [])])
    assert rows.columns["label"].to_pylist() == [None]
    assert (rows.warnings, rows.errors) == ({0: ("too short to classify",)}, {})


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("single_label_classification", torch.softmax),
        ("multi_label_classification", lambda logits, _: logits.sigmoid()),
        ("regression", lambda logits, _: logits),
    ],
)
def test_scores_become_what_the_problem_type_says(problem, expected):
    logits = torch.tensor([[1.0, -2.0, 0.5]])
    (found,) = Classify(Labels(("a", "b", "c"), problem), 3).reduce(ClassOutput(logits.bfloat16()))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected(logits.bfloat16().float(), -1))


def test_the_head_sees_each_window_as_far_as_it_is_the_rows_own():
    stretch = Stretch(windows=((0, 100), (100, 200), (200, 300)), own=(150, 260))
    assert [(p.start, p.stop) for p in TASK.pieces(stretch).pieces] == [(150, 200), (200, 260)]
    assert TASK.pieces(Stretch((), (0, 0))).pieces == ()


def test_the_task_is_made_of_its_checkpoint(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"id2label": {"1": "b", "0": "a"}, "problem_type": "multi_label_classification"}'
    )
    made = TASKS["classify"].of(tmp_path, config.make({"top": 7}))
    assert made == Classify(Labels(("a", "b"), "multi_label_classification"), 7)
    assert made.told({"scores": [{"label": "a", "score": 0.5}]}) == "a 0.50"
    assert all(isinstance(field, pa.Field) for field in made.columns)


def test_a_problem_that_there_is_not_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"problem_type": "guessing"}')
    with pytest.raises(Exception, match="problem_type='guessing'; it must be one of single_label_classification"):
        Labels.load(tmp_path)


def test_of_several_labels_all_that_hold_are_listed():
    task = Classify(Labels(("a", "b", "c"), "multi_label_classification"), top=1)
    found = row(task, heard([[0.9, 0.2, 0.6]], [(0, 50)]))
    assert [each["label"] for each in found["scores"]] == ["a", "c"]
