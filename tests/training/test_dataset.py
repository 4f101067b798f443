"""Examples as the model sees them: the same for the same epoch, of the length that was planned, targets in step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import audio
from pipeline.audio.fbank import log_mel
from pipeline.training import dataset, examples
from pipeline.training.augment import Recipe
from pipeline.training.dataset import Dataset, Drawing
from pipeline.training.labels import space_of_frames
from pipeline.training.waveforms import Room, Waveforms

LOUD = Recipe(noise=1, snr=(20, 30), filters=1, reverb=0.5, gain=6)
Make = Callable[..., Dataset]


@pytest.fixture
def make(tones: Path) -> Make:
    """Return a function drawing -> the tones with frames of tone and silence."""
    found = examples.find([str(tones)], "frames").examples
    space = space_of_frames([each.label for each in found], "silence")

    def make(drawing: Drawing | None = None, *, cache: int = 10**8, **given: Any) -> Dataset:
        waveforms = Waveforms([each.recording for each in found], room=Room(cache))
        return Dataset(found, space, waveforms, drawing or (Drawing(**given) if given else None))

    return make


def test_as_they_are_examples_are_what_the_jobs_hear(make: Make, tones: Path) -> None:
    item = make().item(0, 3)
    assert item is not None
    samples, _ = audio.load(tones.parent / "03.wav")
    assert np.array_equal(item.features, audio.fbank(samples, dtype=np.float64))
    assert len(item.target) == len(item.features)


def test_of_a_long_example_that_is_judged_the_start_is_heard(
    make: Make, tones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "LONGEST_WHOLE", 0.4)
    judged = make()
    item = judged.item(0, 3)
    samples, _ = audio.load(tones.parent / "03.wav")
    assert len(samples) > 0.5 * audio.SAMPLE_RATE
    assert item is not None
    assert np.array_equal(item.features, audio.fbank(samples[: round(0.4 * audio.SAMPLE_RATE)], dtype=np.float64))
    assert len(item.target) == len(item.features) == judged.lengths(0)[3]


@pytest.mark.parametrize("variants", [0, 3])
def test_an_epoch_is_drawn_the_same_again_and_others_are_not(make: Make, variants: int) -> None:
    given: dict[str, Any] = {"seed": 1, "longest": 0.5, "speeds": (0.9, 1.0, 1.1), "recipe": LOUD, "variants": variants}
    one, two = make(**given), make(**given)
    # In another order, as after a resumption.
    later = two.item(4, 5)
    for epoch in (0, 4):
        first, second = one.item(epoch, 5), two.item(epoch, 5)
        assert first is not None
        assert second is not None
        assert np.array_equal(first.features, second.features)
    other = one.item(0, 5)
    assert later is not None
    assert other is not None
    assert later.features.shape != other.features.shape or not np.allclose(later.features, other.features)


def test_changed_copies_are_kept_as_far_as_memory_goes_and_made_again_beyond_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"seed": 1, "longest": 0.5, "recipe": LOUD, "variants": 2}
    made: list[int] = []

    def counted(samples: Any, **options: Any) -> Any:
        made.append(len(samples))
        return log_mel(samples, **options)

    monkeypatch.setattr(dataset, "log_mel", counted)
    counts, last = [], []
    # Of one copy 0.9 to 1.2 s are kept, 100 frames of 80 values a second; of the audio, 16,000.
    for cache in (10**8, 16 * 80_000 + 120_000, 0):
        made.clear()
        data = make(**given, cache=cache)
        data.waveforms.fill()
        drawn = [data.item(epoch, index) for epoch in range(4) for index in range(len(data))]
        assert data.waveforms.room.left >= 0
        counts.append(len(made))
        last.append(np.concatenate([each.features for each in drawn if each is not None]))
    assert counts[0] == 2 * 16
    assert counts[0] < counts[1] < counts[2] == 4 * 16
    assert np.array_equal(last[0], last[1])
    assert np.array_equal(last[0], last[2])


@pytest.mark.parametrize("variants", [0, 2])
def test_lengths_are_known_before_any_audio_is_changed(make: Make, variants: int) -> None:
    data = make(seed=2, longest=0.7, speeds=(0.8, 1.0, 1.2), recipe=LOUD, variants=variants)
    for epoch in range(3):
        for index, length in enumerate(data.lengths(epoch)):
            item = data.item(epoch, index)
            assert item is not None
            assert abs(len(item.features) - length) <= 1


@pytest.mark.parametrize("variants", [0, 2])
def test_targets_move_with_the_audio(make: Make, variants: int) -> None:
    data = make(seed=3, longest=0.6, speeds=(0.8, 1.0, 1.25), variants=variants)
    agree = []
    for epoch in range(4):
        for index in range(len(data)):
            item = data.item(epoch, index)
            assert item is not None
            if len(set(item.target.tolist())) == 2:
                # In bands without the tone there is only noise, as loud after normalisation.
                middle = (item.features.min(0) + item.features.max(0)) / 2
                agree.append(((item.features > middle) == item.target[:, None]).mean(0).max())
    assert len(agree) > 10
    assert np.mean(agree) > 0.93


@pytest.mark.parametrize("drawing", [None, Drawing(seed=1, longest=5.0), Drawing(seed=1, longest=5.0, variants=1)])
def test_labels_of_a_part_count_from_the_start_of_the_whole_recording(
    tones: Path, tmp_path: Path, drawing: Drawing | None
) -> None:
    label = [{"start": 0.3, "end": 0.5, "label": "tone"}]
    line = {"audio_filepath": str(tones.parent / "03.wav"), "offset": 0.2, "duration": 0.6, "frames": label}
    (tmp_path / "part.jsonl").write_text(json.dumps(line))
    found = examples.find([str(tmp_path / "part.jsonl")], "frames").examples
    waveforms = Waveforms([each.recording for each in found], room=Room(0))
    item = Dataset(found, space_of_frames([label], "silence"), waveforms, drawing).item(0, 0)
    assert item is not None
    # 0.1 s to 0.3 s of what is heard; the middle of frame t is 17.5 ms after t times 20 ms.
    assert np.flatnonzero(item.target)[[0, -1]].tolist() == [5, 14]


def test_what_cannot_be_read_is_none_and_counted(make: Make) -> None:
    data = make()
    recordings = [each.recording for each in data.examples]
    from dataclasses import replace

    recordings[2] = replace(recordings[2], source=recordings[2].source.replace("02.wav", "gone.wav"))
    data.waveforms = Waveforms(recordings, room=Room(0))
    assert data.item(0, 2) is None
    assert data.waveforms.errors[2].stage == "read"
    # Batches stay as planned: another worker, or the same training later, may not know it.
    assert data.lengths(0) == make().lengths(0)
