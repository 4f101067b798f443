import io
import struct

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.durations import BYTES_PER_SECOND, measure

SECONDS = 3.5
CONTAINERS = [
    ("wav", "WAV", "PCM_16"), ("wav", "WAV", "PCM_24"), ("wav", "WAV", "FLOAT"), ("wav", "WAV", "ULAW"),
    ("wav", "WAVEX", "PCM_16"), ("rf64", "RF64", "PCM_16"), ("w64", "W64", "PCM_16"),
    ("aiff", "AIFF", "PCM_16"), ("aif", "AIFF", "PCM_24"), ("aifc", "AIFF", "ULAW"),
    ("au", "AU", "PCM_16"), ("snd", "AU", "ULAW"), ("caf", "CAF", "PCM_16"), ("flac", "FLAC", "PCM_16"),
    ("sph", "NIST", "PCM_16"), ("wav", "WAV", "IMA_ADPCM"), ("wav", "WAV", "MS_ADPCM"),
    ("wav", "WAV", "GSM610"), ("aifc", "AIFF", "FLOAT"),
]  # fmt: skip


def _encode(
    format: str, subtype: str | None = None, *, rate: int = 16000, channels: int = 1, seconds: float = SECONDS
) -> bytes:
    noise = np.random.default_rng(0).normal(0, 0.1, (round(rate * seconds), channels))
    file = io.BytesIO()
    sf.write(file, noise, rate, format=format, subtype=subtype, endian="FILE")
    return file.getvalue()


@pytest.mark.parametrize(("extension", "format", "subtype"), CONTAINERS)
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (8000, 1)])
def test_headers_say_what_libsndfile_decodes(
    extension: str, format: str, subtype: str, rate: int, channels: int
) -> None:
    data = _encode(format, subtype, rate=rate, channels=1 if subtype == "GSM610" else channels)
    measured = measure(data[:4096], len(data), extension)
    info = sf.info(io.BytesIO(data))
    # libsndfile counts half a block more of GSM than there is.
    assert measured == (pytest.approx(info.frames / rate, abs=0.03 if subtype == "GSM610" else 0), "header", rate)


def test_a_caf_whose_packets_are_counted_by_a_table() -> None:
    data = _encode("CAF", "ALAC_16", rate=44100)
    assert measure(data, len(data), "caf") == (SECONDS, "header", 44100)
    assert measure(data[: data.index(b"pakt")], len(data), "caf")[1:] == ("estimate", 44100)


def test_a_big_endian_wav() -> None:
    file = io.BytesIO()
    sf.write(file, np.zeros(16000), 16000, format="WAV", subtype="PCM_16", endian="BIG")
    assert file.getvalue()[:4] == b"RIFX"
    assert measure(file.getvalue()[:4096], len(file.getvalue()), "wav") == (1.0, "header", 16000)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3(rate: int, channels: int) -> None:
    data = _encode("MP3", rate=rate, channels=channels)
    seconds, how, hertz = measure(data[:4096], len(data), "mp3")
    assert how in ("header", "bitrate")
    assert hertz == rate
    assert seconds == pytest.approx(SECONDS, abs=0.2)


def _mp3_frames(count: int, *, tag: bytes = b"") -> bytes:
    """Constant 64 kbit/s, 24 kHz, mono, MPEG-2 layer III: 192 bytes and 576 samples a frame."""
    frame = b"\xff\xf3\x84\xc4" + bytes(188)
    first = bytearray(frame)
    if tag[:4] == b"VBRI":
        first[36 : 36 + len(tag)] = tag
    elif tag:
        first[13 : 13 + len(tag)] = tag
    return bytes(first) + frame * (count - 1)


def test_mp3_by_bit_rate_and_by_tags() -> None:
    plain = _mp3_frames(100)
    assert measure(plain[:1000], len(plain), "mp3") == (pytest.approx(2.4), "bitrate", 24000)
    xing = _mp3_frames(100, tag=b"Xing" + struct.pack(">II", 1, 50))
    assert measure(xing[:1000], len(xing), "mp3") == (pytest.approx(1.2), "header", 24000)
    vbri = _mp3_frames(100, tag=b"VBRI" + bytes(10) + struct.pack(">I", 75))
    assert measure(vbri[:1000], len(vbri), "mp3") == (pytest.approx(1.8), "header", 24000)
    too_many = _mp3_frames(100, tag=b"Info" + struct.pack(">II", 1, 10**9))
    assert measure(too_many[:1000], len(too_many), "mp3") == (pytest.approx(2.4), "bitrate", 24000)


def test_tags_before_the_audio() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    plain = tag + _mp3_frames(100)
    assert measure(plain[:1000], len(plain), "mp3") == (pytest.approx(2.4), "bitrate", 24000)
    flac = tag + _encode("FLAC")
    assert measure(flac[:1000], len(flac), "flac") == (SECONDS, "header", 16000)
    picture = b"ID3\x04\x00\x00\x00\x7f\x7f\x7f" + bytes(5000)
    assert measure(picture, 2_500_000, "mp3") == (2_500_000 / BYTES_PER_SECOND["mp3"], "estimate", 0)


def test_ogg() -> None:
    vorbis = _encode("OGG", "VORBIS", rate=44100, seconds=20)
    seconds, how, rate = measure(vorbis[:4096], len(vorbis), "ogg")
    assert (how, rate) == ("bitrate", 44100)
    assert 10 < seconds < 60
    opus = _encode("OGG", "OPUS", rate=16000)
    assert measure(opus[:4096], len(opus), "opus")[1:] == ("estimate", 16000)


