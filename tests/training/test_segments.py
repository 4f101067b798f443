"""Stretches of hidden states: of the right documents, lengths and places."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline import config as running
from pipeline import demo, flow, models
from pipeline.corpus import Recording
from pipeline.flow import Doing
from pipeline.models.layout import Packed
from pipeline.models.predict import Predictor
from pipeline.models.wav2vec2_bert.heads import seen_by_head
from pipeline.models.wav2vec2_bert.xvector import XVectorModel
from pipeline.tasks import Piece, Pieces, embed
from pipeline.training import config, objectives
from pipeline.training.dataset import Dataset
from pipeline.training.examples import Example
from pipeline.training.labels import space_of_speakers
from pipeline.training.objectives import SpeakerObjective
from pipeline.training.segments import equal_segments, random_segments
from pipeline.training.validation import packed
from pipeline.training.waveforms import Room, Waveforms
from tests.heads import checkpoints
from tests.units import WHOLE, recordings_of, unit_of

LAYOUT = Packed((10, 3, 7))
HIDDEN = torch.arange(20.0)[:, None]


def test_random_segments_lie_within_their_documents_and_are_repeated_by_the_seed() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        parts, cut = random_segments(HIDDEN, LAYOUT, shortest=2, longest=5)
        torch.manual_seed(seed)
        assert torch.equal(parts, random_segments(HIDDEN, LAYOUT, shortest=2, longest=5)[0])
        for part, (first, last) in zip(
            torch.split(parts, list(cut.lengths)), [(0, 9), (10, 12), (13, 19)], strict=True
        ):
            assert 2 <= len(part) <= 5
            assert first <= part[0].item()
            assert part[-1].item() <= last
            assert torch.equal(part[:, 0], torch.arange(part[0].item(), part[0].item() + len(part)))


def test_equal_segments_lie_side_by_side_and_short_documents_are_whole() -> None:
    parts, cut, owners = equal_segments(HIDDEN, LAYOUT, length=4)
    assert cut.lengths == (4, 4, 3, 4)
    assert owners == [0, 0, 1, 2]
    assert parts[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16]


@pytest.fixture
def speaker_model(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint of speaker vectors in which nothing is drawn at random in training."""
    folder = checkpoints(checkpoint, tmp_path)["embed"]
    document = json.loads((folder / "config.json").read_text())
    still = {name: 0.0 for name in document if name.endswith(("dropout", "layerdrop"))}
    (folder / "config.json").write_text(json.dumps({**document, **still, "apply_spec_augment": False}))
    return folder


def test_training_pools_the_slices_that_the_job_pools(speaker_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [each for each in recordings_of(demo.corpus_folder() / "digits-000000.tar") if each.seconds < 5][:6]
    assert len(found) == 6
    model = models.load(speaker_model, kernel="plain").train()
    assert isinstance(model, XVectorModel)
    vectors, places = trained(model, found, monkeypatch)
    assert len({stop - start for start, stop in places}) > 1
    assert any(start > 0 for start, _ in places)
    for recording, place, vector in zip(found, places, vectors, strict=True):
        np.testing.assert_allclose(embedded(speaker_model, recording, place, monkeypatch), vector, atol=1e-4)


def trained(
    model: XVectorModel, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> tuple[NDArray[np.float32], list[tuple[int, int]]]:
    """What a step of a training pools of each recording: vectors of length 1, and from which frame to which."""
    places: list[tuple[int, int]] = []
    pooled: list[torch.Tensor] = []

    def watched(hidden: torch.Tensor, layout: Packed, *, shortest: int, longest: int) -> tuple[torch.Tensor, Packed]:
        parts, cut = random_segments(hidden, layout, shortest=shortest, longest=longest)
        for document, part in zip(
            torch.split(hidden, list(layout.lengths)), torch.split(parts, list(cut.lengths)), strict=True
        ):
            (start,) = (document == part[0]).all(1).nonzero()[:, 0].tolist()
            places.append((start, start + len(part)))
        return parts, cut

    monkeypatch.setattr(objectives, "random_segments", watched)
    model.embed.register_forward_hook(lambda module, given, output: pooled.append(output.detach()))
    heard = Dataset(
        [Example(each, each.id) for each in recordings], space_of_speakers([each.id for each in recordings]),
        Waveforms(recordings, room=Room(0)),
    )  # fmt: skip
    items = [item for item in (heard.item(0, index) for index in range(len(heard))) if item is not None]
    objective = SpeakerObjective(config.make({"task": "embed", "segment_from": "0.4s", "segment_to": "1.5s"}))
    torch.manual_seed(5)
    hidden, layout = seen_by_head(model, *packed(items, torch.device("cpu")))
    # Of whom it speaks moves no vector; the head knows fewer speakers than there are recordings.
    objective.loss(model, hidden, layout, [0] * len(items), 1.0)
    (vectors,) = pooled
    return torch.nn.functional.normalize(vectors).numpy(), places


def embedded(
    folder: Path, recording: Recording, place: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> NDArray[np.float32]:
    """What the job says of the same frames of a recording."""
    piece = Piece(*place, place[1] - place[0])
    monkeypatch.setattr(embed.Embed, "pieces", lambda self, stretch: Pieces((piece,), piece.speech))
    features = flow.featurise(flow.read(unit_of([recording])), WHOLE)
    task = embed.of(folder, running.make({}))
    outputs = flow.infer(features, [Predictor({"embed": models.load(folder)})], {"embed": Doing(task)}, WHOLE)
    (segment,) = flow.rows(outputs, "embed", task).columns["segments"][0].as_py()
    assert segment["end"] - segment["start"] == pytest.approx((place[1] - place[0]) / 50)
    return np.array(segment["embedding"], np.float32)
