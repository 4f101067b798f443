"""Hub ids, against a server on this machine that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
HUB_ID = "owner/digits"
COMMIT = "1234567890123456789012345678901234567890"


@dataclass
class Hub:
    """One repository, and what was asked for."""

    folder: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """The requests that a download takes: what the repository holds, a file's size and hash, its content."""

    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if path in (f"/api/models/{HUB_ID}", f"/api/models/{HUB_ID}/revision/main"):
            names = [{"rfilename": file.name} for file in sorted(self.hub.folder.iterdir())]
            body = json.dumps({"id": HUB_ID, "modelId": HUB_ID, "sha": COMMIT, "siblings": names}).encode()
            return self._send(body, {"Content-Type": "application/json"}, with_body)
        if path == f"/api/models/{HUB_ID}/tree/{COMMIT}":
            files = [(file.name, file.read_bytes()) for file in sorted(self.hub.folder.iterdir())]
            tree = [
                {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
                for name, body in files
            ]
            return self._send(json.dumps(tree).encode(), {"Content-Type": "application/json"}, with_body)
        name = path.removeprefix(f"/{HUB_ID}/resolve/{COMMIT}/")
        if "/" in name or not (self.hub.folder / name).is_file():
            self.send_response(404)
            # What tells a client a repository that does not exist from a server that is down.
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if with_body:
            self.hub.asked.append(name)
        body = (self.hub.folder / name).read_bytes()
        return self._send(body, {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": COMMIT}, with_body)

    def _send(self, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen of the tests."""


@pytest.fixture
def hub(tmp_path: Path, checkpoint: Path) -> Iterator[Hub]:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "repository"))
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_custom.py").write_text("raise SystemExit('code of a stranger')")
    hub = Hub(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfHub", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()


def python(code: str, hub: Hub, home: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the hub's client reads its environment when it is imported."""
    environment = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "PATH": os.environ["PATH"],
        "HF_HUB_DISABLE_XET": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


CHOOSE = (
    f"from pipeline import checkpoint as c; found = c.choose({HUB_ID!r}, 'transcribe'); "
    "print(found.name, found.hash, found.path)"
)


def test_a_hub_id_is_downloaded_once_and_without_pickles_or_code(hub: Hub, tmp_path: Path, checkpoint: Path) -> None:
    first = python(CHOOSE, hub, tmp_path / "home")
    assert first.returncode == 0, first.stderr
    name, digest, path = first.stdout.split()
    assert name == HUB_ID
    assert {file.name for file in Path(path).iterdir()} == {
        file.name for file in checkpoint.iterdir() if file.suffix in (".json", ".safetensors", ".txt")
    }
    assert not {"pytorch_model.bin", "modeling_custom.py"} & set(hub.asked)
    local = python(CHOOSE.replace(HUB_ID, str(checkpoint)), hub, tmp_path / "home")
    assert local.stdout.split()[1] == digest
    hub.asked.clear()
    assert python(CHOOSE, hub, tmp_path / "home").stdout == first.stdout
    assert hub.asked == []


def test_a_name_that_the_hub_does_not_have_is_one_line(hub: Hub, tmp_path: Path) -> None:
    result = python(CHOOSE.replace(HUB_ID, "owner/absent"), hub, tmp_path / "home")
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("pipeline.errors.UserError: owner/absent: no such folder here, and the hub did not give it")
    assert "Repository Not Found" in last
    assert "check the spelling" in last
