from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audio import decode
from pipeline.audio.heads import show_readable
from pipeline.audio.virtual import VirtualFile
from pipeline.sources.durations import measure

Encode = Callable[..., bytes]
Babble = Callable[..., np.ndarray]

_RIFF_SIZE, _DATA_SIZE = 4, 40
"""Where a WAV header holds them."""


def with_sizes(data: bytes, riff: int, samples: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into("<I", changed, _RIFF_SIZE, riff)
    struct.pack_into("<I", changed, _DATA_SIZE, samples)
    return bytes(changed)


@pytest.mark.parametrize("riff", [0, 8, 36, 0xFFFFFFFF])
def test_a_wav_that_was_never_closed_is_read_as_long_as_it_is_planned(
    encode: Encode, babble: Babble, riff: int
) -> None:
    samples = babble(3.0)
    data = with_sizes(encode(samples, codec="wav"), riff, 0)
    decoded = decode(data)
    assert (decoded.duration, decoded.warnings) == (3.0, ())
    assert measure(data[:4096], len(data), "wav").seconds == 3.0
    np.testing.assert_allclose(decoded.samples, samples, atol=1 / 32768)
    assert decode(data, start=2.0, end=2.5).duration == 0.5


@pytest.mark.parametrize("sizes", [(0xFFFFFFFF, 0xFFFFFFFF), (36, 0)], ids=["streamed", "never closed"])
def test_a_wav_beyond_4_gib_is_read_to_its_end(tmp_path: Path, sizes: tuple[int, int]) -> None:
    path, frames = tmp_path / "long.wav", 1_200_000_000
    tail = np.random.default_rng(0).integers(-9000, 9000, (48000, 2), dtype=np.int16)
    header = io.BytesIO()
    soundfile.write(header, tail[:0], 48000, format="WAV", subtype="PCM_16")
    with path.open("wb") as file:
        file.write(with_sizes(header.getvalue(), *sizes))
        file.seek((frames - len(tail)) * 4, io.SEEK_CUR)
        file.write(tail.tobytes())
    with path.open("rb") as file:
        assert measure(file.read(4096), path.stat().st_size, "wav").seconds == frames / 48000
        file.seek(0)
        decoded = decode(file, start=frames / 48000 - 0.5)
    assert (decoded.duration, decoded.warnings) == (0.5, ())
    with path.open("rb") as file:
        opened = VirtualFile(file)
        assert show_readable(opened) is not None
        with soundfile.SoundFile(opened) as sound:
            sound.seek(frames - 48000)
            np.testing.assert_array_equal(sound.read(dtype="int16"), tail)


@pytest.mark.parametrize("codec", ["wav", "rf64", "w64", "aiff", "au", "flac", "ogg"])
@pytest.mark.parametrize("length", [100, 100_000])
def test_a_tag_before_a_container_is_left_out(encode: Encode, babble: Babble, codec: str, length: int) -> None:
    tag = b"ID3\3\0\0" + bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(length)
    data = encode(babble(3.0), codec=codec)
    decoded, plain = decode(tag + tag + data), decode(data)
    assert (decoded.duration, decoded.warnings) == (3.0, ())
    np.testing.assert_array_equal(decoded.samples, plain.samples)


def test_a_tag_before_a_wav_that_was_never_closed_is_left_out_too(encode: Encode, babble: Babble) -> None:
    tag = b"ID3\3\0\0\0\0\1\0" + bytes(128)
    assert decode(tag + with_sizes(encode(babble(3.0)), 36, 0)).duration == 3.0


def test_a_fault_of_storage_waits_as_any() -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: object) -> int:
            raise ConnectionResetError("gone")

    file = VirtualFile(Broken(b"RIFF" + bytes(100)))
    assert show_readable(file) is None
    with pytest.raises(ConnectionResetError, match="gone"):
        file.check()
