"""The job on an S3 endpoint, as a user runs it: ordinary AWS variables, one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from pipeline.demo import checkpoint_folder, corpus_folder
from pipeline.storage.listing import list_names
from pipeline.storage.put import put

ROOT = Path(__file__).resolve().parent.parent


def job(*arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "VOXMILL_OBJECT_STORE_BYTES": str(200 << 20)}
    command = [sys.executable, ROOT / "jobs/transcribe_corpus.py", *arguments, "--model", checkpoint_folder()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as running:
        try:
            text, _ = running.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            # A run that is asked to stop says where its recordings are.
            running.terminate()
            text, _ = running.communicate(timeout=60)
            pytest.fail(f"not done within 240 s:\n{text}")
    return running.returncode, text


@pytest.fixture
def archive(s3_server) -> str:
    """A bucket with the embedded corpus."""
    for shard in sorted(corpus_folder().glob("*.tar")):
        put(f"{s3_server.uri}/audio/{shard.name}", shard.read_bytes())
    return s3_server.uri


def test_from_bucket_to_bucket(archive):
    code, text = job(f"{archive}/audio", f"{archive}/labels", "--corpus", "demo")
    assert code == 0, text
    table = pipeline.read_table(f"{archive}/labels").to_pandas()
    assert len(table) == 38
    assert table.id.is_unique
    assert table.error.notna().sum() == 1
    assert "_SUCCESS" in list_names(f"{archive}/labels")
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert secret not in text
    again, words = job(f"{archive}/audio", f"{archive}/labels", "--corpus", "demo")
    assert again == 0
    assert "nothing to do" in words


def test_a_bucket_that_does_not_exist_is_named(s3_environment):
    code, text = job("s3://no-such-bucket/audio", "s3://no-such-bucket/labels")
    assert code == 2
    assert "no-such-bucket" in text
    assert "Traceback" not in text
