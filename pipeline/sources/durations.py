"""How long is this audio: seconds from the first kilobytes of a file, or an estimate, and which it is."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from pipeline.sources.headers import MAX_RATE, Measured, aiff, au, caf, flac, riff, sphere, wave64
from pipeline.sources.mpeg import id3_end, mpeg
from pipeline.sources.ogg import ogg

BYTES_PER_SECOND: Mapping[str, float] = {
    "wav": 32_000, "wave": 32_000, "rf64": 32_000, "w64": 32_000, "aiff": 88_200, "aif": 88_200,
    "aifc": 88_200, "caf": 88_200, "au": 16_000, "snd": 16_000, "sph": 16_000, "nist": 16_000, "flac": 18_000,
    "mp3": 12_000, "mpga": 12_000, "mp2": 24_000, "mpa": 24_000, "ogg": 10_000, "oga": 10_000,
    "ogx": 10_000, "opus": 3_000, "voc": 16_000,
}  # fmt: skip
"""Typical encoded bytes of one second of speech, for what does not say how long it is."""
_OTHERWISE = 16_000.0

_Parser = Callable[[bytes, int], Measured | None]
_PARSERS: tuple[tuple[bytes, _Parser], ...] = (
    (b"RIFF", riff),
    (b"RIFX", riff),
    (b"RF64", riff),
    (b"BW64", riff),
    (b"riff", wave64),
    (b"FORM", aiff),
    (b".snd", au),
    (b"caff", caf),
    (b"fLaC", flac),
    (b"NIST_1A", sphere),
    (b"OggS", ogg),
)


def measure(head: bytes, size: int, format: str) -> Measured:
    """Measure audio by its container, whatever its name says.

    Args:
        head: the first bytes of the file; 4 KB hold the header of nearly every file.
        size: bytes of the whole file; no file is longer than its bytes can hold.
        format: lower-case extension, for the estimate where the container does not say.

    Returns:
        Seconds (finite, not negative), where they come from, and Hz or 0. Never raises, whatever the bytes.
    """
    try:
        measured = _parse(head, size, format)
    except (struct.error, IndexError, OverflowError, ValueError, ZeroDivisionError):
        measured = None
    if measured is not None and not 0 <= measured.sample_rate <= MAX_RATE:
        measured = measured._replace(sample_rate=0)
    if measured is None:
        return Measured(max(size, 0) / BYTES_PER_SECOND.get(format, _OTHERWISE), "estimate", 0)
    if measured.seconds < 0:
        return Measured(max(size, 0) / BYTES_PER_SECOND.get(format, _OTHERWISE), "estimate", measured.sample_rate)
    return measured


def _parse(head: bytes, size: int, format: str) -> Measured | None:
    start = id3_end(head)
    for magic, parse in _PARSERS:
        if head.startswith(magic, start):
            return parse(head[start:], size - start)
    if start or format in ("mp3", "mp2", "mp1", "mpa", "mpga") or head[:1] == b"\xff":
        return mpeg(head[start:], size - start)
    return None
