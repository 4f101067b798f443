import io
import tarfile
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.tarformat import DamagedTar, Member, goes_on, members

MakeTar = Callable[..., bytes]
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = "folder/" * 12 + "ü语 name#%.wav"


@pytest.mark.parametrize("format", FORMATS)
def test_members_are_those_of_the_standard_library(format: int, make_tar: MakeTar) -> None:
    content = [("a.wav", b"x" * 1000), (LONG, b"y" * 512), ("empty", b""), ("b", b"z")]
    if format != tarfile.USTAR_FORMAT:
        content.append(("n" * 300 + ".wav", b"long"))
    data = make_tar(content, format=format)
    found = list(members(io.BytesIO(data)))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert found == [Member(each.name, "file", each.offset_data, each.size) for each in tar]
    assert [data[each.offset : each.offset + each.size] for each in found] == [content for _, content in content]


def test_kinds() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for kind, name in [
            (tarfile.DIRTYPE, "folder"),
            (tarfile.SYMTYPE, "soft"),
            (tarfile.LNKTYPE, "hard"),
            (tarfile.CHRTYPE, "device"),
            (tarfile.FIFOTYPE, "pipe"),
            (tarfile.CONTTYPE, "plain"),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    found = [(each.name.rstrip("/"), each.kind) for each in members(io.BytesIO(file.getvalue()))]
    assert found == [
        ("folder", "folder"),
        ("soft", "link"),
        ("hard", "link"),
        ("device", "special"),
        ("pipe", "special"),
        ("plain", "file"),
    ]


def test_sizes_beyond_octal_digits() -> None:
    info = tarfile.TarInfo("big.wav")
    info.size = 20 * 2**30
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        (found,) = _until_damage(info.tobuf(format))
        assert found.size == 20 * 2**30


def test_names_of_any_bytes(make_tar: MakeTar) -> None:
    info = tarfile.TarInfo("x\udcff.wav")
    for format in FORMATS:
        (found,) = members(io.BytesIO(info.tobuf(format, errors="surrogateescape") + bytes(1024)))
        assert found.name.encode("utf-8", "surrogateescape") == b"x\xff.wav"


def _until_damage(data: bytes) -> list[Member]:
    found = []
    try:
        for member in members(io.BytesIO(data)):
            found.append(member)
    except DamagedTar:
        pass
    return found


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: b"", "ends at byte 0 without an end mark"),
        (lambda data: b"not a tar at all" * 100, "is no tar archive"),
        (lambda data: data[:1300], "ends at byte 1300 without an end mark"),
        (lambda data: data[:1024], "ends at byte 1024 without an end mark"),
        (lambda data: data[:1030] + b"\xff" + data[1031:], "is damaged at byte 1024 .wrong checksum"),
    ],
)
def test_damage(damage: Callable[[bytes], bytes], says: str, make_tar: MakeTar) -> None:
    data = make_tar([("a", b"x"), ("b", b"y")])
    with pytest.raises(DamagedTar, match=says):
        list(members(io.BytesIO(damage(data))))


@given(st.data())
def test_hostile_bytes_end_or_are_damage(data: st.DataObject) -> None:
    tar = bytearray(_SEED)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(tar) - 1))
        tar[at] = data.draw(st.integers(0, 255))
        _mend(tar, at)
    cut = data.draw(st.integers(0, len(tar)))
    for member in _until_damage(bytes(tar[:cut])):
        assert member.size >= 0
        assert member.offset % 512 == 0


def _seed() -> bytes:
    return b"".join(
        info.tobuf(format) for info in (tarfile.TarInfo("a.wav"), tarfile.TarInfo(LONG * 2)) for format in FORMATS[1:]
    )


def _mend(tar: bytearray, at: int) -> None:
    """Make the checksum of the block right again, so that damage gets past it."""
    start = at - at % 512
    tar[start + 148 : start + 156] = b" " * 8
    tar[start + 148 : start + 156] = b"%06o\0 " % sum(tar[start : start + 512])


_SEED = _seed()


def test_another_archive_behind_the_end_mark_is_seen(make_tar: MakeTar) -> None:
    one, two = make_tar([("a.wav", b"one")]), make_tar([("b.wav", b"two")])
    for data, more in [(one, False), (one + two, True), (one + b"signature" * 100, False), (one + bytes(10**6), False)]:
        file = io.BytesIO(data)
        assert [each.name for each in members(file)] == ["a.wav"]
        assert goes_on(file) is more


def _pax(content: bytes) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def test_a_header_full_of_records_is_read_in_time(make_tar: MakeTar) -> None:
    records = b"6 a=b\n" * (2**20 // 6 - 5) + b"13 path=x.wa\n"
    begin = time.process_time()
    (found,) = members(io.BytesIO(_pax(records) + make_tar([("a.wav", b"one")])))
    assert found.name == "x.wa"
    # A walk that copies what is left at each record takes seconds.
    assert time.process_time() - begin < 1.5


def test_headers_before_one_member_are_bounded_together(make_tar: MakeTar) -> None:
    header = _pax(b"x" * 2**19)
    whole = make_tar([("a.wav", b"one")])
    assert len(list(members(io.BytesIO(header * 2 + whole)))) == 1
    with pytest.raises(DamagedTar, match=f"headers of {3 * 2**19} bytes before one member"):
        list(members(io.BytesIO(header * 3 + whole)))
