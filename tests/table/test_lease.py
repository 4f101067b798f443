"""Runs see each other's signs of life, by the storage's clock, and no refusal of the storage ends a run."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageFault
from pipeline.table import lease
from pipeline.table.lease import EXPIRY, Lease, Look, Sign, first, held, signs

MINE = Lease("20260102T030405.000-aaaa", "here", 1, "2026-01-02T03:04:05+00:00")
OTHER = Lease("20260102T020000.000-bbbb", "there", 2, "2026-01-02T02:00:00+00:00")


def age(output: str, other: Lease, seconds: float) -> None:
    file = Path(output, "_leases", f"{other.run}.json")
    os.utime(file, (time.time() - seconds, time.time() - seconds))


def names(others: list[Sign]) -> list[str]:
    return [each.lease.run for each in others]


@pytest.mark.parametrize("storage", ["local", "s3"])
def test_a_run_sees_those_that_are_at_work(storage: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    output = str(tmp_path) if storage == "local" else f"{request.getfixturevalue('s3_server').uri}/out"
    with held(output, OTHER) as none:
        assert none == Look([])
        with held(output, MINE) as look:
            assert names(look.others) == [OTHER.run]
            assert look.others[0].lease == OTHER
            assert {each.lease.run for each in signs(output)} == {MINE.run, OTHER.run}
    assert signs(output) == []


def test_a_sign_that_is_not_renewed_belongs_to_a_dead_run_and_goes(tmp_path: Path) -> None:
    output = str(tmp_path)
    lease._put(f"{output}/_leases/{OTHER.run}.json", OTHER)
    age(output, OTHER, EXPIRY - 5)
    with held(output, MINE) as look:
        assert names(look.others) == [OTHER.run]
    age(output, OTHER, EXPIRY + 1)
    with held(output, MINE) as look:
        assert look == Look([])
    assert signs(output) == []


def test_the_sign_is_renewed_while_the_run_is_at_work(tmp_path: Path) -> None:
    output = str(tmp_path)
    with held(output, MINE, beat=0.02):
        until = time.monotonic() + 20
        while (found := signs(output)) == [] or found[0].lease.beats < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
    time.sleep(0.1)
    assert signs(output) == []


def test_the_clocks_of_the_hosts_do_not_count(tmp_path: Path) -> None:
    early = Lease("19990101T000000.000-cccc", "there", 2, "1999-01-01T00:00:00+00:00")
    with held(str(tmp_path), early), held(str(tmp_path), MINE) as look:
        assert names(look.others) == [early.run]


def test_who_was_there_first_goes_on(tmp_path: Path) -> None:
    at = Path(tmp_path).stat().st_mtime
    now = lease.datetime.fromtimestamp(at)
    later = Lease("20260102T040000.000-dddd", "there", 3, "", beats=0)
    assert first(MINE, []) is None
    assert first(MINE, [Sign(later, now)]) is None
    beaten = Sign(Lease(later.run, "there", 3, "", beats=1), now)
    assert first(MINE, [beaten, Sign(later, now)]) == beaten
    assert first(MINE, [Sign(OTHER, now)]) == Sign(OTHER, now)


def test_storage_that_refuses_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: Any) -> None:
        raise StorageFault("503")

    monkeypatch.setattr(lease, "delete", refused)
    monkeypatch.setattr(lease, "put", refused)
    with held(str(tmp_path), MINE, beat=0.01) as look:
        assert look == Look([], "503")
        time.sleep(0.05)


@pytest.mark.parametrize("doing", ["list_names", "modified", "read_bytes"])
def test_who_cannot_look_does_not_say_that_nobody_is_there(
    doing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*given: Any, **options: Any) -> None:
        raise StorageFault("503")

    with held(str(tmp_path), OTHER):
        monkeypatch.setattr(lease, doing, refused)
        with held(str(tmp_path), MINE) as look:
            assert look == Look([], "503")


def test_a_listing_that_lacks_the_own_sign_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "list_names", lambda folder: [])
    with held(str(tmp_path), MINE) as look:
        assert look.others == []
        assert "does not show what was just put there" in look.fault


@pytest.mark.parametrize("junk", [b"", b"[]", b'{"run": 1}', b"\xff"])
def test_what_is_no_lease_is_left_out(junk: bytes, tmp_path: Path) -> None:
    (tmp_path / "_leases").mkdir()
    (tmp_path / "_leases/x.json").write_bytes(junk)
    with held(str(tmp_path), MINE) as look:
        assert look == Look([])


def test_a_lease_is_that_of_the_run_that_its_name_tells(tmp_path: Path) -> None:
    lease._put(f"{tmp_path}/_leases/{OTHER.run}.json", replace(OTHER, run="../_runs/20260102T020000.000-bbbb"))
    (tmp_path / "_runs").mkdir()
    record = tmp_path / "_runs" / f"{OTHER.run}.json"
    record.write_text("{}")
    age(str(tmp_path), OTHER, EXPIRY + 1)
    with held(str(tmp_path), MINE):
        assert record.exists()
    assert signs(str(tmp_path)) == []


def test_a_lease_tells_no_more_than_it_must(tmp_path: Path) -> None:
    with held(str(tmp_path), MINE):
        told = json.loads(Path(tmp_path, "_leases", f"{MINE.run}.json").read_bytes())
    assert set(told) == {"run", "host", "process", "started", "beats"}
