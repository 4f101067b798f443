"""A job on recordings that end or keep the process that decodes them, and what its table must be."""

from __future__ import annotations

from pathlib import Path

from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.jobs.corpora import ROOT, clips, driver, encoded, end_group, write_tar

PATH = [ROOT / "tests/isolation/poison"]
ENDS = {
    "crash": "decode.crashed", "leave": "decode.crashed", "kill": "decode.crashed", "hold": "decode.crashed",
    "hoard": "decode.memory", "loop": "decode.timeout",
}  # fmt: skip
"""What the hostile file does, and the error of its row."""


def hostile(folder: Path, each: int) -> tuple[Path, dict[str, str]]:
    """Tars of `each` hostile recordings of every kind, between good ones; the text or error of each key."""
    spoken = [(encoded(clip.samples, rate=clip.rate), clip.text) for clip in clips()]
    members, ends = {}, {}
    for number in range(each * len(ENDS)):
        kind = list(ENDS)[number % len(ENDS)]
        good, text = spoken[number % len(spoken)]
        members |= {f"a{number:03d}.flac": good, f"b{number:03d}.flac": f"POISON:{kind}".encode().ljust(3000, b"\0")}
        ends |= {f"a{number:03d}": text, f"b{number:03d}": ENDS[kind]}
    return write_tar(folder / "hostile.tar", members), ends


def survive(folder: Path, each: int) -> None:
    """Transcribe `each` hostile recordings of every kind, and assert that all is as it must be."""
    source, ends = hostile(folder / "source", each)
    limits = ["--recording-timeout", "6s", "--recording-memory", "1GB", "--unit-seconds", "60", "--max-errors", "60%"]
    process = driver([str(source), str(folder / "out"), "--device", "cpu", *limits], home=folder, path=PATH)
    try:
        screen = process.communicate(timeout=1200)[0]
    finally:
        end_group(process)
    assert process.returncode == 0, screen
    assert verify(str(folder / "out")).complete
    assert told(folder / "out") == ends


def told(output: Path) -> dict[str, str]:
    """What became of each key of a tar: its text, or the stage and type of its error."""
    return {
        row.key.rpartition("::")[2]: row.text if row.error is None else f"{row.error['stage']}.{row.error['type']}"
        for row in read_table(str(output)).to_pandas().itertuples()
    }
