"""A Ceph object gateway on loopback: an S3 server that real archives lie on, its disk in memory.

One monitor, one object daemon and one gateway, of Debian's packages ceph-mon, ceph-osd and radosgw; nothing of it is
left when the block ends. About 15 s until it answers.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
KEY, SECRET = "testing-key-id", "testing-secret-key"
PATIENCE = 90.0
"""Seconds in which it must answer."""

# A disk that updates its place in the map as it starts ends where the monitor is slow to tell it the cluster's id.
_CONF = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{mon}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 0
osd class update on start = false
osd crush update on start = false
osd objectstore = memstore
memstore device bytes = 4294967296
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file =
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
[client.rgw]
rgw enable usage log = false
rgw dns name = localhost
"""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Address of a gateway that lives as long as the block; `KEY` and `SECRET` open it."""
    # Sockets have short names: not below a folder of pytest's.
    with tempfile.TemporaryDirectory(prefix="rgw-") as name, contextlib.ExitStack() as stack:
        folder, fsid, mon, gate = Path(name), str(uuid.uuid4()), _free_port(), _free_port()
        for each in ("mon", "osd", "rgw"):
            (folder / each).mkdir()
        conf = folder / "ceph.conf"
        conf.write_text(_CONF.format(fsid=fsid, mon=mon, folder=folder))

        def call(*command: str) -> str:
            done = subprocess.run(
                [command[0], "-c", str(conf), *command[1:]], capture_output=True, text=True, timeout=PATIENCE
            )
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
            return done.stdout.strip()

        def serve(*command: str) -> None:
            stack.enter_context(_ended(_started(command, conf)))

        monmap = str(folder / "monmap")
        made = ["monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{mon}]", "--fsid", fsid, monmap]
        subprocess.run(made, check=True, capture_output=True)
        call("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        serve("ceph-mon", "-i", "a")
        disk = str(uuid.uuid4())
        number = call("ceph", "--connect-timeout", "60", "osd", "new", disk)
        call("ceph-osd", "-i", number, "--mkfs", "--osd-uuid", disk)
        call("ceph", "osd", "crush", "add", f"osd.{number}", "1", "root=default", "host=h")
        serve("ceph-osd", "-i", number)
        user = ("--uid", "tests", "--display-name", "tests", "--access-key", KEY, "--secret", SECRET)
        call("radosgw-admin", "user", "create", *user)
        serve("radosgw", "-n", "client.rgw", "--rgw-frontends", f"beast endpoint=127.0.0.1:{gate}")
        endpoint = f"http://127.0.0.1:{gate}"
        _await(endpoint)
        yield endpoint


def _free_port() -> int:
    """A port that is free now, and that no other program is given by chance before the gateway takes it.

    Systems give such from 32768 on, and Ray's workers take 10002 to 19999.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")


def _started(command: tuple[str, ...], conf: Path) -> subprocess.Popen[bytes]:
    nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # Nor are they left where the tests are killed.
    dying = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return subprocess.Popen([*dying, command[0], "-c", str(conf), "-f", *command[1:]], **nowhere)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _await(endpoint: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(endpoint, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{endpoint} does not answer within {PATIENCE:g} s")


if __name__ == "__main__":
    with running() as address:
        print(f"export VOXMILL_TEST_S3={address.replace('//', f'//{KEY}:{SECRET}@')}", flush=True)
        input()
