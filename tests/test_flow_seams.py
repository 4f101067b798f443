"""Long recordings: windows and spans leave no trace in what is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from pipeline import audio, flow
from pipeline.corpus import FRAMES_PER_SECOND, Recording
from pipeline.flow import Doing
from pipeline.models.layout import Packed
from pipeline.models.outputs import FrameOutput
from pipeline.models.predict import Predictor
from pipeline.plan import spans
from pipeline.scoring import word_errors
from tests.digits import encoded, utterances
from tests.joined import Joined, join
from tests.units import Ear, recordings_of, unit_of

DEFAULT = flow.Settings.of(window=10, context=1, half=False)
VOICES = 0.05
"""More words mistaken in one recording of many voices, in windows or not, than in each string alone; near seams the
checkpoint mistakes no more than elsewhere."""
LOST = 0.015
"""Share of the digits that it runs into their neighbour, or leaves out, anywhere."""
NEAR = 0.5
"""Seconds around a seam in which a seam might do harm."""
RIGHT = 0.1 + 1e-6
"""Seconds that a word's time may be wrong."""


class Blur:
    """A fake model: a frame's two logits are the means, over `reach` frames on each side, of its loud and quiet half.

    A document's ends are its own: what lies beyond them does not exist for it, as for the real model.
    """

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self.config = SimpleNamespace(vocab_size=2, intermediate_size=64, hidden_size=2, add_adapter=False, labels=())
        self.longest = 0
        self.encoder = SimpleNamespace(states=self._states, kernel="plain")
        self.top = SimpleNamespace(fold=lambda before, number, frames: frames)

    def parameters(self) -> Iterator[Tensor]:
        return iter([torch.zeros(1)])

    def score(self, hidden: Tensor, layout: Packed) -> FrameOutput:
        return FrameOutput(hidden, hidden, layout.lengths)

    def _states(self, features: Tensor, layout: Packed) -> Iterator[Tensor]:
        self.longest = max(self.longest, *layout.lengths)
        yield torch.cat([self._blur(part) for part in features.split(list(layout.lengths))])

    def _blur(self, features: Tensor) -> Tensor:
        halves = torch.stack([part.double().mean(1) for part in features.chunk(2, dim=1)], 1)
        sums = torch.cat([torch.zeros(1, 2, dtype=torch.float64), halves.cumsum(0)])
        places = torch.arange(len(halves))
        first, stop = (places - self._reach).clamp(min=0), (places + self._reach + 1).clamp(max=len(halves))
        return (sums[stop] - sums[first]) / (stop - first)[:, None]


class Blurred:
    """A task that keeps the logits."""

    pools = False

    @staticmethod
    def reduce(output: Any) -> tuple[Tensor, ...]:
        return output.logits[:, 0], output.logits[:, 1]


@pytest.fixture(scope="module")
def ear(checkpoint: Path) -> Ear:
    return Ear.of(checkpoint)


