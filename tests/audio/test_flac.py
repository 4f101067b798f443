from __future__ import annotations

import io
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


def test_headers_without_a_stream_are_none(babble: Babble) -> None:
    data = encoded(babble(10.0), 16000, "PCM_16")
    assert not has_surplus(data[: STREAMINFO - 1], data, 0)
    assert not has_surplus(b"fLaX" + data[4:STREAMINFO], data, 0)
