"""A job that is killed loses nothing and doubles nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.heads import checkpoints
from tests.jobs.corpora import ROOT, driver, end_group, many_units
from tests.jobs.killing import torment

pytestmark = pytest.mark.slow
PATIENCE = 240.0
JOBS = {
    "classify_corpus": ("classify",),
    "label_frames": ("frames",),
    "embed_speakers": ("embed",),
    "label_corpus": ("frames", "embed"),
}
"""Job -> tasks whose rows it writes."""


@pytest.fixture(scope="module")
def folders(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return checkpoints(checkpoint, tmp_path_factory.mktemp("heads"))


def models_of(job: str, folders: dict[str, Path]) -> list[str]:
    """What the job is told of its checkpoints."""
    if job == "label_corpus":
        tasks = [word for kind in JOBS[job] for word in ("--task", f"{kind}={folders[kind]}")]
        return [*tasks, "--speech", "frames"]
    speech = ["--speech", str(folders["frames"])] if job == "embed_speakers" else []
    return ["--model", str(folders[JOBS[job][0]]), *speech]


def start(job: str, arguments: Sequence[str], home: Path, *, quiet: bool = False) -> subprocess.Popen[str]:
    screen = subprocess.DEVNULL if quiet else subprocess.PIPE
    return driver(list(arguments), home=home, program=(str(ROOT / f"jobs/{job}.py"),), model=None, stdout=screen)


def test_killed_twice_and_finished(tmp_path: Path) -> None:
    outcome = torment(tmp_path, kills=2, recordings=60, seed=7)
    assert outcome.kept, outcome
    assert outcome.kills == 2
    assert 0 < outcome.units_at_kill[0] < outcome.planned
    assert outcome.planned == 60
    assert outcome.globs > 0


@pytest.mark.parametrize("job", JOBS)
def test_each_job_goes_on_where_it_was(tmp_path: Path, folders: dict[str, Path], job: str) -> None:
    source, output = many_units(tmp_path / "in", count=40), tmp_path / "out"
    arguments = [str(source), str(output), "--unit-seconds", "5", "--device", "cpu", "--num-cpus", "2", "--corpus", "c"]
    arguments += models_of(job, folders)
    first = start(job, arguments, tmp_path, quiet=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while len(list(output.glob("*/*.parquet"))) < 8:
            assert time.monotonic() < deadline
            assert first.poll() is None
            time.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)
    finally:
        end_group(first)
    kept = {file: file.stat().st_mtime_ns for file in output.glob("*/*.parquet")}
    again = start(job, arguments, tmp_path)
    said = again.communicate(timeout=PATIENCE)[0]
    assert again.returncode == 0, said
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    names = [{file.name for file in (output / kind).glob("*.parquet")} for kind in JOBS[job]]
    assert len(kept) < sum(map(len, names))
    assert verify(str(output)).complete
    assert {read_table(str(output), task=kind).to_table().num_rows for kind in JOBS[job]} == {40}


def test_a_killed_evaluation_leaves_no_half_file_and_is_done_again(tmp_path: Path, folders: dict[str, Path]) -> None:
    source, output = many_units(tmp_path / "in", count=12), tmp_path / "out"
    labelled = start(
        "classify_corpus", [str(source), str(output), "--model", str(folders["classify"]), "--device", "cpu"], tmp_path
    )
    said = labelled.communicate(timeout=PATIENCE)[0]
    assert labelled.returncode == 0, said
    rows = read_table(str(output), task="classify").to_table(["id", "label"]).to_pylist()
    references = tmp_path / "references.jsonl"
    references.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = [str(output), "--reference", str(references)]
    place, begun = output / "_scores/classify", time.monotonic()
    whole = start("evaluate", arguments, tmp_path)
    said = whole.communicate(timeout=PATIENCE)[0]
    assert whole.returncode == 0, said
    seconds, scores = time.monotonic() - begun, (place / "scores.json").read_text()
    killed = 0
    # The last tenths of its time are those in which it writes.
    for share in (0.3, 0.8, 0.85, 0.9, 0.95):
        (place / "scores.json").unlink(missing_ok=True)
        job = start("evaluate", arguments, tmp_path, quiet=True)
        time.sleep(share * seconds)
        killed += job.poll() is None
        end_group(job)
        if (place / "scores.json").exists():
            json.loads((place / "scores.json").read_text())
    assert killed >= 3
    last = start("evaluate", arguments, tmp_path)
    last.communicate(timeout=PATIENCE)
    assert last.returncode == 0
    assert (place / "scores.json").read_text() == scores
