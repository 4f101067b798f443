"""Speaker embeddings from table to scores."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

import pipeline
from pipeline.errors import UserError
from pipeline.scoring.speakers import curve

X, Y, Z = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.8, 0.6, 0.0]


def voice(vector: list[float] | None, *segments: list[float] | None) -> dict[str, Any]:
    found = [{"start": 0.0, "end": 2.0, "embedding": each, "speech": 1.9} for each in segments]
    return {"embedding": vector, "segments": found}


def by(speaker: str) -> dict[str, Any]:
    return {"metadata": {"speaker": speaker}}


def test_all_pairs_of_recordings(voices: str) -> None:
    found = pipeline.evaluate(voices, bootstrap=0)
    assert found.compared == 3
    assert found.left_out == {
        "with an error": 1, "without an embedding: too little speech": 1, "without a reference": 1,
    }  # fmt: skip
    scores = found.scores
    # ann and ann 0.8; ann and bob 0 and 0.6.
    assert (scores.targets, scores.others, scores.embeddings, scores.speakers) == (1, 2, 3, 2)
    assert scores.curve.equal_error_rate == 0.0
    figures = json.loads(json.dumps(found.to_json()))["scores"]
    assert figures["min_cost"] == {"0.05": 0.0, "0.01": 0.0}
    assert figures["interval_95"] is None
    assert set(scores.plots()) == {"det.png"}


def test_pairs_of_segments_leave_out_those_of_one_recording(voices: str) -> None:
    scores = pipeline.evaluate(voices, segments=True, bootstrap=0).scores
    # Segments X, Z of a1, X of a2, Y of b1.
    assert (scores.embeddings, scores.targets, scores.others) == (4, 2, 3)
    assert scores.unscored == {"for both are of one recording": 1, "segments without an embedding": 1}
    assert "all 6 pairs of segments" in pipeline.evaluate(voices, segments=True).markdown()


def test_figures_are_those_of_pairs_counted_by_hand(table: Any, row: Any) -> None:
    random = np.random.default_rng(0)
    names = [f"speaker{n % 6}" for n in range(30)]
    vectors = random.normal(size=(6, 3))[[n % 6 for n in range(30)]] + 0.5 * random.normal(size=(30, 3))
    rows = [row(f"{n:02}.wav", voice(vectors[n].tolist()), **by(names[n])) for n in range(30)]
    found = pipeline.evaluate(table("embed", rows)).scores
    pairs = list(itertools.combinations(range(30), 2))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = curve([unit[i] @ unit[j] for i, j in pairs], [names[i] == names[j] for i, j in pairs])
    assert found.curve.equal_error_rate == pytest.approx(wanted.equal_error_rate, abs=1e-6)
    assert 0.05 < found.curve.equal_error_rate < 0.45
    assert found.interval.low < found.curve.equal_error_rate < found.interval.high
    assert found.drawn == "speakers"


def test_parts_of_one_recording_are_no_trial(table: Any, row: Any) -> None:
    rows = [
        row("l.wav@0-3", voice(X), **by("ann"), recording="l.wav"),
        row("l.wav@3-6", voice(X), **by("ann"), recording="l.wav"),
        row("m.wav", voice(Z), **by("ann")),
        row("b.wav", voice(Y), **by("bob")),
    ]
    scores = pipeline.evaluate(table("embed", rows), bootstrap=0).scores
    assert (scores.targets, scores.others) == (2, 3)
    assert scores.unscored["for both are of one recording"] == 1


@pytest.mark.parametrize(("count", "told"), [(4, "4 speakers, too few for it to mean much)"), (5, "5 speakers)")])
def test_an_interval_of_few_speakers_is_told(table: Any, row: Any, count: int, told: str) -> None:
    random = np.random.default_rng(4)
    rows = [row(f"{n}.wav", voice(random.normal(size=3).tolist()), **by(f"s{n % count}")) for n in range(15)]
    found = pipeline.evaluate(table("embed", rows))
    assert found.scores.interval.groups == found.scores.speakers == count
    assert f"draws of {told}" in found.markdown()


def test_speakers_outside_of_the_trials_are_not_drawn(table: Any, row: Any, tmp_path: Any) -> None:
    vectors = np.random.default_rng(6).normal(size=(9, 3)).tolist()
    rows = [row(f"{n}.wav", voice(vector), **by(f"s{n % 3}")) for n, vector in enumerate(vectors)]
    rows.append(row("9.wav", voice(X)))
    (tmp_path / "trials.txt").write_text("0 3 1\n0 1 0\n1 4 1\n3 4 0\n1 3 0\n")
    scores = pipeline.evaluate(table("embed", rows), trials=str(tmp_path / "trials.txt")).scores
    assert (scores.drawn, scores.speakers, scores.interval.groups) == ("speakers", 2, 2)


def test_one_speaker_alone(table: Any, row: Any) -> None:
    output = table("embed", [row("a.wav", voice(X), **by("ann")), row("b.wav", voice(Z), **by("ann"))])
    with pytest.raises(UserError, match="1 and 0 were given. Score a table with several speakers"):
        pipeline.evaluate(output)


def test_values_that_are_no_numbers(table: Any, row: Any) -> None:
    output = table("embed", [row("a.wav", voice(X), **by("x")), row("b.wav", voice([float("nan"), 0, 0]), **by("y"))])
    with pytest.raises(UserError, match=r"c/b.wav: its embedding has values that are no finite numbers"):
        pipeline.evaluate(output)


def test_the_name_of_a_speaker(table: Any, row: Any) -> None:
    rows = [row("a.wav", voice(X), metadata={"speaker": 1}), row("b.wav", voice(Y), metadata={"speaker": [2]})]
    output = table("embed", rows)
    with pytest.raises(UserError, match=r"c/b.wav: the name of a speaker must be text or a whole number, was '\[2\]'"):
        pipeline.evaluate(output)
