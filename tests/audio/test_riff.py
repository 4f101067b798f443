from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from pipeline.audio.riff import OPEN, Wave, closing_head, has_surplus

FMT = struct.pack("<HHIIHH", 1, 2, 48000, 192000, 4, 16)
NOISE = np.random.default_rng(0).bytes(100_000)
LIST = b"LIST" + struct.pack("<I", 60000) + NOISE[:60000]
TEXT = b"Recorded on a Tuesday.\r\n" * 4000
ID3V2 = b"ID3\4\0\0\0\4\0\0" + NOISE[:65536]
APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, 60_000, 1, 0xA0000000) + NOISE[:60_000]


def wav(declared: int, samples: bytes, *, order: str = "<", before: bytes = b"", fmt: bytes = FMT) -> bytes:
    if order == ">":
        fmt = struct.pack(">HHIIHH", *struct.unpack("<HHIIHH", fmt))
    chunks = b"WAVE" + before + struct.pack(order + "4sI", b"fmt ", len(fmt)) + fmt
    magic = b"RIFX" if order == ">" else b"RIFF"
    return magic + bytes(4) + chunks + struct.pack(order + "4sI", b"data", declared) + samples


def peek_of(data: bytes):
    return lambda start, num_bytes: data[start : start + num_bytes]


def closed(data: bytes, size: int | None = None) -> bytes | None:
    wave = Wave.read(peek_of(data))
    assert wave is not None
    return closing_head(wave, peek_of(data), len(data) if size is None else size)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("before", [b"", LIST, b"JUNK" + struct.pack("<I", 3) + b"xxx\0"])
def test_samples_are_found_behind_other_chunks(order: str, before: bytes) -> None:
    if order == ">":
        before = before[:4] + before[4:8][::-1] + before[8:]
    data = wav(400, b"\1" * 400, order=order, before=before)
    wave = Wave.read(peek_of(data))
    assert wave is not None
    assert (wave.start, wave.declared, wave.order) == (len(data) - 400, 400, order)
    assert (wave.tag, wave.byte_rate, wave.block) == (1, 192000, 4)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"fLaC" + bytes(100),
        b"RIFF\0\0\0\0AVI " + bytes(100),
        wav(400, b"")[:30],
        b"RIFF\0\0\0\0WAVE" + b"data\xff\0\0\0" + bytes(300),
        b"RIFF\0\0\0\0WAVE" + b"fmt \1\0\0\0xx" + b"data\xff\0\0\0" + bytes(300),
        b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 200,
    ],
    ids=["nothing", "four letters", "FLAC", "AVI", "cut", "no fmt", "short fmt", "chunks without end"],
)
def test_what_is_no_whole_header_of_a_wav_is_none(data: bytes) -> None:
    assert Wave.read(peek_of(data)) is None


def test_a_header_in_order_is_left_alone() -> None:
    assert closed(wav(400, b"\1" * 400)) is None
    assert closed(wav(400, b"\1" * 4000)) is None
    assert closed(wav(OPEN, b"\1" * 400)) is None
    assert closed(wav(0, b"")) is None


@pytest.mark.parametrize(
    "behind",
    [LIST, LIST[:5000], b"id3\0" + LIST[4:], ID3V2, ID3V2[:5000], APE, ID3V2 + APE + LIST, TEXT],
    ids=["a chunk", "a cut one", "a tag's", "ID3v2", "a cut ID3v2", "APE", "three", "text"],
)
def test_what_is_no_audio_is_not_taken_for_samples_that_nobody_counted(behind: bytes) -> None:
    assert closed(wav(0, behind)) is None
    assert closed(wav(0, bytes(100) + behind)) is not None


