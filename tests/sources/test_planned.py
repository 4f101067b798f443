from collections.abc import Callable
from pathlib import Path

from pipeline.sources import Problem, entries
from pipeline.storage import put

Audio = Callable[..., bytes]


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
