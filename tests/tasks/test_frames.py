"""Rows of frame labels: spans with times and scores, probabilities on request."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline import config
from pipeline.errors import UserError
from pipeline.models.outputs import FrameOutput
from pipeline.tasks import TASKS, Heard, frames
from pipeline.tasks.frames import Frames
from pipeline.tasks.labels import Labels
from pipeline.tasks.spans import Rule

RULE = Rule(threshold=0.5, release=0.5, min_frames=1, min_gap=0)
TASK = Frames(Labels(("silence", "speech")), "silence", RULE, probabilities=False)


def heard(speech: list[float], **facts: Any) -> Heard:
    column = np.array([[1 - p, p] for p in speech], np.float16).reshape(-1, 2)
    return Heard((column,), **facts)


def spans(task: Frames, one: Heard) -> list[tuple[float, float, str, float]]:
    found = task.rows([one]).columns["frames"][0].as_py()
    return [(each["start"], each["end"], each["label"], round(each["score"], 3)) for each in found]


def test_labels_have_times_and_the_mean_of_their_probability():
    assert spans(TASK, heard([0, 0.5, 1, 0])) == [(0.02, 0.06, "speech", 0.75)]


def test_times_count_from_the_start_of_the_recording_and_end_with_the_audio():
    assert spans(TASK, heard([1, 1], offset=5.0, start=5.0, audio_end=5.035)) == [(5.0, 5.035, "speech", 1.0)]


def test_context_of_a_span_is_not_its_own():
    assert spans(TASK, heard([1, 1, 1, 0, 1], own=(2, 4), offset=9.96)) == [(10.0, 10.02, "speech", 1.0)]


def test_without_a_background_every_class_has_spans_in_the_order_of_time():
    task = Frames(Labels(("silence", "speech")), None, RULE, probabilities=False)
    assert [each[2] for each in spans(task, heard([0, 1, 0]))] == ["silence", "speech", "silence"]
    np.testing.assert_allclose(task.speech(np.array([[0.25, 0.75], [0.5, 0.5]])), [0.75, 0.5])


def test_silence_is_an_empty_list_and_a_recording_that_failed_null():
    rows = TASK.rows([heard([0, 0]), heard([]), None])
    assert rows.columns["frames"].to_pylist() == [[], [], None]


def test_no_number_is_an_error_of_that_recording_only():
    rows = TASK.rows([heard([float("nan")]), heard([1])])
    assert {number: error.type for number, error in rows.errors.items()} == {0: "not_finite"}
    assert [value is None for value in rows.columns["frames"].to_pylist()] == [True, False]


def test_probabilities_are_a_column_on_request_and_bounded(monkeypatch):
    monkeypatch.setattr(frames, "MOST_PROBABILITIES", 3)
    task = Frames(Labels(("silence", "speech")), "silence", RULE, probabilities=True)
    rows = task.rows([heard([0, 0.5, 1]), heard([0] * 4), heard([1] * 4, own=(1, 3))])
    assert rows.columns["probabilities"].type == pa.list_(pa.list_(pa.float16(), 2))
    assert rows.columns["probabilities"].to_pylist() == [[[1, 0], [0.5, 0.5], [0, 1]], None, [[0, 1], [0, 1]]]
    assert list(rows.warnings) == [1]
    assert [field.name for field in task.columns] == ["frames", "probabilities"]
    assert [field.name for field in TASK.columns] == ["frames"]


def test_probabilities_are_no_objects_of_their_own():
    labels = Labels(tuple(f"l{number}" for number in range(16)))
    task = Frames(labels, None, RULE, probabilities=True)
    minutes = Heard((np.zeros((120 * 50, 16), np.float16),))
    task.rows([minutes])
    tracemalloc.start()
    try:
        task.rows([minutes])
        assert tracemalloc.get_traced_memory()[1] < 1.5e6
    finally:
        tracemalloc.stop()


def test_what_leaves_the_device_is_half_precision_probabilities():
    (found,) = TASK.reduce(FrameOutput(torch.tensor([[0.0, 0.0], [0.0, 9.0]]), torch.zeros(2, 1), (2,)))
    assert (found.dtype, found[0].tolist(), found[1, 1] > 0.99) == (torch.float16, [0.5, 0.5], True)


def made(folder, **options: Any) -> Frames:
    (folder / "config.json").write_text('{"id2label": {"0": "talk", "1": "Silence"}}')
    return TASKS["frames"].of(folder, config.make(options))


def test_the_background_is_the_class_that_is_called_so_and_times_become_frames(tmp_path):
    task = made(tmp_path, threshold="60%", min_duration="200ms", min_gap="90ms")
    assert task == Frames(
        Labels(("talk", "Silence")), "Silence", Rule(0.6, 0.35, min_frames=10, min_gap=4), probabilities=False
    )
    assert made(tmp_path, background="talk").background == "talk"


def test_a_background_that_is_no_class_is_refused(tmp_path):
    with pytest.raises(UserError, match="--background hush: the classes of .* are talk, Silence; name one of them"):
        made(tmp_path, background="hush")


def test_a_label_across_a_seam_is_in_both_rows():
    task = Frames(Labels(("silence", "speech")), "silence", Rule(0.5, 0.5, min_frames=4, min_gap=0), False)
    talk = [0, 0, 1, 1, 1, 1, 0, 0]
    before = heard(talk, own=(0, 4), own_end=0.08, audio_end=0.05)  # the quiet moment is before the seam
    after = heard(talk, own=(4, 8), start=0.05)
    assert [spans(task, before), spans(task, after)] == [
        [(0.04, 0.08, "speech", 1.0)], [(0.08, 0.12, "speech", 1.0)],
    ]  # fmt: skip


def test_silence_is_the_background_before_noise(tmp_path):
    (tmp_path / "config.json").write_text('{"id2label": {"0": "noise", "1": "speech", "2": "silence"}}')
    assert TASKS["frames"].of(tmp_path, config.make({})).background == "silence"
