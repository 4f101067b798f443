"""What workers are at is known to the driver, and outlives them."""

from __future__ import annotations

import os
import time

import pytest

from pipeline.engine import ledger, nodes
from tests.engine.test_pulse import until


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A cluster's memory."""
    store: dict[str, str] = {}

    def put(key: str, value: str, overwrite: bool, *, namespace: str) -> bool:
        before = key in store
        if overwrite or not before:
            store[key] = value
        return before

    kv = ledger.internal_kv
    monkeypatch.setattr(kv, "_internal_kv_initialized", lambda: True)
    monkeypatch.setattr(kv, "_internal_kv_put", put)
    monkeypatch.setattr(kv, "_internal_kv_get", lambda key, *, namespace: store.get(key))
    monkeypatch.setattr(kv, "_internal_kv_del", lambda key, *, del_by_prefix=False, namespace: [
        store.pop(each) for each in list(store) if each == key or (del_by_prefix and each.startswith(key))
    ])  # fmt: skip
    monkeypatch.setattr(
        kv, "_internal_kv_list", lambda prefix, *, namespace: [each for each in store if each.startswith(prefix)]
    )
    monkeypatch.setattr(nodes, "here", lambda: "n1")
    monkeypatch.setattr(nodes, "staying", lambda: {"n1"})
    return store


def killed(run: str, stage: str, unit: str) -> None:
    """Begin, and end as a worker does that is killed."""
    begun = ledger.at_work(run, stage, unit)
    begun.__enter__()
    KEPT.append(begun)


KEPT: list[object] = []
"""What is collected ends as if by itself."""


def test_who_is_at_work_is_known_until_the_end(kept: dict[str, str]) -> None:
    with ledger.at_work("run", "model", "u1") as at_work:
        (entry,) = ledger.entries("run")
        assert (entry.stage, entry.unit, entry.deaths, entry.step) == ("model", "u1", 0, 0)
        assert entry.worker.endswith(f":{os.getpid()}")
        assert (at_work.deaths, at_work.attempt) == (0, 1)
        assert ledger.entries("ru") == ledger.entries("other") == []
    assert kept == {}


def test_deaths_are_counted_for_each_unit_and_stage(kept: dict[str, str]) -> None:
    for _ in range(2):
        killed("run", "model", "u1")
    with ledger.at_work("run", "model", "u1") as at_work, ledger.at_work("run", "commit", "u1") as other:
        assert (at_work.deaths, other.deaths) == (2, 0)
    with ledger.at_work("run", "model", "u1") as at_work:
        assert at_work.deaths == 0


def test_who_dies_with_a_node_or_after_its_notice_is_not_counted(kept: dict[str, str], monkeypatch) -> None:
    for node in ("gone", "n1", "told"):
        monkeypatch.setattr(nodes, "here", lambda node=node: node)
        killed("run", "model", "u1")
    with ledger.at_work("run", "model", "u1") as at_work:
        assert (at_work.deaths, at_work.attempt) == (1, 4)


def test_an_error_is_no_death(kept: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="made up"), ledger.at_work("run", "model", "u1"):
        raise ValueError("made up")
    assert kept == {}


def test_of_many_beats_one_is_written_with_the_last_recording_even_if_none_follows(kept, monkeypatch) -> None:
    monkeypatch.setattr(ledger, "BEAT", 0.3)
    with ledger.at_work("run", "features", "u1") as at_work:
        for number in range(1000):
            at_work.beat(f"c/{number}.wav")
        assert until(lambda: ledger.entries("run")[0].recording == "c/999.wav")
        assert ledger.entries("run")[0].step <= 2
        before = ledger.entries("run")
        at_work.beat("c/1000.wav")
        assert until(lambda: ledger.entries("run") != before)


def test_nothing_is_written_once_the_work_is_over(kept: dict[str, str], monkeypatch) -> None:
    monkeypatch.setattr(ledger, "BEAT", 0.01)
    for _ in range(30):
        with ledger.at_work("run", "features", "u1") as at_work:
            at_work.beat()
            time.sleep(0.009)
    time.sleep(0.1)
    assert kept == {}


def test_what_the_dead_left_is_forgotten_at_the_end_of_the_run(kept: dict[str, str]) -> None:
    killed("run", "model", "u1")
    killed("other", "model", "u1")
    ledger.forget("run")
    assert list(kept) == ["other/model/u1"]


def test_a_cluster_that_does_not_keep_it_is_no_fault(kept: dict[str, str], monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("no answer")

    for name in ("put", "get", "del"):
        monkeypatch.setattr(ledger.internal_kv, f"_internal_kv_{name}", broken)
    with ledger.at_work("run", "model", "u1") as at_work:
        at_work.beat()
        assert at_work.deaths == 0


def test_without_a_cluster_there_is_none() -> None:
    with ledger.at_work("run", "model", "u1") as at_work:
        assert at_work.deaths == 0
