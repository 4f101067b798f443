from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from pipeline.audio.flac import STREAMINFO, TAIL, has_surplus

Babble = Callable[..., np.ndarray]


def encoded(samples: np.ndarray, rate: int, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype=subtype)
    return file.getvalue()


def more(data: bytes, num_samples: int) -> bool:
    return has_surplus(data[:STREAMINFO], data[-TAIL:], num_samples)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 12345])
@pytest.mark.parametrize("channels", [1, 2])
def test_frames_beyond_the_count_are_found(babble: Babble, subtype: str, rate: int, channels: int) -> None:
    samples = babble(30.0, rate)
    data = encoded(np.stack([samples] * channels, axis=1), rate, subtype)
    block_size = int.from_bytes(data[8:10], "big")
    assert not more(data, len(samples))
    assert not more(data, len(samples) - block_size // 2)
    assert more(data, len(samples) - 3 * block_size)
    assert more(data, rate)
    assert more(data + b"TAG".ljust(128, b"\0"), rate)


def test_noise_is_no_frame() -> None:
    random = np.random.default_rng(0)
    streaminfo = encoded(np.zeros(16000, dtype=np.float32), 16000, "PCM_16")[:STREAMINFO]
    assert not any(has_surplus(streaminfo, random.bytes(TAIL), 16000) for _ in range(100))


POSSIBLE = b"\xff\xf8\x69\x08\xfe" + b"\xbf" * 6 + b"\0" * 4
"""What only the checksum tells from the header of a frame."""


def test_what_looks_like_frames_costs_little(babble: Babble) -> None:
    data = encoded(babble(5.0), 16000, "PCM_16")
    before = time.process_time()
    for _ in range(20):
        assert not more(data + POSSIBLE * 9000, 80000)
    assert time.process_time() - before < 20 * 0.04


def test_silence_beyond_the_count_is_found() -> None:
    data = encoded(np.zeros(16000 * 900, dtype=np.float32), 16000, "PCM_16")
    assert not more(data, 16000 * 900)
    assert more(data, 16000 * 10)


def test_frames_of_changing_length_are_known_by_their_first_sample_alone() -> None:
    def frame(flags: int, number: int) -> bytes:
        header = bytes([0xFF, 0xF8 | flags, 0xC9, 0x08, number])
        return header + bytes([checksum(header)]) + bytes(40)

    def found(flags: int, smallest: int, num_samples: int) -> bool:
        streaminfo = b"fLaC\0\0\0\x22" + smallest.to_bytes(2, "big") + b"\x10\0" + bytes(14)
        return has_surplus(streaminfo, frame(flags, 100) + frame(flags, 101), num_samples)

    assert found(0, 4096, 100 * 4096)
    assert not found(0, 4096, 101 * 4096)
    assert not found(0, 16, 0)
    for smallest in (16, 4096):
        assert found(1, smallest, 100)
        assert not found(1, smallest, 101)


def checksum(data: bytes) -> int:
    remainder = int.from_bytes(data + b"\0", "big")
    for bit in reversed(range(8, 8 * len(data) + 8)):
        remainder ^= 0x107 << bit - 8 if remainder >> bit & 1 else 0
    return remainder


def test_headers_without_a_stream_are_none(babble: Babble) -> None:
    data = encoded(babble(10.0), 16000, "PCM_16")
    assert not has_surplus(data[: STREAMINFO - 1], data, 0)
    assert not has_surplus(b"fLaX" + data[4:STREAMINFO], data, 0)