def test_a_name_that_lies_does_not_matter() -> None:
    data = _encode("FLAC")
    assert measure(data[:100], len(data), "wav") == (SECONDS, "header", 16000)


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF, 10**8])
def test_a_streamed_or_cut_wav_is_as_long_as_its_bytes(declared: int) -> None:
    data = bytearray(_encode("WAV", "PCM_16"))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", declared)
    assert measure(bytes(data[:4096]), len(data), "wav").seconds == SECONDS
    half = at + 4 + 32000
    assert measure(bytes(data[:4096]), half, "wav").seconds == 1.0


AIFF = ["PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM"]


@pytest.mark.parametrize("subtype", AIFF)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_chunk_behind_the_samples_of_an_aiff_is_no_audio(subtype: str, channels: int) -> None:
    data = bytearray(_encode("AIFF", subtype, channels=channels, seconds=4.0))
    frames = data.index(b"COMM") + 10
    data[frames : frames + 4] = bytes(4)
    data += b"APPL" + struct.pack(">I", 20_000) + b"stoc" * 5000
    struct.pack_into(">I", data, 4, len(data) - 8)
    assert measure(bytes(data[:4096]), len(data), "aiff") == (4.0, "header", 16000)
    assert sf.info(io.BytesIO(data)).duration == 4.0


@pytest.mark.parametrize("subtype", AIFF)
@pytest.mark.parametrize("channels", [1, 2])
def test_an_aiff_that_was_streamed_or_cut_is_as_long_as_its_bytes(subtype: str, channels: int) -> None:
    data = bytearray(_encode("AIFF", subtype, channels=channels, seconds=4.0))
    frames, samples = data.index(b"COMM") + 10, data.index(b"SSND") + 4
    assert measure(bytes(data[:4096]), len(data), "aiff") == (4.0, "header", 16000)
    data[frames : frames + 4] = bytes(4)
    assert measure(bytes(data[:4096]), len(data), "aiff") == (4.0, "header", 16000)
    assert sf.info(io.BytesIO(data)).duration == 4.0
    data[samples : samples + 4] = bytes(4)
    assert measure(bytes(data[:4096]), len(data), "aiff") == (4.0, "header", 16000)
    half = samples + 12 + (len(data) - samples - 12) // 2
    assert measure(bytes(data[:4096]), half, "aiff").seconds == pytest.approx(2.0, abs=0.01)


def test_a_wav_whose_data_lies_behind_other_chunks() -> None:
    data = _encode("WAV", "PCM_16")
    at = data.index(b"data")
    padded = data[:at] + b"LIST" + struct.pack("<I", 6000) + bytes(6000) + data[at:]
    assert measure(padded[:4096], len(padded), "wav") == (pytest.approx(SECONDS, abs=0.2), "bitrate", 16000)
    assert measure(padded[:8192], len(padded), "wav") == (SECONDS, "header", 16000)


def test_a_flac_that_does_not_know_its_length() -> None:
    data = bytearray(_encode("FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    assert measure(bytes(data), len(data), "flac") == (
        len(data) / BYTES_PER_SECOND["flac"],
        "estimate",
        16000,
    )


def test_a_length_beyond_belief_is_not_believed() -> None:
    data = bytearray(_encode("FLAC"))
    data[21] |= 0x0F
    assert measure(bytes(data[:100]), 100, "flac").seconds_from == "estimate"


@pytest.mark.parametrize("format", [*BYTES_PER_SECOND, "voc", "unheard-of"])
def test_no_audio_at_all(format: str) -> None:
    assert measure(b"", 0, format) == (0.0, "estimate", 0)
    seconds, how, _ = measure(b"This is a text file.\n" * 100, 32_000, format)
    assert how == "estimate"
    assert 0.1 < seconds < 20


_MAGIC = [
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"riff",
    b"FORM",
    b".snd",
    b"caff",
    b"fLaC",
    b"NIST_1A\n",
    b"OggS",
    b"ID3",
    b"\xff\xfb",
]
_PIECES = [
    b"WAVE",
    b"fmt ",
    b"data",
    b"ds64",
    b"fact",
    b"AIFC",
    b"COMM",
    b"desc",
    b"pakt",
    b"OpusHead",
    b"\x01vorbis",
]
_PIECES += [
    b"sample_rate -i ",
    b"\n",
    b"\xff" * 8,
    bytes(8),
    struct.pack("<I", 16),
    struct.pack(">Q", 2**63),
    b"Xing",
]


@given(
    st.sampled_from(_MAGIC),
    st.lists(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=24)), max_size=20),
    st.integers(0, 2**50),
    st.sampled_from([*BYTES_PER_SECOND, "x"]),
)
def test_hostile_bytes_never_raise(magic: bytes, pieces: list[bytes], size: int, format: str) -> None:
    _check(magic + b"".join(pieces), size, format)


@given(st.data())
def test_damaged_headers_never_raise(data: st.DataObject) -> None:
    head = bytearray(data.draw(st.sampled_from(_SMALL)))
    for _ in range(data.draw(st.integers(1, 8))):
        head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    _check(bytes(head[: data.draw(st.integers(0, len(head)))]), data.draw(st.integers(0, 10**10)), "wav")


_SMALL = [_encode(format, subtype, seconds=0.1)[:600] for _, format, subtype in CONTAINERS] + [_mp3_frames(3)]


def _check(head: bytes, size: int, format: str) -> None:
    seconds, how, rate = measure(head, size, format)
    assert 0 <= seconds < 2**80
    assert how in ("header", "bitrate", "estimate")
    assert 0 <= rate <= 2**32
