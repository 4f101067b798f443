from __future__ import annotations

import struct

import pytest

from pipeline.audio.joined import counts_frames, is_chained, mp3_ends_in_frames, mp3_goes_on

FRAME = b"\xff\xfb\x90\0".ljust(417, b"x")
"""Of 128 kbit/s at 44.1 kHz."""


def page(serial: bytes, *, first: bool = False, payload: bytes = b"x" * 30) -> bytes:
    return b"OggS\0" + bytes([2 * first]) + bytes(8) + serial + bytes(8) + bytes([1, len(payload)]) + payload


def goes_on(data: bytes, position: int = 0) -> bool:
    return mp3_goes_on(lambda start, num_bytes: data[start : start + num_bytes], position)


def test_a_page_of_an_unknown_stream_ends_a_chain() -> None:
    head = page(b"aaaa", first=True) + page(b"aaaa")
    assert is_chained(head, head + page(b"bbbb", first=True) + page(b"bbbb"))


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (page(b"aaaa", first=True), page(b"aaaa")),
        (page(b"aaaa", first=True) + page(b"bbbb", first=True), page(b"bbbb")),
        (page(b"aaaa", first=True), b"noise"),
        (page(b"aaaa", first=True), page(b"bbbb")[:16]),
        (page(b"aaaa"), page(b"bbbb")),
        (b"noise", page(b"bbbb")),
    ],
    ids=["one stream", "streams side by side", "no page", "its header cut", "no first page", "no Ogg"],
)
def test_anything_else_is_no_chain(head: bytes, tail: bytes) -> None:
    assert not is_chained(head, tail)


ID3V2 = b"ID3\4\0\0\0\0\1\x48" + b"\xff\xfb\x90" + bytes(197)
APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, 5000, 1, 0xA0000000) + b"\xff" * 5000
ID3V1 = b"TAG".ljust(128, b"\0")


@pytest.mark.parametrize(
    "between",
    [b"", ID3V2, APE, ID3V1, ID3V1 + ID3V2, APE + ID3V1 + APE, bytes(1000), b"\xff\xfb\x90\0" * 200],
    ids=["nothing", "ID3v2", "APE", "ID3v1", "ID3v1, ID3v2", "three", "zeros", "noise"],
)
def test_frames_are_found_behind_tags_and_padding(between: bytes) -> None:
    assert goes_on(b"x" * 5000 + between + FRAME * 10, 5000)
    assert not goes_on(b"x" * 5000 + between + FRAME * 9, 5000)


@pytest.mark.parametrize(
    "header",
    [b"\xff\xfd\x90", b"\xff\xeb\x90", b"\xff\xfb\x00", b"\xff\xfb\xf0", b"\xff\xfb\x9c"],
    ids=["layer II", "no version", "no bit rate", "no such bit rate", "no such rate"],
)
def test_what_is_no_header_of_a_frame_is_not_one(header: bytes) -> None:
    assert goes_on(FRAME * 20)
    assert not goes_on(FRAME.replace(b"\xff\xfb\x90", header) * 20)


def test_at_the_end_of_the_file_nothing_follows() -> None:
    assert not goes_on(FRAME * 20, 20 * 417)


def test_tags_without_end_are_looked_through_for_a_while_only() -> None:
    asked = []

    def peek(start: int, num_bytes: int) -> bytes:
        asked.append(num_bytes)
        return b"TAG".ljust(num_bytes, b"\0")

    assert not mp3_goes_on(peek, 0)
    assert sum(asked) < 20_000


def test_frames_at_the_end_of_a_file_are_found_behind_long_damage() -> None:
    data = b"x" * 5000 + bytes(100_000) + FRAME * 20
    assert not goes_on(data, 5000)
    assert mp3_ends_in_frames(lambda start, num_bytes: data[start : start + num_bytes], 5000, len(data))
    assert not mp3_ends_in_frames(lambda start, num_bytes: data[start : start + num_bytes], len(data) - 3000, len(data))


@pytest.mark.parametrize(
    ("header", "tag"),
    [(b"\xff\xfb\x90\0", 36), (b"\xff\xfb\x90\xc0", 21), (b"\xff\xf3\x90\0", 21), (b"\xff\xe3\x90\xc0", 13)],
    ids=["stereo", "mono", "MPEG 2 stereo", "MPEG 2.5 mono"],
)
def test_a_frame_that_counts_the_others_is_known_by_its_tag(header: bytes, tag: int) -> None:
    def counts(name: bytes, flags: int, before: bytes = b"") -> bool:
        data = before + header + bytes(tag - 4) + name + struct.pack(">II", flags, 100) + bytes(300) + FRAME
        return counts_frames(lambda start, num_bytes: data[start : start + num_bytes])

    assert counts(b"Xing", 15)
    assert counts(b"Info", 1, ID3V2)
    assert not counts(b"Info", 14)
    assert not counts(b"Lame", 15)
