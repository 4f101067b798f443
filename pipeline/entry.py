"""The `voxmill` command: signals are heeded before anything is loaded."""

from __future__ import annotations

from typing import NoReturn

from pipeline.early import heed_signals


def script() -> NoReturn:
    """Run it as a process."""
    heed_signals()
    from pipeline import cli

    cli.script()
