"""Imports point down one list, and heavy libraries stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "pipeline"

TIERS = (
    {"arguments", "documents", "early", "errors", "fed", "leaving", "quantities", "unread", "versions"},
    {"options"},
    {"fields"},
    {"corpus", "config", "stopping", "noise"},
    {"scratch", "overdue", "threads"},
    {"placement", "scoring"},
    {"storage"},
    {"sources", "audio", "models", "text"},
    {"plan", "tasks"},
    {"stitching", "featurising", "receipts"},
    {"timing"},
    {"isolation"},
    {"table"},
    {"flow", "training"},
    {"checkpoint", "device_features"},
    {"job", "late", "tally", "summary"},
    {"display", "command", "counting", "outcome"},
    {"alone", "choices", "engine"},
    {"asked"},
    {"hanging"},
    {"overlap", "working"},
    {"run", "evaluation", "tuning"},
    {"api", "demo"},
    {"cli"},
    {"entry"},
)
RANK = {name: rank for rank, names in enumerate(TIERS) for name in names}

ONLY_IN = {
    "ray": {"engine"},
    "fsspec": {"storage"},
    "s3fs": {"storage"},
    "aiobotocore": {"storage"},
    "botocore": {"storage"},
    "soundfile": {"audio", "demo"},
    "safetensors": {"models", "training"},
    "rich": {"run", "asked", "display", "noise", "command", "cli", "demo", "evaluation", "tuning"},
    "jiwer": {"scoring"},
    "matplotlib": {"scoring", "training"},
    "torch": {"models", "text", "engine", "job", "alone", "device_features", "training", "tuning"},
    "pickle": set(),
}


def imports(file: Path) -> set[str]:
    """Full names of all modules that a file imports, in functions too; not those for type checkers only."""
    tree = ast.parse(file.read_text())
    hidden = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for statement in test.body
        for node in ast.walk(statement)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(file: Path) -> str:
    """First folder below the package, or the module's own name."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file.parent != PACKAGE or file.name != "__init__.py"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file):
    mine = room(file)
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "pipeline" and len(parts) > 1 and parts[1] in RANK and parts[1] != mine:
            assert RANK[parts[1]] < RANK[mine], f"{mine} imports {name}, which is not below it"


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_a_library_stays_in_its_rooms(library):
    rooms = {room(file) for file in FILES if any(name.split(".")[0] == library for name in imports(file))}
    assert rooms <= ONLY_IN[library]


def test_every_room_has_its_place():
    assert {room(file) for file in FILES} - {"__init__"} <= set(RANK)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("pipeline", {"ray", "torch", "fsspec", "pyarrow"}),
        ("pipeline.models", {"ray", "torch", "transformers", "fsspec"}),
        ("pipeline.models.loading", {"ray", "transformers", "fsspec"}),
        ("pipeline.audio", {"ray", "torch", "fsspec", "pyarrow", "transformers"}),
        ("pipeline.text", {"ray", "torch", "fsspec", "pyarrow", "transformers"}),
        ("pipeline.flow", {"ray", "torch", "transformers"}),
        ("pipeline.job", {"ray", "torch", "transformers"}),
        ("pipeline.engine.stages", {"torch", "transformers"}),
        ("pipeline.table", {"ray", "torch", "transformers"}),
        ("pipeline.scoring", {"ray", "torch", "fsspec", "pyarrow", "matplotlib"}),
        ("pipeline.evaluation.run", {"ray", "torch", "transformers", "matplotlib"}),
        ("pipeline.cli", {"ray", "torch", "pyarrow"}),
    ],
)
def test_a_fresh_interpreter_loads_no_more_than_it_needs(module, absent):
    script = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert not absent & set(loaded.stdout.split())
