"""Runs beside each other on storage that does not keep them apart."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import overlap
from pipeline.errors import StorageFault, UserError
from pipeline.storage.listing import list_names
from pipeline.storage.put import put
from pipeline.table import lease, read_table
from pipeline.table.lease import Lease, held
from tests.chaos.quiet import at_hand, labelled
from tests.jobs.corpora import clips, encoded, transcribed


def test_no_run_starts_beside_another_where_a_store_ignores_the_condition(s3_proxy: Any) -> None:
    s3_proxy.ignored = {"if-none-match"}
    source, output = f"{s3_proxy.bucket.uri}/in", f"{s3_proxy.bucket.uri}/out"
    put(f"{source}/a.flac", encoded(clips()[0].samples))
    with at_hand():
        code, said = labelled([source], output)
    assert code == 0
    assert "ignores conditional puts (If-None-Match), so no run starts beside another; a unit" in said
    assert len(read_table(output).to_pandas()) == 1
    put(f"{source}/b.flac", encoded(clips()[1].samples))
    other = Lease("99990101T000000.000-beef", "elsewhere", 7, "2020-01-01T00:00:00+00:00")
    told = f"out: run {other.run} is at work, .* ignores conditional puts .* Wait for its end"
    with held(output, other), at_hand(), pytest.raises(UserError, match=told):
        transcribed([source], output)
    assert list_names(f"{output}/_plan") == ["000001.parquet"]


EARLY, LATE = "20260102T030405.000-aaaa", "20260102T030405.100-bbbb"
"""Names of two runs that begin at about the same time."""


def of_late() -> Lease:
    return Lease(LATE, "elsewhere", 7, "2026-01-02T03:04:05+00:00")


def goes_on(output: Path, name: str, said: list[str]) -> bool:
    """Whether a run that makes way goes on; what it says is added."""
    config = SimpleNamespace(overlap="refuse", stall_timeout=60.0)
    asked: Any = SimpleNamespace(
        name=name, output=str(output), shown="out", started=datetime.now(UTC), config=config, say=said.append
    )
    try:
        with overlap.leased(asked, conditional=True):
            return True
    except UserError as error:
        said.append(str(error))
        return False


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "BEAT", 0.1)
    monkeypatch.setattr(overlap, "AGAIN", 0.3)


@pytest.mark.parametrize("beat", [0.1, 60.0], ids=["beats", "storage refuses its signs"])
def test_a_run_makes_way_for_one_of_a_later_name_that_looked_before(tmp_path: Path, beat: float) -> None:
    said: list[str] = []
    with held(str(tmp_path), of_late(), beat=beat) as look:
        assert look.others == []
        assert not goes_on(tmp_path, EARLY, said)
    assert said[0].startswith(f"out: run {LATE} is at work")
    assert "Looking again in" in said[0]
    assert "--overlap refuse does not run beside it. Wait for its end, or stop it" in said[-1]


def test_a_run_goes_on_where_one_of_a_later_name_makes_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap.stopping, "waited", lambda seconds: lease.release(str(tmp_path), LATE))
    said: list[str] = []
    with held(str(tmp_path), of_late(), beat=60.0):
        assert goes_on(tmp_path, EARLY, said)


def test_of_two_that_see_each_other_begin_the_first_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both, look = threading.Barrier(2), lease.signs

    def together(output: str) -> list[lease.Sign]:
        both.wait(30)
        return look(output)

    monkeypatch.setattr(lease, "signs", together)
    with ThreadPoolExecutor(2) as pool:
        went = {name: pool.submit(goes_on, tmp_path, name, []) for name in (EARLY, LATE)}
    assert {name: each.result() for name, each in went.items()} == {EARLY: True, LATE: False}


def test_storage_that_does_not_tell_at_the_second_look_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(output: str) -> None:
        raise UserError("access denied (403) while listing")

    monkeypatch.setattr(overlap, "signs", closed)
    with held(str(tmp_path), of_late()), pytest.raises(StorageFault, match="cannot be told: access denied"):
        goes_on(tmp_path, EARLY, [])