@pytest.fixture(scope="module")
def sentences(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Over a minute at 16 kHz."""
    paths = sorted((speech / "librispeech/test-other").rglob("*.flac"))[:12]
    samples = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths])
    path = tmp_path_factory.mktemp("sentences") / "long.flac"
    path.write_bytes(encoded(samples, 16000))
    return recordings_of(path)[0]


def blurred(recordings: Sequence[Recording], settings: flow.Settings, model: Blur) -> flow.UnitOutputs:
    features = flow.featurise(flow.read(unit_of(recordings)), settings)
    return flow.infer(features, [Predictor({"blurred": model})], {"blurred": Doing(Blurred)}, settings)  # type: ignore


def frames_of(outputs: flow.UnitOutputs) -> tuple[np.ndarray, ...]:
    """What was kept of every frame."""
    kept = outputs.kept["blurred"]
    assert kept.counts == outputs.lengths
    return kept.columns


def whole(settings: flow.Settings) -> flow.Settings:
    return dataclasses.replace(settings, window=10**9)


def cut_into_spans(recording: Recording, seconds: int, patch: pytest.MonkeyPatch) -> list[Recording]:
    """As planning cuts a day, but shorter."""
    patch.setattr(spans, "WHOLE_SECONDS", 2.0 * seconds)
    patch.setattr(spans, "SPAN_SECONDS", float(seconds))
    found = spans.cut(recording)
    assert [each.spans for each in found] == [len(found)] * len(found) != [1]
    return list(found)


@pytest.mark.parametrize(("window", "context"), [(500, 50), (501, 50), (120, 50), (3000, 60)])
def test_windows_leave_no_trace_where_the_model_sees_no_further_than_the_context(
    sentences: Recording, window: int, context: int
) -> None:
    model = Blur(reach=50)
    settings = flow.Settings(window=window, context=context)
    expected = blurred([sentences], whole(settings), model)
    model.longest = 0
    ours = blurred([sentences], settings, model)
    assert model.longest <= window < ours.lengths[0]
    assert expected.fed.context == 0 < ours.fed.context < ours.fed.frames
    for column, same in zip(frames_of(ours), frames_of(expected), strict=True):
        np.testing.assert_allclose(column, same, atol=1e-6, rtol=0)


def test_windows_leave_a_trace_where_the_model_sees_further(sentences: Recording) -> None:
    settings = flow.Settings(window=500, context=50)
    ours, expected = (blurred([sentences], each, Blur(reach=60)) for each in (settings, whole(settings)))
    assert np.abs(frames_of(ours)[0] - frames_of(expected)[0]).max() > 1e-4


@pytest.mark.parametrize("seconds", [7, 20])
def test_spans_leave_no_trace_but_their_normalisation(
    sentences: Recording, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    # A span is normalised over what it hears, the whole over all: without that, both must be the same numbers.
    monkeypatch.setattr(audio.features, "normalise_in_place", lambda frames: None)
    settings = flow.Settings(window=300, context=50)
    expected = blurred([sentences], whole(settings), Blur(reach=50))
    pieces = []
    for span in cut_into_spans(sentences, seconds, monkeypatch):
        part = blurred([span], settings, Blur(reach=50))
        (facts,) = part.facts
        assert facts is not None
        pieces.append([column[facts.first_frame : facts.stop_frame] for column in frames_of(part)])
    for column, same in zip(zip(*pieces, strict=True), frames_of(expected), strict=True):
        np.testing.assert_allclose(np.concatenate(column), same, atol=1e-6, rtol=0)


def test_a_span_without_context_has_all_its_frames(sentences: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = flow.Settings(window=300, context=0)
    total = flow.featurise(flow.read(unit_of([sentences])), settings).lengths[0]
    features = flow.featurise(flow.read(unit_of(cut_into_spans(sentences, 9, monkeypatch))), settings)
    own = [facts.stop_frame - facts.first_frame for facts in features.facts if facts is not None]
    assert own == [*[450] * (len(own) - 1), total - 450 * (len(own) - 1)]


def counts(joined: Joined, words: Sequence[dict[str, Any]]) -> list[int]:
    """How many words each digit got."""
    return [len(heard) for heard in joined.look_up(words)]


def said(joined: Joined, words: Sequence[dict[str, Any]]) -> list[list[str]]:
    """What was heard where each digit lies."""
    return [[word["word"] for word in heard] for heard in joined.look_up(words)]


def rate(joined: Joined, words: Sequence[dict[str, Any]]) -> float:
    errors = word_errors([joined.text], [" ".join(word["word"] for word in words)])
    assert errors.rate is not None
    return errors.rate


def beyond(joined: Joined, words: Sequence[dict[str, Any]]) -> np.ndarray:
    """Seconds by which each word reaches beyond the digit that it is taken for, negative inside of it."""
    found = zip(joined.digits, joined.look_up(words), strict=True)
    return np.array([max(a - word["start"], word["end"] - b) for (_, a, b), heard in found for word in heard])


def moved(joined: Joined, words: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> np.ndarray:
    """Seconds by which the times of equal words differ between two transcripts."""
    pairs = zip(joined.look_up(words), joined.look_up(others), strict=True)
    return np.array(
        [
            max(abs(word["start"] - other["start"]), abs(word["end"] - other["end"]))
            for heard, same in pairs
            if [word["word"] for word in heard] == [word["word"] for word in same]
            for word, other in zip(heard, same, strict=True)
        ]
    )


def seams_of(features: flow.UnitFeatures, settings: flow.Settings) -> list[float]:
    windows = audio.cut(features.lengths[0], window=settings.window, context=settings.context)
    return [each.keep_start / FRAMES_PER_SECOND for each in windows[1:]]


def joined_in(folder: Path, speech: Path, *, seconds: float) -> tuple[Joined, Recording]:
    joined = join(utterances(speech, count=int(seconds / 2)), seconds=seconds)
    path = folder / "joined.flac"
    path.write_bytes(encoded(joined.samples))
    return joined, recordings_of(path)[0]


def piecewise(folder: Path, joined: Joined, ear: Ear) -> float:
    """Word error rate of its strings, each transcribed by itself."""
    folder.mkdir()
    for number, each in enumerate(joined.strings):
        (folder / f"{number:03d}.flac").write_bytes(encoded(each.samples))
    rows = ear.rows(recordings_of(folder))
    return word_errors([each.text for each in joined.strings], [row["text"] for row in rows]).rate or 0.0


def check_words(words: Sequence[dict[str, Any]], *, first: float, last: float) -> None:
    """Monotone and inside."""
    edges = np.array([(word["start"], word["end"]) for word in words])
    assert (edges[:, 0] < edges[:, 1]).all()
    assert (edges[1:, 0] >= edges[:-1, 1]).all()
    assert first <= edges[0, 0]
    assert edges[-1, 1] <= last


def test_spans_share_the_words_of_a_recording(
    speech: Path, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined, recording = joined_in(tmp_path, speech, seconds=180)
    unbroken = ear.rows([recording], DEFAULT)[0]
    cut = cut_into_spans(recording, 40, monkeypatch)
    assert flow.read(unit_of(cut)).slices == (None,) * len(cut)
    rows = ear.rows(cut, DEFAULT)
    assert [row["facts"].start for row in rows] == [span.start for span in cut]
    assert [row["facts"].duration for row in rows] == pytest.approx([span.seconds for span in cut], abs=1e-9)
    assert sum(row["facts"].duration for row in rows) == pytest.approx(joined.seconds, abs=1e-9)
    words = [word for row in rows for word in row["words"]]
    assert [row["text"] for row in rows] == [" ".join(word["word"] for word in row["words"]) for row in rows]
    check_words(words, first=0.0, last=joined.seconds)
    for row in rows:
        # Neighbours part their words at the quietest moment near the seam, not at the seam.
        start, end = row["facts"].quiet_start, row["facts"].quiet_end
        assert all(start <= (word["start"] + word["end"]) / 2 <= end for word in row["words"])
    # Three of the four seams lie in the middle of a digit.
    seams = [row["facts"].start for row in rows[1:]]
    assert sum(joined.near(seams, seconds=0)) == 3
    wrong = np.array([count != 1 for count in counts(joined, words)])
    assert (wrong & joined.near(seams, seconds=NEAR)).sum() == 0
    assert wrong.sum() <= LOST * len(joined.digits)
    apart = moved(joined, words, unbroken["words"])
    late = beyond(joined, words)
    print(
        f"spans: WER {rate(joined, words):.2%}, unbroken {rate(joined, unbroken['words']):.2%}, "
        f"times moved {apart.max():.3f} s"
    )
    assert rate(joined, words) <= rate(joined, unbroken["words"]) + 0.01
    assert apart.max() <= RIGHT
    assert len(apart) > 0.9 * len(joined.digits)
    assert np.mean(late > RIGHT) < 0.02


def test_many_short_spans_lose_and_double_nothing_at_their_seams(
    speech: Path, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined, recording = joined_in(tmp_path, speech, seconds=180)
    rows = ear.rows(cut_into_spans(recording, 11, monkeypatch), DEFAULT)
    words = [word for row in rows for word in row["words"]]
    seams = [row["facts"].start for row in rows[1:]]
    check_words(words, first=0.0, last=joined.seconds)
    wrong = np.array([count != 1 for count in counts(joined, words)])
    near = np.array(joined.near(seams, seconds=NEAR))
    split = sum(joined.near(seams, seconds=0))
    print(
        f"{len(seams)} seams, {split} in digits: {wrong.sum()} digits lost or doubled, "
        f"{(wrong & near).sum()} of them near seams"
    )
    assert split > len(seams) / 2
    assert (wrong & near).sum() == 0
    assert wrong.sum() <= 2


def test_two_minutes_in_windows_are_heard_no_worse_than_whole(speech: Path, tmp_path: Path, ear: Ear) -> None:
    joined, recording = joined_in(tmp_path, speech, seconds=120)
    features = flow.featurise(flow.read(unit_of([recording])), DEFAULT)
    windowed, unwindowed = (ear.rows_of(features, each)[0]["words"] for each in (DEFAULT, whole(DEFAULT)))
    check_words(windowed, first=0.0, last=joined.seconds)
    apart = moved(joined, windowed, unwindowed)
    alone = piecewise(tmp_path / "strings", joined, ear)
    print(
        f"2 min: WER {rate(joined, windowed):.2%}, unwindowed {rate(joined, unwindowed):.2%}, piecewise {alone:.2%}, "
        f"times moved {apart.max():.3f} s"
    )
    assert rate(joined, windowed) <= alone + VOICES
    assert rate(joined, windowed) <= rate(joined, unwindowed)
    assert sum(count != 1 for count in counts(joined, windowed)) <= LOST * len(joined.digits)
    assert len(apart) > 0.8 * len(joined.digits)
    assert apart.max() <= RIGHT


@pytest.mark.slow
def test_ten_minutes_lose_nothing_at_the_seams_of_windows(speech: Path, tmp_path: Path, ear: Ear) -> None:
    joined, recording = joined_in(tmp_path, speech, seconds=600)
    features = flow.featurise(flow.read(unit_of([recording])), DEFAULT)
    # Longer windows have their seams elsewhere.
    settings = [DEFAULT, dataclasses.replace(DEFAULT, window=DEFAULT.window + 100)]
    cuts = [ear.rows_of(features, each)[0]["words"] for each in settings]
    near = np.array([joined.near(seams_of(features, each), seconds=NEAR) for each in settings])
    wrong = np.array([[count != 1 for count in counts(joined, words)] for words in cuts])
    different = np.array([a != b for a, b in zip(*(said(joined, words) for words in cuts), strict=True)])
    close = near.any(0)
    apart = moved(joined, *cuts)
    rates = [rate(joined, words) for words in cuts]
    alone = piecewise(tmp_path / "strings", joined, ear)
    print(
        f"10 min: WER {rates[0]:.2%}, in other windows {rates[1]:.2%}, piecewise {alone:.2%}; "
        f"{different[close].mean():.2%} of {close.sum()} digits near seams heard differently, "
        f"{different[~close].mean():.2%} of the others; times moved {apart.max():.3f} s"
    )
    assert different[close].mean() <= different[~close].mean() + 0.03
    assert (wrong & near).sum(1).max() <= 2
    assert wrong.sum(1).max() <= LOST * len(joined.digits)
    assert max(rates) <= alone + VOICES
    assert np.quantile(apart, 0.999) <= RIGHT
    for words in cuts:
        check_words(words, first=0.0, last=joined.seconds)


@pytest.mark.parametrize("seconds", [5, 7, 9, 11])
def test_neighbouring_spans_never_share_a_word(
    seconds: int, speech: Path, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, recording = joined_in(tmp_path, speech, seconds=150)
    rows = ear.rows(cut_into_spans(recording, seconds, monkeypatch), DEFAULT)
    words = [word for row in rows for word in row["words"]]
    overlaps = [(one, two) for one, two in zip(words, words[1:], strict=False) if two["start"] < one["end"] - 0.021]
    assert overlaps == []
    for one, two in zip(rows, rows[1:], strict=False):
        assert one["facts"].quiet_end == pytest.approx(two["facts"].quiet_start, abs=1e-9)


def test_spans_of_a_stretch_hold_no_word_from_outside_it(
    speech: Path, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, recording = joined_in(tmp_path, speech, seconds=120)
    stretch = dataclasses.replace(recording, id=f"{recording.id}@20.37-100.57", start=20.37, end=100.57, seconds=80.2)
    for row in ear.rows(cut_into_spans(stretch, 25, monkeypatch), DEFAULT):
        for word in row["words"]:
            assert 20.37 <= word["start"] < word["end"] <= 100.57
