"""Parsers and whatever a property can make up for them: no exception but the one that is told."""

from __future__ import annotations

import io
import json
import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import documents
from pipeline.sources import durations, labels
from pipeline.sources.tarformat import DamagedTar, members
from tests.fuzz.doors.pages import pages, summed
from tests.fuzz.doors.sounds import sounds

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
MAGIC = st.sampled_from(
    [b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b".snd", b"caff", b"NIST_1A", b"\xff\xfb", b"ID3\4\0\0"]
)


def header(name: bytes, size: int, kind: bytes) -> bytes:
    """A header of a tar with a right checksum; sizes beyond octal in base 256."""
    field = f"{size:011o}\0".encode() if size < 8**11 else (size | 1 << 95).to_bytes(12, "big")
    made = bytearray(name[:100].ljust(100, b"\0") + bytes(24) + field + bytes(12) + b" " * 8 + kind + bytes(355))
    made[148:156] = f"{sum(made):06o}\0 ".encode()
    return bytes(made)


BLOCKS = st.lists(
    st.tuples(
        st.binary(max_size=110), st.integers(0, 2**95 - 1), st.sampled_from([b"0", b"5", b"L", b"x", b"S", b"2"]),
        st.binary(max_size=700),
    ), max_size=5,
)  # fmt: skip


@FEW
@given(BLOCKS, st.binary(max_size=600))
def test_members_lie_behind_each_other_or_the_tar_is_damaged(blocks: list, tail: bytes) -> None:
    data = b"".join(header(name, size, kind) + content for name, size, kind, content in blocks) + tail
    ends = 0
    try:
        for member in members(io.BytesIO(data)):
            assert member.offset >= ends + 512
            assert member.size >= 0
            assert member.offset % 512 == 0
            ends = member.offset
    except DamagedTar:
        return


def test_pages_of_ogg_and_their_checksums_are_those_that_libsndfile_writes() -> None:
    for kind in ("ogg", "opus"):
        data = sounds()[kind]
        assert b"".join(pages(data)) == data
        assert len(pages(data)) > 2
        assert summed(data) == data
        assert summed(data[:-1] + bytes([data[-1] ^ 1])) != data[:-1] + bytes([data[-1] ^ 1])


@FEW
@given(MAGIC, st.binary(max_size=400), st.integers(-5, 2**63), st.sampled_from(["wav", "mp3", "opus", ""]))
def test_every_head_has_a_length(magic: bytes, rest: bytes, size: int, format: str) -> None:
    found = durations.measure(magic + rest, size, format)
    assert math.isfinite(found.seconds)
    assert found.seconds >= 0


@FEW
@given(JSON)
def test_documents_are_read_as_json_reads_them(value: object) -> None:
    text = json.dumps(value)
    assert repr(documents.parse(text)) == repr(json.loads(text))


@FEW
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()), st.none() | st.binary(max_size=20))
def test_sidecars_give_labels_that_can_be_written_or_say_what_is_wrong(metadata: bytes, text: bytes | None) -> None:
    try:
        told = labels.from_sidecars(text, metadata)
    except ValueError:
        return
    for each in (told.reference, told.metadata):
        assert each is None or each.encode() is not None
    assert told.metadata is None or isinstance(json.loads(told.metadata), dict)
