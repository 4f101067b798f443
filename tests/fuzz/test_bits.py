"""Every single bit of what a table is made of: turned over, it is noticed, or changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz.door import Opened
from tests.fuzz.run import doors

PARTS = 4
"""Of the bits of a file; those of all take some minutes."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", ["plan", "unit", "published", "task-record", "run-manifest", "forgotten", "success"])
def test_a_bit_turned_over_is_noticed(name: str, part: int, tmp_path: Path) -> None:
    (door,) = doors([name])
    here = Path.cwd()
    try:
        opened = door.open(tmp_path)
        whole = opened.seeds[0]
        missed = [place for place in range(part, 8 * len(whole), PARTS) if not _is_noticed(opened, whole, place)]
    finally:
        os.chdir(here)
    assert missed == []


def _is_noticed(opened: Opened, whole: bytes, place: int) -> bool:
    data = bytearray(whole)
    data[place // 8] ^= 1 << place % 8
    try:
        opened.check(bytes(data))
    except AssertionError:
        return False
    return True
