"""`ray job submit`, both forms, against a cluster that `ray start --head` made."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import pipeline

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Head:
    """A running head node and a clone to submit from."""

    address: str
    clone: Path
    environment: dict[str, str]

    def submit(self, *entrypoint: str) -> subprocess.CompletedProcess[str]:
        command = [BIN / "ray", "job", "submit", "--address", self.address, "--working-dir", ".", "--", *entrypoint]
        return subprocess.run(
            command, cwd=self.clone, env=self.environment, capture_output=True, text=True, timeout=240, check=False
        )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def head(tmp_path_factory) -> Iterator[Head]:
    clone = tmp_path_factory.mktemp("submit") / "clone"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, clone], check=True)
    # Unix sockets below it have long names, and a socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="vx", dir="/tmp"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",
        "HOME": str(folder),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
    }
    port, dashboard = free_port(), free_port()
    start = [
        BIN / "ray", "start", "--head", "--block", "--num-cpus", "2",
        "--port", str(port), "--dashboard-port", str(dashboard),
        "--temp-dir", folder / "ray", "--object-store-memory", str(200 << 20), "--disable-usage-stats",
        "--ray-client-server-port", str(free_port()), "--dashboard-agent-listen-port", str(free_port()),
    ]  # fmt: skip
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(start, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{dashboard}"
            _wait_for(dashboard, process)
            yield Head(address, clone, environment)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            if process.poll() is None:
                process.kill()
                process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    import time

    for _ in range(240):
        assert process.poll() is None, "ray start ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.5)
    pytest.fail("the dashboard did not come up")


@pytest.mark.parametrize(
    "form",
    [("python", "jobs/transcribe_corpus.py"), pytest.param(("jobs/transcribe_corpus.py",), marks=pytest.mark.slow)],
)
def test_both_forms_make_the_table(head, form, tmp_path):
    out = tmp_path / "out"
    done = head.submit(
        *form, "pipeline/demo/digits-000001.tar", str(out), "--model", "pipeline/demo/digits-ctc",
        "--device", "cpu", "--max-errors", "10%",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "exit    0: complete" in done.stdout
    assert "recordings=" in done.stdout
    table = pipeline.read_table(out).to_pandas()
    assert len(table) == 13
    assert table.error.notna().sum() == 1


@pytest.mark.slow
def test_a_cluster_without_a_gpu_is_not_used_by_mistake(head, tmp_path):
    done = head.submit(
        "python", "jobs/transcribe_corpus.py", "pipeline/demo", str(tmp_path / "out"),
        "--model", "pipeline/demo/digits-ctc",
    )  # fmt: skip
    assert done.returncode == 1
    assert "this cluster has no GPU; say --device cpu if CPUs are meant" in done.stdout
    assert "Traceback" not in done.stdout
