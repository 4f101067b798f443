"""The job on an S3 endpoint, as a user runs it: ordinary AWS variables, one process."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

import pipeline
from pipeline.demo import corpus_folder
from pipeline.storage.listing import list_names
from pipeline.storage.put import put
from tests.jobs.corpora import driver, end_group

PATIENCE, GRACE = 240, 60
"""Seconds that a job may take on a busy machine, and those in which it must end when it is asked to."""


def job(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code of a job and what it said; nothing of it is left, whatever happens."""
    screen = home / "screen.txt"
    with screen.open("w") as file:
        running = driver(arguments, home=home, stdout=file)
    try:
        return running.wait(PATIENCE), screen.read_text()
    except subprocess.TimeoutExpired:
        # A run that is asked to stop says where its recordings are.
        running.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(GRACE)
        pytest.fail(f"not done within {PATIENCE} s:\n{screen.read_text()}")
    finally:
        end_group(running)


@pytest.fixture
def archive(s3_server) -> str:
    """A bucket with the embedded corpus."""
    for shard in sorted(corpus_folder().glob("*.tar")):
        put(f"{s3_server.uri}/audio/{shard.name}", shard.read_bytes())
    return s3_server.uri


@pytest.mark.timeout(2 * (PATIENCE + GRACE) + 120)
def test_from_bucket_to_bucket(archive, tmp_path):
    code, text = job(tmp_path, f"{archive}/audio", f"{archive}/labels", "--corpus", "demo")
    assert code == 0, text
    table = pipeline.read_table(f"{archive}/labels").to_pandas()
    assert len(table) == 38
    assert table.id.is_unique
    assert table.error.notna().sum() == 1
    assert "_SUCCESS" in list_names(f"{archive}/labels")
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert secret not in text
    again, words = job(tmp_path, f"{archive}/audio", f"{archive}/labels", "--corpus", "demo")
    assert again == 0
    assert "nothing to do" in words


@pytest.mark.timeout(PATIENCE + GRACE + 120)
def test_a_bucket_that_does_not_exist_is_named(s3_environment, tmp_path):
    code, text = job(tmp_path, "s3://no-such-bucket/audio", "s3://no-such-bucket/labels")
    assert code == 2
    assert "no-such-bucket" in text
    assert "Traceback" not in text
