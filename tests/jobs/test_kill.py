"""A job that is killed loses nothing and doubles nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.plan import units
from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.heads import checkpoints
from tests.jobs.corpora import ROOT, end_group, environment, many_units, newest_run

pytestmark = pytest.mark.slow
PATIENCE = 120.0
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


@contextmanager
def started(job: str, arguments: Sequence[str], home: Path) -> Iterator[subprocess.Popen[str]]:
    """A job that ends with the block, whatever it has started; what it says is in `screen`."""
    more = [] if job == "evaluate" else ["--log-every", "1s"]
    with open(home / "screen", "w") as screen:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / f"jobs/{job}.py"), *arguments, *more], stdout=screen, stderr=screen, text=True,
            env=environment(home, PYTHONPATH=str(ROOT)), start_new_session=True, cwd=home,
        )  # fmt: skip
    try:
        yield process
    finally:
        end_group(process)


def finished(job: str, arguments: Sequence[str], home: Path) -> None:
    with started(job, arguments, home) as process:
        assert process.wait(timeout=PATIENCE) == 0, (home / "screen").read_text()


def killed_at(count: int, files: Callable[[], Sequence[Path]], process: subprocess.Popen[str]) -> None:
    """Kill a job as soon as it has written so many files."""
    deadline = time.monotonic() + PATIENCE
    while len(files()) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("job", JOBS)
def test_each_job_goes_on_where_it_was(tmp_path: Path, folders: dict[str, Path], job: str) -> None:
    source, output = many_units(tmp_path / "in", count=40), tmp_path / "out"
    arguments = [str(source), str(output), "--unit-seconds", "5", "--device", "cpu", "--num-cpus", "2", "--corpus", "c"]
    arguments += models_of(job, folders)

    def committed() -> list[Path]:
        return [file for kind in JOBS[job] for file in (output / kind).glob("*.parquet")]

    with started(job, arguments, tmp_path) as first:
        killed_at(8, committed, first)
    before = {kind: {file.name for file in (output / kind).glob("*.parquet")} for kind in JOBS[job]}
    finished(job, arguments, tmp_path)
    planned = {f"{ref.name}.parquet" for ref in units(str(output))}
    whole = set.intersection(*before.values())
    assert newest_run(output)["units"] == len(planned - whole) < len(planned)
    assert verify(str(output)).complete
    assert {read_table(str(output), task=kind).to_table().num_rows for kind in JOBS[job]} == {40}


def test_a_killed_evaluation_leaves_no_half_file_and_is_done_again(tmp_path: Path, folders: dict[str, Path]) -> None:
    source, output = many_units(tmp_path / "in", count=12), tmp_path / "out"
    finished(
        "classify_corpus", [str(source), str(output), "--model", str(folders["classify"]), "--device", "cpu"], tmp_path
    )
    rows = read_table(str(output), task="classify").to_table(columns=["id", "label"]).to_pylist()
    references = tmp_path / "references.jsonl"
    references.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments, place = [str(output), "--reference", str(references)], output / "_scores/classify"

    def written() -> list[Path]:
        return [file for file in place.glob("[!.]*") if file.suffix in (".json", ".md", ".png")]

    finished("evaluate", arguments, tmp_path)
    whole = {file.name: file.read_bytes() for file in written()}
    assert len(whole) >= 3
    for count in range(1, len(whole)):
        shutil.rmtree(place)
        with started("evaluate", arguments, tmp_path) as process:
            killed_at(count, written, process)
        assert all(file.read_bytes() == whole[file.name] for file in written())
    finished("evaluate", arguments, tmp_path)
    assert {file.name: file.read_bytes() for file in written()} == whole
