"""Doors for the tests of all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.door import Door, Opened
from tests.fuzz.run import doors


@pytest.fixture(scope="module", params=doors(), ids=lambda door: door.name)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, Opened]]:
    """A door, ready; one that changes into a folder is brought back."""
    door, here = request.param, Path.cwd()
    yield door, door.open(tmp_path_factory.mktemp(door.name))
    os.chdir(here)
