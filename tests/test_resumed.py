"""A run that goes on where one was stopped asks the archive for no audio that is committed: counted at the store."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from pipeline.storage.put import put
from pipeline.table import commit, read_table
from tests.chaos import pieces
from tests.chaos.promise import check
from tests.chaos.quiet import at_hand, labelled
from tests.faultproxy import Answer, Fault
from tests.jobs.corpora import write_tar

IN_A_TAR = 4
"""Pieces that are members of one; the others are files."""
COMMITS = 13
"""Units that the first run commits, of 16."""


class Archive:
    """Files on a store, and what runs ask of it."""

    def __init__(self, proxy: Any, files: dict[str, bytes]) -> None:
        self.source, self.output = f"{proxy.bucket.uri}/in", f"{proxy.bucket.uri}/out"
        self.files = files
        self.sent: Counter[str] = Counter()
        """Bytes of each file."""
        self._proxy = proxy
        for name, content in files.items():
            put(f"{self.source}/{name}", content)
            proxy.faults.append(Fault(rf"^GET [^?]*/in/{re.escape(name)}$", self._noting(name), 10**9, forward=True))

    def _noting(self, name: str) -> Any:
        def note(answer: Answer) -> Answer:
            self.sent[name] += len(answer.body)
            return answer

        return note

    def run(self) -> int:
        """Exit code of a run with a unit for each piece."""
        self.sent.clear()
        self._proxy.requests.clear()
        with at_hand():
            return labelled([self.source], self.output, unit_seconds=1.0)[0]

    @property
    def asked(self) -> Counter[str]:
        """How often the last run asked for each file in any way, but for listings."""
        paths = [unquote(urlsplit(line.partition(" ")[2]).path) for line in self._proxy.requests]
        return Counter({name: sum(path.endswith(f"/in/{name}") for path in paths) for name in self.files})


@pytest.fixture
def archive(tmp_path: Path, s3_proxy: Any) -> Archive:
    """An archive; the tar is the first of its files."""
    pool = sorted(pieces.pool().items())
    tar = write_tar(tmp_path / "a.tar", dict(pool[:IN_A_TAR]))
    return Archive(s3_proxy, {"a.tar": tar.read_bytes(), **dict(pool[IN_A_TAR:])})


def test_a_run_that_goes_on_reads_nothing_of_what_is_committed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_if_absent, committed = commit.put_if_absent, []

    def interrupted(uri: str, data: bytes) -> bool:
        if len(committed) == COMMITS:
            signal.raise_signal(signal.SIGTERM)
        committed.append(uri)
        return put_if_absent(uri, data)

    with monkeypatch.context() as patch:
        patch.setattr(commit, "put_if_absent", interrupted)
        assert archive.run() == 4
    heard = read_table(archive.output).to_table(columns=["id"]).column("id").to_pylist()
    done = {id.removeprefix("c/").partition("::")[0] for id in heard}
    left = archive.files.keys() - done
    assert (len(heard), len(left)) == (COMMITS, len(pieces.pool()) - COMMITS)
    assert all(archive.sent[name] >= len(archive.files[name]) for name in done)

    assert archive.run() == 0
    # Whether sources may be read at all each run sees by one byte of the first.
    assert sum(archive.asked[name] for name in done) <= 1
    assert sum(archive.sent[name] for name in done) <= 1
    assert all(archive.sent[name] >= len(archive.files[name]) for name in left)
    assert check(archive.output, ids=pieces.ids(archive.files)).rows == len(pieces.pool())

    assert archive.run() == 0
    assert archive.asked.total() <= 1
    assert archive.sent.total() <= 1
