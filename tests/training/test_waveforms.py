"""Samples of recordings: kept as far as memory goes, decoded again beyond it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline import audio
from pipeline.training import examples, waveforms
from pipeline.training.waveforms import Room, Waveforms


def test_samples_are_those_of_the_file_however_little_is_kept(tones: Path, monkeypatch) -> None:
    recordings = [each.recording for each in examples.find([str(tones)], "label").examples]
    one = recordings[0].seconds * 4 * 16_000
    expected = [audio.load(tones.parent / f"{number:02}.wav")[0] for number in range(len(recordings))]
    calls = []
    real = waveforms.sources.read
    monkeypatch.setattr(waveforms.sources, "read", lambda unit: calls.append(len(unit.recordings)) or real(unit))
    for cache, kept in ((0, 0), (int(3.5 * one), 3), (10**9, len(recordings))):
        calls.clear()
        held = Waveforms(recordings, room=Room(cache))
        held.fill()
        filled = sum(calls)
        found = [held.samples(number) for number in range(len(recordings))]
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        assert filled == kept
        assert sum(calls) - filled == len(recordings) - kept
