"""Storage that is given up at once: no test waits for a store as long as a run does."""

from __future__ import annotations

import pytest

from pipeline.storage import patience


def hurry(monkeypatch: pytest.MonkeyPatch, *, tries: int = 3) -> None:
    """Wait milliseconds between `tries` tries of what broke; a store that asks for time gets 50 ms."""
    monkeypatch.setattr(patience, "DELAYS", (0.002,) * (tries - 1))
    monkeypatch.setattr(patience, "LASTING", 0.05)
    monkeypatch.setattr(patience, "FIRST", 0.005)
    monkeypatch.setattr(patience, "LONGEST", 0.005)
