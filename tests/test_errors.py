"""The reasons that rows end with an error for: all of them are known."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import REASONS

PACKAGE = Path(__file__).resolve().parent.parent / "pipeline"
NEVER_A_ROW = {"model.absent"}
"""Of the recordings that a trial leaves out."""


def written() -> Iterator[str]:
    """Every stage and type that the package writes side by side."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("RecordingError", "ErrorRow"):
                parts = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
                if len(parts) == 2:
                    yield ".".join(parts)


def test_every_reason_is_known() -> None:
    found = set(written())
    assert len(found) > 8
    assert found - NEVER_A_ROW <= REASONS
