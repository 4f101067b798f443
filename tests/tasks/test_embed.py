"""Rows of speaker embeddings: which segments there are, what of speech is kept and dropped, vectors of length 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline import config
from pipeline.models.outputs import EmbeddingOutput
from pipeline.tasks import TASKS, Heard, Stretch, embed
from pipeline.tasks.embed import LONGEST_PAUSE, Embed
from pipeline.tasks.frames import Frames
from pipeline.tasks.labels import Labels
from pipeline.tasks.spans import Rule

SPEECH = Frames(Labels(("silence", "speech")), "silence", Rule(0.5, 0.5, 1, 0), probabilities=False)
TASK = Embed(dimension=2, shortest=75, longest=500, speech=SPEECH)


def stretch(talk: np.ndarray, own: tuple[int, int] | None = None) -> Stretch:
    return Stretch(((0, len(talk)),), own or (0, len(talk)), np.stack([1 - talk, talk], 1).astype(np.float16))


def of_runs(*runs: tuple[int, int]) -> np.ndarray:
    """(speech, frames) one after the other."""
    return np.concatenate([np.full(count, float(value)) for value, count in runs])


def found(task: Embed, given: Stretch) -> list[tuple[int, int, int]]:
    return [(each.start, each.stop, each.speech) for each in task.pieces(given).pieces]


@pytest.mark.parametrize(
    ("runs", "segments"),
    [
        ([(0, 50), (1, 100), (0, 50)], [(50, 150, 100)]),
        ([(1, 74)], []),  # too short
        ([(1, 40), (0, LONGEST_PAUSE - 1), (1, 40)], [(0, 79 + LONGEST_PAUSE, 80)]),  # over a short pause
        ([(1, 80), (0, LONGEST_PAUSE), (1, 80)], [(0, 80, 80), (80 + LONGEST_PAUSE, 160 + LONGEST_PAUSE, 80)]),
        ([(1, 501)], [(0, 250, 250), (250, 501, 251)]),  # in equal parts
        ([(0, 900)], []),
        ([], []),
    ],
)
def test_segments_by_hand(runs, segments):
    talk = of_runs(*runs) if runs else np.empty(0)
    assert found(TASK, stretch(talk)) == segments


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 700)), min_size=1, max_size=12), st.data())
def test_segments_are_within_bounds_and_speech_is_kept_once_or_dropped(runs, data):
    talk = of_runs(*runs)
    first = data.draw(st.integers(0, len(talk)))
    stop = data.draw(st.integers(first, len(talk)))
    pieces = TASK.pieces(stretch(talk, (first, stop)))
    edges = [edge for each in pieces.pieces for edge in (each.start, each.stop)]
    assert edges == sorted(edges)
    assert all(first <= edge <= stop for edge in edges)
    assert all(75 <= each.stop - each.start <= 500 for each in pieces.pieces)
    assert [each.speech for each in pieces.pieces] == [talk[each.start : each.stop].sum() for each in pieces.pieces]
    assert pieces.speech == talk[first:stop].sum() >= sum(each.speech for each in pieces.pieces)


def test_without_a_finder_everything_is_speech():
    task = Embed(2, 75, 500, None)
    assert found(task, Stretch(((0, 100),), (10, 90))) == [(10, 90, 80)]


def heard(vectors: list[list[float]], pieces: list[tuple[int, int, int]], speech: int, **facts: Any) -> Heard:
    places = np.array(pieces, np.int32).reshape(-1, 3)
    return Heard((np.array(vectors, np.float32).reshape(-1, 2),), pieces=places, speech=speech, **facts)


def test_the_recordings_vector_is_the_mean_by_speech_of_length_one():
    one = heard([[1, 0], [0, 1]], [(0, 150, 150), (200, 300, 50)], 230, offset=1.0, start=1.0)
    rows = TASK.rows([one])
    row = {name: column[0].as_py() for name, column in rows.columns.items()}
    np.testing.assert_allclose(row["embedding"], np.array([0.75, 0.25]) / np.hypot(0.75, 0.25), atol=1e-6)
    assert [(each["start"], each["end"], each["speech"]) for each in row["segments"]] == [(1, 4, 3), (5, 7, 1)]
    assert [each["embedding"] for each in row["segments"]] == [[1, 0], [0, 1]]
    assert (row["speech_kept"], row["speech_dropped"]) == (4.0, 0.6)
    assert rows.warnings == {}


def test_too_little_speech_is_null_and_a_warning_never_a_vector_of_nothing():
    rows = TASK.rows([heard([], [], 40), None])
    assert rows.columns["embedding"].to_pylist() == [None, None]
    assert rows.columns["segments"].to_pylist() == [[], None]
    assert rows.columns["speech_dropped"].to_pylist() == [0.8, None]
    assert rows.warnings == {
        0: ("too little speech for an embedding: 0.8 s, where a segment takes 1.5 s (--min-segment)",)
    }


def test_no_number_is_an_error_of_that_recording_only():
    rows = TASK.rows([heard([[np.nan, 0]], [(0, 80, 80)], 80), heard([[1, 0]], [(0, 80, 80)], 80)])
    assert {number: error.type for number, error in rows.errors.items()} == {0: "not_finite"}
    assert [each is None for each in rows.columns["embedding"].to_pylist()] == [True, False]


def test_vectors_leave_the_device_with_length_one():
    (vectors,) = TASK.reduce(EmbeddingOutput(torch.tensor([[3.0, 4.0]]).bfloat16(), torch.zeros(1, 2)))
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, torch.tensor([[0.6, 0.8]]))


def test_vectors_have_a_fixed_size_in_the_table():
    vector = pa.list_(pa.float32(), 2)
    types = {field.name: field.type for field in TASK.columns}
    assert types["embedding"] == vector
    assert types["segments"].value_type.field("embedding").type == vector


def test_the_task_is_made_of_its_checkpoint(tmp_path):
    (tmp_path / "config.json").write_text('{"xvector_output_dim": 32}')
    chosen = config.make({"min_segment": "2s", "max_segment": "8s"})
    assert TASKS["embed"].of(tmp_path, chosen) == Embed(32, 100, 400, None)
    assert embed.of(tmp_path, chosen, SPEECH) == Embed(32, 100, 400, SPEECH)
    (tmp_path / "config.json").write_text("{}")
    assert TASKS["embed"].of(tmp_path, chosen).columns[0].type.list_size == embed.DEFAULT_DIMENSION
