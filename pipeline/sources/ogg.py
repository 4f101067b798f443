"""Lengths of Ogg files: their last page would tell exactly; their first page gives a rate or a bit rate."""

from __future__ import annotations

import struct

from pipeline.sources.headers import Measured, open_ended

_PAGE = 27
_LOWEST_BITS = 2_000
"""bit/s below which a declared bit rate is not believed."""
_OPUS_BYTES = 3_000.0
"""Encoded bytes of one second and channel of speech in Opus at its usual 24 kbit/s."""
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


def ogg(head: bytes, size: int) -> Measured | None:
    """Vorbis by its nominal bit rate, Opus by the usual one; of others only the rate."""
    packet = head[_PAGE + head[_PAGE - 1] :]
    if packet.startswith(b"\x01vorbis"):
        rate, _, nominal, _ = struct.unpack_from("<Iiii", packet, 12)
        if nominal < _LOWEST_BITS:
            return open_ended(rate)
        return Measured(size * 8 / nominal, "bitrate", rate)
    if packet.startswith(b"OpusHead"):
        channels, rate = struct.unpack_from("<xBxxI", packet, 8)
        return Measured(size / (_OPUS_BYTES * max(channels, 1)), "estimate", rate if rate in _OPUS_RATES else 48000)
    if packet.startswith(b"Speex   "):
        return open_ended(struct.unpack_from("<I", packet, 36)[0])
    if packet.startswith(b"\x7fFLAC"):
        return open_ended(int.from_bytes(packet[27:30], "big") >> 4)
    return None
