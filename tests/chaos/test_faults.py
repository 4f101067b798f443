"""A short torment by storage that misbehaves; `make chaos` has a long one."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline.storage import put as putting
from tests.chaos import faults, pieces, stores
from tests.chaos.promise import Broken
from tests.faultproxy import KINDS


@pytest.fixture(autouse=True)
def only_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "STORES", {"moto": stores.moto})
    monkeypatch.setattr(faults, "CHANCES", 2)


def test_a_corpus_survives_storage_that_misbehaves(tmp_path: Path) -> None:
    counts = faults.run(5, time.monotonic(), tmp_path)
    assert counts["storage faults"] > 20
    assert counts["runs"] >= 3
    assert len(faults.lacking(counts)) < len(KINDS) / 2


@pytest.mark.parametrize("s3_endpoint", ["radosgw"], indirect=True, scope="session")
def test_a_corpus_survives_a_gateway_before_which_storage_misbehaves(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "STORES", {"radosgw": lambda: contextlib.nullcontext(s3_endpoint)})
    counts = faults.run(5, time.monotonic() + 2 * stores.GATEWAY, tmp_path, most=1)
    assert counts["corpora on radosgw"] == 1
    assert counts["storage faults"] > 20
    assert counts["runs"] >= 3


def test_many_faults_of_which_none_is_of_some_kind_break_the_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = Counter({f"faults: {kind}": 120 for kind in KINDS if kind != "too late"})
    monkeypatch.setattr(faults.stores, "opened", lambda stack, seconds: {"moto": ""})
    monkeypatch.setattr(faults, "_on", lambda *_: kinds + Counter({"storage faults": kinds.total(), "corpora": 1}))
    with pytest.raises(Broken, match="seed 1: of 1080 faults none was too late"):
        faults.run(1, time.monotonic(), tmp_path)
    monkeypatch.setattr(faults, "ENOUGH", 1081)
    assert faults.lacking(faults.run(1, time.monotonic(), tmp_path)) == ["too late"]


@pytest.mark.slow
def test_a_table_that_loses_a_unit_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = putting.put_if_absent

    def careless(uri: str, data: bytes) -> bool:
        return True if uri[-9] < "4" else put(uri, data)

    monkeypatch.setattr("pipeline.table.commit.put_if_absent", careless)
    with pytest.raises(Broken, match=r"seed 1, corpus \d+ on http://127.0.0.1"):
        faults.run(1, time.monotonic() + 60, tmp_path, most=3)


def test_rows_that_tell_something_else_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with faults.at_hand():
        truth = pieces.said()
    monkeypatch.setattr(pieces, "said", lambda: {**truth, "p00.flac": pieces.Said("nothing", 1.0)})
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "p00.flac").write_bytes(pieces.pool()["p00.flac"])
    with faults.at_hand():
        assert faults.labelled([str(tmp_path / "in")], str(tmp_path / "out"))[0] == 0
    with pytest.raises(Broken, match="c/p00.flac is .* and should be"):
        pieces.compare(str(tmp_path / "out"))
