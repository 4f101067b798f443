"""The table of the tests of what is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.table.conftest import Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    (tmp_path / "out").mkdir()
    return Made(str(tmp_path / "out"))
