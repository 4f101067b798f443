"""The working directory that `ray job submit` sends, packed by Ray itself: small, with all a job needs."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 32_000_000
"""Bytes: four small checkpoints are most of it. Ray sends them to a cluster once, until they change."""
JUNK = [
    ".venv/lib/libtorch.so",
    ".git/objects/pack/a.pack",
    "demo-output/transcribe/a.parquet",
    "out/_plan/000001.parquet",
    "build/lib/x.so",
    "dist/voxmill.whl",
    ".mypy_cache/x.json",
    ".hypothesis/x",
    "recordings/a.wav",
    "voxmill.egg-info/PKG-INFO",
    "pipeline/__pycache__/x.pyc",
    "tests/data/x.bin",
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import create_package

    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pipeline", "jobs", "infra", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".rayignore", ".gitignore", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    for name in JUNK:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(1000))
    package = tmp_path_factory.mktemp("package") / "package.zip"
    excludes = get_runtime_env_default_excludes()
    create_package(str(folder), package, include_gitignore=True, excludes=excludes)
    with zipfile.ZipFile(package) as content:
        return package, set(content.namelist())


def test_the_upload_is_small(packed: tuple[Path, set[str]]) -> None:
    size = packed[0].stat().st_size
    print(f"working directory: {size:,} bytes")
    assert size < LIMIT


def test_the_jobs_the_package_and_the_demo_checkpoint_travel(packed: tuple[Path, set[str]]) -> None:
    _, names = packed
    expected = {
        str(path.relative_to(ROOT))
        for path in [
            *ROOT.glob("jobs/*.py"),
            *ROOT.glob("pipeline/**/*.py"),
            *ROOT.glob("pipeline/demo/*.tar"),
        ]
    }
    assert expected <= names
    assert "pipeline/demo/digits-ctc/model.safetensors" in names
    assert "pyproject.toml" in names


def test_nothing_else_travels(packed: tuple[Path, set[str]]) -> None:
    _, names = packed
    roots = {name.partition("/")[0] for name in names}
    assert roots <= {"jobs", "pipeline", "pyproject.toml", ".gitignore", ".rayignore"}
    assert not set(JUNK) & names


def test_the_run_bit_travels(packed: tuple[Path, set[str]]) -> None:
    with zipfile.ZipFile(packed[0]) as content:
        mode = content.getinfo("jobs/transcribe_corpus.py").external_attr >> 16
    assert mode & 0o111
