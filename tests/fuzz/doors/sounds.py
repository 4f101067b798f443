"""Small real audio of each container, and what is done to containers."""

from __future__ import annotations

import functools
import io
import tarfile
from pathlib import Path

import numpy as np
import soundfile as sf

KINDS = {
    "wav": ("WAV", "PCM_16"), "wav float": ("WAV", "FLOAT"), "wav adpcm": ("WAV", "IMA_ADPCM"), "wav gsm": ("WAV",
    "GSM610"),
    "wav g721": ("WAV", "G721_32"),
    "wavex": ("WAVEX", "PCM_24"), "rf64": ("RF64", "PCM_16"), "w64": ("W64", "PCM_16"), "flac": ("FLAC", "PCM_16"),
    "flac 24": ("FLAC", "PCM_24"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"), "aiff float": ("AIFF", "FLOAT"), "aiff ima": ("AIFF", "IMA_ADPCM"), "au": ("AU",
    "ULAW"),
    "caf": ("CAF", "PCM_16"), "caf alac": ("CAF", "ALAC_16"), "nist": ("NIST", "PCM_16"), "voc": ("VOC", "PCM_16"),
    "paf": ("PAF", "PCM_16"), "svx": ("SVX", "PCM_16"), "ircam": ("IRCAM", "PCM_16"), "pvf": ("PVF", "PCM_16"),
    "avr": ("AVR", "PCM_16"), "sds": ("SDS", "PCM_16"),
    "wve": ("WVE", "ALAW"),
}  # fmt: skip
"""Name -> libsndfile's names of the container and what is in it."""


@functools.cache
def sounds() -> dict[str, bytes]:
    """A tenth of a second of each kind that this libsndfile writes."""
    made = {name: _written(*kind, seconds=0.1) for name, kind in KINDS.items()}
    return {name: data for name, data in made.items() if data} | {"mp1": _frames(1), "mp2": _frames(2)}


@functools.cache
def spoken() -> bytes:
    """One digit of the corpus that comes along, in FLAC."""
    with tarfile.open(Path(__file__).resolve().parents[3] / "pipeline/demo/digits-000000.tar") as tar:
        member = next(each for each in tar if each.name.endswith(".flac"))
        return tar.extractfile(member).read()  # type: ignore[union-attr]


def _frames(layer: int) -> bytes:
    """A tenth of a second of noise in the older layers of MPEG audio, which libsndfile reads and does not write.

    ISO/IEC 11172-3: 32 kHz, mono, no checksum; frames of 288 bytes, of 384 samples at 192 kbit/s and of 1,152 at 64.
    """
    # In layer I five bits for the samples of each of the 32 bands; 15 for one of them would be no frame.
    head, count = {1: (bytes.fromhex("ffff68c0") + b"\x44" * 16, 8), 2: (bytes.fromhex("fffd48c0"), 3)}[layer]
    noise = np.random.default_rng(layer)
    # No byte begins another frame.
    return b"".join(head + noise.integers(0, 255, 288 - len(head), np.uint8).tobytes() for _ in range(count))


def _written(container: str, inside: str, *, seconds: float) -> bytes:
    rate = 8_000 if container in ("SDS", "WVE") else 16_000
    stereo = container in ("WAVEX", "AIFF")
    noise = np.random.default_rng(1).normal(0, 0.1, (round(seconds * rate), 1 + stereo))
    file = io.BytesIO()
    try:
        sf.write(file, noise, rate, format=container, subtype=inside)
    except sf.LibsndfileError:
        return b""
    return file.getvalue()
