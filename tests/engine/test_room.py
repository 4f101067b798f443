"""A file that takes more memory than there is, or says so, holds up no other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import alone
from pipeline.engine import cluster, dataset, room
from pipeline.engine.memory import Largest
from pipeline.engine.resources import Cluster, NoRoom, Pools, choose
from pipeline.engine.scratch import Scratch
from pipeline.errors import UserError
from pipeline.summary import ERRORS, PARTIAL, RunSummary
from pipeline.table import read_table
from tests.jobs.corpora import RATE, clips, encoded, transcribed

GB = 10**9
POOLS = choose(Cluster(cpus=2), gpus_per_actor=None, model_bytes=1)


def with_room(most: int, seconds: float = 1e9) -> Callable[[Largest], Pools]:
    def chosen(largest: Largest) -> Pools:
        if largest.size > most or largest.seconds > seconds:
            raise NoRoom(f"asks for {largest.size}")
        return POOLS

    return chosen


@pytest.mark.parametrize(("most", "left", "why"), [(9, (), ""), (8, (1,), "asks for 9"), (3, (0, 1), "asks for 5"),
                                                  (1, (0, 1, 2), "asks for 3")])  # fmt: skip
def test_the_smallest_units_have_room_and_the_least_of_the_others_says_why_not(most, left, why):
    units = [Largest(size, 1.0) for size in (5, 9, 3, 1)]
    assert room.fitting(units, with_room(most), lambda each: each.size) == room.Fitting(POOLS, left, why)


def test_where_none_has_room_the_smallest_is_refused():
    with pytest.raises(NoRoom, match="asks for 3"):
        room.fitting([Largest(5), Largest(3), Largest(4)], with_room(2), lambda each: each.size)
    with pytest.raises(NoRoom, match="asks for 0"):
        room.fitting([], with_room(-1), lambda each: each.size)


def test_what_is_lacking_beside_memory_is_refused_at_once():
    def refused(largest: Largest) -> Pools:
        raise UserError("no CPU")

    with pytest.raises(UserError, match="no CPU"):
        room.fitting([Largest(1), Largest(2)], refused, lambda each: each.size)


Ran = Callable[[int], RunSummary]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """A run over a spoken text and 30 GB of nothing, on a cluster of so much memory, without Ray."""

    def here(job: Any, units: Any, shipped: Any, pools: Any, *, running: Any) -> Any:
        return alone.receipts(
            job, units, {each.fingerprint: Path(each.path) for each in shipped}, say=print, overdue=print
        )

    monkeypatch.setattr(dataset, "receipts", here)
    monkeypatch.setattr(cluster, "joined", lambda address, **_: contextlib.nullcontext(Scratch()))
    monkeypatch.setattr(cluster, "num_nodes", lambda: 1)
    source = tmp_path / "in"
    source.mkdir()
    with (source / "bad.mp3").open("wb") as file:
        file.truncate(30 * GB)

    def on(memory: int) -> RunSummary:
        monkeypatch.setattr(cluster, "measure", lambda: Cluster(cpus=2, memory=memory))
        return transcribed([source], tmp_path / "out", read_tasks=1)

    return on


def test_what_has_no_room_stays_pending_while_the_others_are_done_and_is_refused_alone(ran: Ran, tmp_path: Path):
    (tmp_path / "in" / "good.flac").write_bytes(encoded(clips()[0].resampled(RATE)))
    summary = ran(3 * GB)
    assert (summary.exit_code, summary.rows, summary.pending_units) == (PARTIAL, 1, 1)
    (fault,) = summary.faults.values()
    assert "no room for it on this cluster: the stages ask for 6." in fault
    assert "the cluster has 3.0 GB; use fewer --model-actors" in fault
    assert read_table(tmp_path / "out").to_pandas().text.tolist() == [clips()[0].text]
    with pytest.raises(UserError, match=r"ask for 6.* GB of memory .* the cluster has 3.0 GB"):
        ran(3 * GB)
    # Of 30 GB of nothing no more is believed than decoding may give back.
    assert ran(8 * GB).exit_code == ERRORS
    assert read_table(tmp_path / "out").to_pandas().error.dropna().tolist()[0]["type"] == "decode"
