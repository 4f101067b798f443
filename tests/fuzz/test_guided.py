"""Doors take any bytes, as a fuzzer makes them that knows nothing of what it makes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzz.door import Door, Opened
from tests.fuzz.run import doors

BYTES = [
    b"",
    *(bytes([value]) for value in b'\0\t\n "-0AP[\\{~\x7f\x80\xff'),
    *map(Random(1).randbytes, (2, 9, 80, 999)),
]


def test_any_bytes_are_told_as_they_must_be(opened: tuple[Door, Opened]) -> None:
    _, ready = opened
    for data in BYTES:
        ready.check(data)


@pytest.mark.parametrize(
    "data",
    [
        b"3", b"[1]", b'["vocab.json"]', b'"vocab.json"', b"{}", b"[" * 2000 + b"]" * 2000, b'{"/": 1}',
        b'{"../up": {"bytes": "a"}}', b'{"vocab.json": {"bytes": 5}}', b'{"vocab.json": {"bytes": "\\ud800"}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["vocabulary", "feature-settings"])
def test_bytes_that_are_no_files_of_a_checkpoint_are_one_of_them(name: str, data: bytes, tmp_path: Path) -> None:
    (door,) = doors([name])
    (tmp_path / "in").mkdir()
    door.open(tmp_path / "in").check(data)
    assert [file.name for file in tmp_path.iterdir()] == ["in"]
