import io
import os
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StorageFault
from pipeline.storage import put, read
from pipeline.storage.paths import filesystem
from tests.hurry import hurry

DATA = random.Random(1).randbytes(3_000_000)


@pytest.fixture(params=["local", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    folder = str(tmp_path) if request.param == "local" else request.getfixturevalue("s3_server").uri
    put.put(f"{folder}/a b#.bin", DATA)
    return f"{folder}/a b#.bin"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def test_whole_and_part(uri: str) -> None:
    assert read.read_bytes(uri) == DATA
    assert read.read_range(uri, 1000, 5) == DATA[1000:1005]
    assert read.read_range(uri, 5, 0) == b""


def test_what_is_larger_than_it_can_be_is_not_held(uri: str) -> None:
    assert read.read_bytes(uri, most=len(DATA)) == DATA
    with pytest.raises(read.TooLarge, match="^3,000,000 bytes, of which at most 2,999,999 are read$"):
        read.read_bytes(uri, most=len(DATA) - 1)


def test_an_object_that_ends_early_says_so(uri: str) -> None:
    for start in (len(DATA) - 1, len(DATA), len(DATA) + 5):
        with pytest.raises(EOFError, match="ends at byte 3000000"):
            read.read_range(uri, start, 2)


def test_an_empty_object_is_read(uri: str) -> None:
    put.put(uri, b"")
    assert read.read_bytes(uri) == b""
    assert read.read_bytes(uri, most=10) == b""


def test_an_empty_object_of_another_store_is_read_without_a_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"memory://{tmp_path.name}/empty.txt"
    fs, path = filesystem(uri)
    fs.pipe_file(path, b"")
    whole = type(fs).cat_file

    def cat_file(self: Any, path: str, start: int | None = None, end: int | None = None) -> bytes:
        if (start, end) != (None, None):
            raise OSError("416: the range cannot be satisfied")
        return whole(self, path)

    monkeypatch.setattr(type(fs), "cat_file", cat_file)
    assert read.read_bytes(uri, most=10) == b""
    fs.pipe_file(path, b"x" * 11)
    with pytest.raises(read.TooLarge, match="^11 bytes, of which at most 10 are read$"):
        read.read_bytes(uri, most=10)


def test_missing(uri: str) -> None:
    words = "specified key does not exist" if uri.startswith("s3:") else r"No such file or directory: '.*/a b#\.binx'"
    with pytest.raises(FileNotFoundError, match=words):
        read.read_bytes(uri + "x")
    with pytest.raises(FileNotFoundError, match=words):
        read.read_range(uri + "x", 0, 1)


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 100)), max_size=30),
    st.integers(0, 50),
    st.integers(1, 300),
)
def test_coalesced_ranges_cover_what_was_asked(ranges: list[tuple[int, int]], gap: int, piece: int) -> None:
    joined = read.coalesce(ranges, gap=gap, piece=piece)
    assert joined == sorted(joined)
    for start, length in ranges:
        assert any(a <= start and start + length <= a + n for a, n in joined)
    assert all(n <= max(piece, 100) for _, n in joined)
    asked = {byte for start, length in ranges for byte in range(start, start + length)}
    for start, length in joined:
        empty = [byte not in asked for byte in range(start, start + length)]
        assert "1" * (gap + 1) not in "".join("01"[value] for value in empty)


def test_range_file_is_a_file(uri: str) -> None:
    file = read.RangeFile(uri, 1000, 2_500_000)
    same = io.BytesIO(DATA[1000:2_501_000])
    moves = random.Random(2)
    for _ in range(100):
        position = moves.choice([(moves.randrange(2_600_000), 0), (0, 1), (-moves.randrange(2_000_000), 2)])
        assert file.seek(*position) == same.seek(*position)
        size = moves.choice([0, 1, 512, 5_000, 400_000])
        assert _read_all(file, size) == same.read(size)
        assert file.tell() == same.tell()
    with pytest.raises(ValueError, match="must not be negative"):
        file.seek(-1)


def _read_all(file: io.RawIOBase, size: int) -> bytes:
    parts = b""
    while len(parts) < size and (part := file.read(size - len(parts))):
        parts += part
    return parts


def test_range_file_reads_ahead(s3_proxy: Any) -> None:
    uri = f"{s3_proxy.bucket.uri}/x"
    put.put(uri, bytes(5_000_000))
    s3_proxy.requests.clear()
    file = read.RangeFile(uri, 0, 5_000_000)
    while file.read(1000):
        pass
    assert len(s3_proxy.requests) == 3, "1, 2 and 2 MB"


def test_a_stream_feeds_a_tar_reader(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DATA)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "x", "x")
    with (
        read.open_stream(str(tmp_path / "a.tar.gz")) as stream,
        tarfile.open(fileobj=stream, mode="r|gz") as tar,
    ):
        member = tar.next()
        assert member is not None
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == DATA


@pytest.mark.parametrize("call", ["bytes", "range"])
def test_cut_answers_are_read_again(call: str, s3_proxy: Any, quick: None) -> None:
    uri = f"{s3_proxy.bucket.uri}/x"
    put.put(uri, DATA)
    s3_proxy.cut_body("^GET ", after=1_000_000, times=2)
    assert (read.read_bytes(uri) if call == "bytes" else read.read_range(uri, 0, len(DATA))) == DATA
    s3_proxy.shorten_body("^GET ", to=1_000_000, times=2)
    assert (read.read_bytes(uri) if call == "bytes" else read.read_range(uri, 0, len(DATA))) == DATA
    s3_proxy.lose_answer("^GET ", times=2)
    assert (read.read_bytes(uri) if call == "bytes" else read.read_range(uri, 0, len(DATA))) == DATA
    s3_proxy.cut_body("^GET ", after=1_000_000)
    with pytest.raises(StorageFault, match="/x: .* while reading"):
        read.read_bytes(uri) if call == "bytes" else read.read_range(uri, 0, len(DATA))


def test_a_denied_object_passes_as_permission_error(s3_proxy: Any) -> None:
    s3_proxy.refuse("^GET ", status=403, code="AccessDenied")
    with pytest.raises(PermissionError, match="made up"):
        read.read_bytes(f"{s3_proxy.bucket.uri}/x")


def test_the_secret_key_is_never_shown(s3_proxy: Any, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    s3_proxy.refuse("^GET ", status=500, code=f"Odd {secret}")
    with pytest.raises(StorageFault, match=r"\*\*\*") as caught:
        read.read_bytes(f"{s3_proxy.bucket.uri}/x")
    assert secret not in str(caught.value)
