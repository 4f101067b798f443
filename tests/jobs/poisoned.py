"""Jobs on recordings that end or keep a process of theirs, the decoder or that of the model, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.jobs.corpora import ROOT, clips, driver, encoded, end_group, write_tar

PATH = [ROOT / "tests/isolation/poison"]
ENDS = {
    "crash": "decode.crashed", "leave": "decode.crashed", "kill": "decode.crashed", "hold": "decode.crashed",
    "hoard": "decode.memory", "loop": "decode.timeout",
}  # fmt: skip
"""What the hostile file does to its decoder, and the error of its row."""
MODEL_ENDS = {
    "crash": "model.crashed", "leave": "model.crashed", "kill": "model.crashed", "hang": "model.timeout",
    "overfill": "model.memory",
}  # fmt: skip
"""What the hostile recording does to the process of the model, and the error of its row."""
FRAMES = {"crash": 51, "leave": 52, "kill": 53, "hang": 54, "overfill": 55}
"""Length of the silence that does so, which `tests/isolation/poison` knows."""
PATIENCE = 7000.0
"""Seconds that a job may take: thirty of each that end the model take a busy machine most of an hour."""


def bad_file(kind: str) -> bytes:
    """A file that does something to its decoder."""
    return f"POISON:{kind}".encode().ljust(3000, b"\0")


def silence(kind: str) -> bytes:
    """Digital silence of the length that does something to the process of the model."""
    return encoded(np.zeros(400 + 160 * (2 * FRAMES[kind] - 1), np.float32))


def hostile(
    folder: Path, each: int, kinds: Mapping[str, str], made: Callable[[str], bytes]
) -> tuple[Path, dict[str, str]]:
    """A tar of `each` hostile recordings of every kind, between good ones; the text or error of each key."""
    spoken = [(encoded(clip.samples, rate=clip.rate), clip.text) for clip in clips()]
    members, ends = {}, {}
    for number, kind in enumerate([*kinds] * each):
        good, text = spoken[number % len(spoken)]
        members |= {f"a{number:03d}.flac": good, f"b{number:03d}.flac": made(kind)}
        ends |= {f"a{number:03d}": text, f"b{number:03d}": kinds[kind]}
    return write_tar(folder / "hostile.tar", members), ends


def survive(folder: Path, each: int) -> None:
    """Transcribe `each` recordings of every kind that ends its decoder, and assert that all is as it must be."""
    source, ends = hostile(folder / "source", each, ENDS, bad_file)
    heard(folder, source, ends, ["--recording-timeout", "6s", "--unit-seconds", "60"])


def survive_in_the_model(folder: Path, each: int, *, unit_seconds: int) -> str:
    """As `survive`, of every kind that ends the process of the model; gives the screen."""
    source, ends = hostile(folder / "source", each, MODEL_ENDS, silence)
    # One process of the model works while another one hangs.
    limits = ["--batch-timeout", "15s", "--model-actors", "2", "--unit-seconds", str(unit_seconds)]
    return heard(folder, source, ends, limits)


def heard(folder: Path, source: Path, ends: Mapping[str, str], limits: Sequence[str]) -> str:
    """Run the job within limits, assert that each key ends as it must, and give the screen."""
    fixed = ["--device", "cpu", "--recording-memory", "1GB", "--max-errors", "60%"]
    process = driver([str(source), str(folder / "out"), *fixed, *limits], home=folder, path=PATH)
    try:
        screen = str(process.communicate(timeout=PATIENCE)[0])
    finally:
        end_group(process)
    assert process.returncode == 0, screen
    assert verify(str(folder / "out")).complete
    assert told(folder / "out") == ends
    return screen


def told(output: Path) -> dict[str, str]:
    """What became of each key of a tar: its text, or the stage and type of its error."""
    return {
        row.key.rpartition("::")[2]: row.text if row.error is None else f"{row.error['stage']}.{row.error['type']}"
        for row in read_table(str(output)).to_pandas().itertuples()
    }
