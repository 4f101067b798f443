"""Ray ends the worker of the model, for the machine runs out of memory: the recording is a row with an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ray._private.utils import get_system_memory, get_used_memory

from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.isolation.test_process import POISON
from tests.jobs.corpora import JOB, MODEL, ROOT, clips, encoded, end_group, environment, newest_run, write_tar
from tests.jobs.poisoned import silence, told
from tests.needs import unavailable

GB = 10**9
ROOM = 5 * GB
"""From what is taken of the machine's memory before the run to where Ray ends workers; the run itself takes half of it,
and what else runs there may take some."""
MOST = 10 * GB
"""That the recording takes: a worker that has so much was not ended, though others may have given some back."""
BLOCK = 50_000_000
PATIENCE = 600.0
"""Seconds that the run may take on a busy machine."""

GREEDY = f"""
import importlib.util, sys, time

found = importlib.util.spec_from_file_location("poison", {str(POISON / "sitecustomize.py")!r})
poison = importlib.util.module_from_spec(found)
found.loader.exec_module(poison)
in_the_trial = poison.MODEL_KINDS[55]

def overfill(rest):
    if poison.TRIAL in sys.orig_argv:
        in_the_trial(rest)
    kept = []
    while len(kept) < {MOST // BLOCK}:
        kept.append(bytearray({BLOCK}))
        time.sleep(0.02)

poison.MODEL_KINDS[55] = overfill
"""
"""The poison, but where nothing limits the worker it does not end itself: it takes memory, and Ray has to see that."""
ENDED = re.compile(r"^Selected to kill: .*MapBatches\(Inference\)", re.MULTILINE)
"""What Ray's log tells of a worker of the model that it ends."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where Ray has its files; their names must be short."""
    made = Path(tempfile.mkdtemp())
    yield made
    shutil.rmtree(made)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE + 120)
def test_a_worker_that_ray_ends_for_want_of_memory_counts_as_an_attempt(tmp_path: Path, folder: Path) -> None:
    if psutil.virtual_memory().available < MOST + 2 * GB:
        unavailable(f"less than {(MOST + 2 * GB) / GB:g} GB of memory are free")
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison/sitecustomize.py").write_text(GREEDY)
    spoken = {f"a{number}": clip for number, clip in enumerate(clips()[:5])}
    members = {f"{key}.flac": encoded(clip.samples, rate=clip.rate) for key, clip in spoken.items()}
    source = write_tar(tmp_path / "in.tar", {**members, "a2-greedy.flac": silence("overfill")})
    output = tmp_path / "out"

    screen, ended = finished(
        [str(source), str(output), "--unit-seconds", "5", "--recording-memory", "1GB", "--max-errors", "60%"],
        environment(
            tmp_path, TMPDIR=str(folder), PYTHONPATH=os.pathsep.join(map(str, (tmp_path / "poison", ROOT))),
            RAY_memory_usage_threshold=f"{(get_used_memory() + ROOM) / get_system_memory():.4f}",
            RAY_memory_monitor_refresh_ms="100",
        ),
        folder,
    )  # fmt: skip
    assert told(output) == {**{key: clip.text for key, clip in spoken.items()}, "a2-greedy": "model.memory"}
    assert verify(str(output)).complete
    unit_of = dict(read_table(str(output)).to_pandas()[["key", "unit"]].itertuples(index=False))
    run = newest_run(output)
    # Two of its workers were ended before its recordings were tried alone: the one that did so was the third.
    assert 3 <= run["attempts"][unit_of["a2-greedy"]] <= 1 + ended, screen
    assert run["worker_deaths"]["model"] >= 2, screen


def finished(words: list[str], variables: dict[str, str], folder: Path) -> tuple[str, int]:
    """Screen of a run that must end with code 0, and how many workers of the model Ray has ended meanwhile."""
    words = [*JOB, *words, "--model", MODEL, "--device", "cpu", "--model-actors", "1"]
    with open(folder / "screen", "w+") as screen:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=screen, stderr=subprocess.STDOUT, env=variables, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
        log, deadline = "", time.monotonic() + PATIENCE
        try:
            # Ray's log goes with the run.
            while process.poll() is None and time.monotonic() < deadline:
                for file in folder.glob("voxmill-ray-*/session_latest/logs/raylet.out"):
                    log = max(log, file.read_text(errors="replace"), key=len)
                time.sleep(0.2)
        finally:
            end_group(process)
        screen.seek(0)
        said = screen.read()
    assert process.returncode == 0, said
    return said, len(ENDED.findall(log))
