"""The wheel works outside of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """What the wheel installs, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # Built from a copy: setuptools writes beside what it builds.
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, source], check=True)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("voxmill-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "HOME": str(cwd)}
    command = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_it_is_what_is_imported_and_it_is_whole(installed, tmp_path):
    done = run(
        installed,
        tmp_path,
        "-c",
        "import pipeline, pipeline.demo as d; print(pipeline.__file__); print(d.checkpoint_folder())",
    )
    where, checkpoint = map(Path, done.stdout.split())
    assert where.is_relative_to(installed)
    assert (checkpoint / "model.safetensors").is_file()
    assert len(list((installed / "pipeline/demo").glob("*.tar"))) == 3


def test_the_command_is_declared(installed):
    (entries,) = installed.glob("voxmill-*.dist-info/entry_points.txt")
    assert "voxmill = pipeline.entry:script" in entries.read_text()


def test_one_file_is_transcribed(installed, tmp_path, speech):
    clip = next((speech / "digits/george").glob("7_*.flac"))
    (tmp_path / "seven.flac").write_bytes(clip.read_bytes())
    script = (
        "import sys; from pipeline.cli import main; from pipeline.demo import checkpoint_folder as c; "
        "sys.exit(main(['transcribe', 'seven.flac', 'out', '--model', str(c())]))"
    )
    done = run(installed, tmp_path, "-c", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seven" in done.stdout
    assert len(list((tmp_path / "out/transcribe").glob("*.parquet"))) == 1
