"""Small audio, tars of it, and a folder on a local disk or on S3 to put them in."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from pipeline.storage import put

Audio = Callable[..., bytes]
MakeTar = Callable[..., bytes]


@pytest.fixture(scope="session")
def audio() -> Audio:
    """Noise of so many seconds in a format: `audio(0.5, "FLAC")`."""

    def make(seconds: float = 0.1, format: str = "WAV", *, rate: int = 16000, seed: int = 0) -> bytes:
        file = io.BytesIO()
        noise = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate))
        sf.write(file, noise, rate, format=format)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def make_tar() -> MakeTar:
    """A tar of (name, content) members, written by the standard library."""

    def make(members: Sequence[tuple[str, bytes]], mode: str = "w", format: int = tarfile.PAX_FORMAT) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode, format=format) as tar:  # type: ignore[call-overload]
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return file.getvalue()

    return make


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URI of an empty folder, on a local disk and on S3."""
    if request.param == "local":
        (tmp_path / "corpus").mkdir()
        return f"file://{tmp_path}/corpus"
    return f"{request.getfixturevalue('s3_server').uri}/corpus"


@pytest.fixture
def fill() -> Callable[[str, dict[str, bytes]], str]:
    """Write files below a folder; gives the folder."""

    def write(folder: str, files: dict[str, bytes]) -> str:
        for name, content in files.items():
            if folder.startswith("file://"):
                Path(folder.removeprefix("file://"), name).parent.mkdir(parents=True, exist_ok=True)
            put.put(f"{folder}/{name}", content)
        return folder

    return write