def test_silence_that_nobody_counted_is_audio() -> None:
    assert closed(wav(0, bytes(100_000))) is not None
    assert closed(wav(0, bytes(100_000) + NOISE)) is not None


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_length_of_0_becomes_that_of_what_follows(order: str) -> None:
    samples = np.arange(4000, dtype=order + "i2").reshape(-1, 2)
    data = wav(0, samples.tobytes(), order=order, before=LIST if order == "<" else b"")
    head = closed(data)
    assert head is not None
    assert len(head) < 100
    heard = soundfile.read(io.BytesIO(head + samples.tobytes()), dtype="int16")[0]
    np.testing.assert_array_equal(heard, samples)


@pytest.mark.parametrize("declared", [0, OPEN])
def test_beyond_4_gib_the_length_takes_64_bits(declared: int) -> None:
    data = wav(declared, b"\1" * 100)
    head = closed(data, 5 << 30)
    assert head is not None
    assert head[:4] == b"RF64"
    riff, held, frames = struct.unpack_from("<QQQ", head, 20)
    assert held == (5 << 30) - (len(data) - 100)
    assert (riff, frames) == (len(head) - 8 + held, held // 4)


@pytest.mark.parametrize(("order", "tag", "block"), [(">", 1, 4), ("<", 0x11, 4), ("<", 1, 0)])
def test_what_libsndfile_does_not_read_in_rf64_is_left_alone(order: str, tag: int, block: int) -> None:
    fmt = struct.pack("<HHIIHH", tag, 2, 48000, 192000, block, 16)
    assert closed(wav(OPEN, b"\1" * 100, order=order, fmt=fmt), 5 << 30) is None


@pytest.mark.parametrize("claimed", [10**18, 2**64 - 1])
def test_a_claim_of_64_bits_costs_nothing(claimed: int) -> None:
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, claimed, claimed, claimed, 0)
    data = b"RF64" + wav(OPEN, b"\1" * 400, before=ds64)[4:]
    wave = Wave.read(peek_of(data))
    assert wave is not None
    assert wave.declared == claimed
    assert closed(data) is None
    assert not has_surplus(wave, peek_of(data), len(data))


def test_an_rf64_that_was_never_closed_becomes_a_wav() -> None:
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 0, 0, 0, 0)
    head = closed(b"RF64" + wav(OPEN, b"\1" * 400, before=ds64)[4:])
    assert head is not None
    assert head[:8] == struct.pack("<4sI", b"RIFF", len(head) - 8 + 400)


@pytest.mark.parametrize(
    ("declared", "behind", "more"),
    [
        (400, b"", False),
        (400, NOISE[:48000], False),
        (400, NOISE[:48004], True),
        (400, LIST, False),
        (399, LIST, False),
        (400, bytes(100_000), False),
        (400, b"\xff" * 100_000, False),
        (400, TEXT, False),
        (399, b"\0" + TEXT + b"\0", False),
        (400, ID3V2, False),
        (399, b"\0" + ID3V2, False),
        (400, APE + ID3V2, False),
        (400, ID3V2 + NOISE, True),
        (400, LIST[:50_000], False),
        (400, b"LIST" + struct.pack("<I", 10**9) + LIST[8:], False),
        (400, b"id3\0" + LIST[4:], False),
        (400, b"abc\0" + LIST[4:], False),
        (400, b"abcd" + struct.pack("<I", 10**9) + NOISE, True),
        (0, NOISE, False),
        (OPEN, NOISE, False),
        (10**6, b"", False),
    ],
    ids=[
        *("nothing", "0.25 s", "more", "a chunk", "unpadded", "zeros", "ones", "text", "padded text", "ID3v2"),
        *("padded ID3v2", "APE, ID3v2", "more behind a tag", "a cut chunk", "a chunk of a wrong length"),
        *("a tag's chunk", "a name that ends in 0", "an unknown name", "open", "streamed", "cut"),
    ],
)
def test_samples_that_the_header_does_not_count(declared: int, behind: bytes, more: bool) -> None:
    data = wav(declared, b"\1" * min(declared, 400) + behind)
    wave = Wave.read(peek_of(data))
    assert wave is not None
    assert has_surplus(wave, peek_of(data), len(data)) == more
