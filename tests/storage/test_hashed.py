"""The digest of a file that is read anyway is that of its bytes, in whatever order they are read."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage import parquet
from pipeline.storage.hashed import HashedFile, file_digest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(np.random.default_rng(0).bytes(3_000_000))
    return path


def digest_of(file: Path) -> str:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [(0, 3_000_000)],
        [(2_999_000, 1000), (4, 1_000_000), (1_000_004, 1_999_996)],
        [(0, 500_000), (400_000, 900_000), (5, 5), (2_000_000, 100)],
    ],
    ids=["nothing", "all", "the end first", "parts twice, others never"],
)
def test_whatever_was_read_before(file: Path, reads: list[tuple[int, int]]) -> None:
    with HashedFile(str(file), 3_000_000) as source:
        for start, size in reads:
            source.seek(start)
            source.read(size)
        assert source.digest() == digest_of(file) == file_digest(file)


def test_an_empty_file_has_one_too(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert HashedFile(str(tmp_path / "empty"), 0).digest() == file_digest(tmp_path / "empty")


def test_rows_of_parquet_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.parquet"
    rows = pa.table({"id": [f"c/{number}" for number in range(200_000)], "x": np.random.default_rng(0).random(200_000)})
    pq.write_table(rows, file, row_group_size=50_000, write_page_checksum=True)
    size, fetched = file.stat().st_size, []
    fill = HashedFile.readinto

    def counting(source: HashedFile, buffer: Any) -> int:
        got = fill(source, buffer)
        fetched.append(got)
        return got

    monkeypatch.setattr(HashedFile, "readinto", counting)
    raw = HashedFile(str(file), size)
    with io.BufferedReader(raw, 2**16) as source:
        footer = pq.ParquetFile(source).metadata
        for group in range(footer.num_row_groups):
            parquet.read(source, groups=[group], footer=footer)
        assert raw.digest() == digest_of(file)
    assert sum(fetched) < 1.5 * size
