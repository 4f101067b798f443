"""What a test needs and a machine may lack."""

from __future__ import annotations

import os

import pytest


def unavailable(reason: str) -> None:
    """Skip, or fail where every tool must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"in CI nothing may be skipped: {reason}")
    pytest.skip(reason)
