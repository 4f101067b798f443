from __future__ import annotations

import pytest

from pipeline.audio.truncation import declared_frames, lacks_end_mark


@pytest.mark.parametrize(
    ("log", "declared"),
    [
        ("data : 320000 (should be 160000)", 160000),
        (" SSND : 320000 (should be 160000)", 160000),
        ("  Data Size   : 320000 (should be 160000)", 160000),
        ("riff : 320000 (should be 160000)", 160000),
        ("*** Calculated frame count 80000 does not match value from 'ds64' chunk of 160000.", 160000),
        ("data : 320000", 80000),
        ("RIFF : 320036 (should be 160014)", 80000),
        ("data : 4294967295 (should be 160000)", 80000),
        ("data : 2147479552 (should be 160000)", 80000),
        ("data : 100000 (should be 160000)", 80000),
        ("data : 320000 (should be 0)", 25600000000),
    ],
)
def test_what_the_header_declares(log: str, declared: int) -> None:
    assert declared_frames(80000, f"Length : 160022\n{log}\nEnd\n") == declared


def page(*, last: bool, payload: bytes = b"x" * 300) -> bytes:
    sizes = bytes([255] * (len(payload) // 255) + [len(payload) % 255])
    return b"OggS\0" + bytes([4 * last]) + bytes(20) + bytes([len(sizes)]) + sizes + payload


def test_a_last_page_is_an_end_mark() -> None:
    assert not lacks_end_mark(page(last=False) + page(last=True))


@pytest.mark.parametrize(
    "tail",
    [b"", b"noise", page(last=False), page(last=False) + page(last=True)[:-1], page(last=True)[:20]],
    ids=["nothing", "noise", "no last page", "last page cut", "its header cut"],
)
def test_anything_less_is_not(tail: bytes) -> None:
    assert lacks_end_mark(tail)
