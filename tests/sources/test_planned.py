from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.sources import Problem, entries, planned
from pipeline.storage import put

Audio = Callable[..., bytes]


def test_long_audio_without_a_length_is_measured_exactly(
    folder: str, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    put.put(f"{folder}/a.ogg", audio(3.0, "OGG", rate=44100))
    ((first,),) = [item for item in entries([folder]) if not isinstance(item, Problem)]
    assert first.seconds_from == "bitrate"
    monkeypatch.setattr(planned, "WHOLE_SECONDS", 1.0)
    monkeypatch.setattr(planned, "WHOLE_BYTES", 1000)
    ((exact,),) = [item for item in entries([folder]) if not isinstance(item, Problem)]
    assert (exact.seconds, exact.seconds_from, exact.sample_rate) == (3.0, "header", 44100)


def test_long_nonsense_stays_an_estimate(tmp_path: Path) -> None:
    with (tmp_path / "a.mp3").open("wb") as file:
        file.truncate(2 * 10**9)
    ((recording,),) = [item for item in entries([str(tmp_path)]) if not isinstance(item, Problem)]
    assert recording.seconds_from == "estimate"


def test_a_picture_before_the_audio_is_stepped_over(folder: str, audio: Audio) -> None:
    tag = b"ID3\x04\x00\x00\x00\x02\x00\x00" + bytes(2 * 128 * 128)
    flac = audio(0.5, "FLAC")
    put.put(f"{folder}/a.flac", tag + flac)
    ((recording,),) = [item for item in entries([folder]) if not isinstance(item, Problem)]
    assert (recording.seconds, recording.seconds_from, recording.size) == (0.5, "header", len(tag) + len(flac))
