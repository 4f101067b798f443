"""What Ray does when things go wrong, and that a run survives it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray

from pipeline.engine import actors, dataset, losses
from pipeline.engine.resources import Cluster, Pools
from pipeline.engine.session import Session
from pipeline.errors import StorageFault
from pipeline.job import Work
from pipeline.models import checkpoint as checkpoints
from pipeline.plan import UnitRef
from pipeline.receipts import Receipt
from pipeline.table.verify import verify
from tests.engine import counting, light
from tests.engine.light import Notebook
from tests.jobs.corpora import MODEL, clips, encoded, transcribed

# Ray copies its own settings and warns about some of them.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
    # It also warns where the unit that died never comes to a later stage.
    pytest.mark.filterwarnings("ignore:The minimum number of concurrent actors:UserWarning"),
]

POOLS = Pools(
    read_tasks=2, read_cpus=0.25, feature_actors=1, feature_cpus=0.5, model_actors=1, model_cpus=0.5, model_gpus=0.0,
    commit_tasks=1, commit_cpus=0.5,
)  # fmt: skip
CHECKPOINTS = {checkpoints.fingerprint(MODEL): Path(MODEL)}
STAGES = ("read", "features", "model", "commit")


def session(*, stall: float = 250.0, pools: Pools = POOLS) -> Session:
    return Session(Cluster(cpus=4), pools, "cpu", local=True, nodes=1, stall=stall)


def replaced(patch: pytest.MonkeyPatch, module: Any) -> None:
    """Put the stages of another module into the chain; workers import them by their names."""
    for name in ("Read", "Features", "Inference", "Commit"):
        patch.setattr(dataset, name, getattr(module, name))


def go(job: Any, units: Sequence[Any], **settings: Any) -> list[Receipt]:
    return list(session(**settings).receipts(job, units, CHECKPOINTS))


def light_units(count: int) -> list[light.Unit]:
    return [light.Unit(f"u{number:02d}") for number in range(count)]


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: None) -> Iterator[Notebook]:
    """Orders to an engine of light stages, revoked at the end."""
    replaced(monkeypatch, light)
    notebook = Notebook(tmp_path)
    yield notebook
    notebook.revoke_all()


class Deadly:
    """A run in which one unit kills its reader and one the actor that has it, as often as they are tried."""

    victims = {"read": "u31", "model": "u50"}

    def __init__(self, folder: Path) -> None:
        self.notebook = Notebook(folder)
        for stage, unit in self.victims.items():
            self.notebook.order(f"kill-{stage}-{unit}")
        units = light_units(66)
        self.session = session()
        receipts = list(self.session.receipts(self.notebook, units, CHECKPOINTS))
        self.units = {unit.name for unit in units}
        self.done = Counter(receipt.unit for receipt in receipts if receipt.outcome == "committed")
        self.faults = {receipt.unit: receipt.fault for receipt in receipts if receipt.outcome == "fault"}


@pytest.fixture(scope="module")
def deadly(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Deadly:
    with pytest.MonkeyPatch.context() as patch:
        replaced(patch, light)
        patch.setattr(dataset, "TRIES_AFTER_A_CRASH", 1)
        return Deadly(tmp_path_factory.mktemp("deadly"))


def test_a_unit_that_kills_its_worker_is_told_and_does_not_take_the_others_along(deadly):
    # With 64 read tasks for 66 units, u31 and u32 are one; and u51 waits in the queue of the actor that u50 kills.
    lost = set(deadly.victims.values())
    assert deadly.done == Counter(deadly.units - lost)
    assert set(deadly.faults) == lost
    assert set(deadly.faults.values()) == {losses.DIED}


@pytest.mark.parametrize("stage", Deadly.victims)
def test_a_unit_that_kills_its_worker_is_not_tried_for_ever(deadly, stage):
    tries = Counter(entry["unit"] for entry in deadly.notebook.entries(stage))
    assert tries.pop(deadly.victims[stage]) == 2 * (1 + 1)
    assert set(tries.values()) <= {1, 2}


def test_actors_that_died_and_came_back_are_counted(deadly):
    # The last death of each of two rounds may come to nobody: its pool has ended by then.
    assert deadly.session.deaths.keys() == {"model"}
    assert 2 <= deadly.session.deaths["model"] <= 4


def test_rows_are_never_merged(deadly):
    for stage in STAGES:
        assert {entry["rows"] for entry in deadly.notebook.entries(stage)} == {1}


def test_no_more_is_read_at_once_than_the_pool_allows(deadly):
    begun = [(entry["at"], 1) for entry in deadly.notebook.entries("read") if entry["unit"] in deadly.done]
    ended = [(entry["at"], -1) for entry in deadly.notebook.entries("read done") if entry["unit"] in deadly.done]
    running = most = 0
    for _, change in sorted(begun + ended):
        running += change
        most = max(most, running)
    assert 1 <= most <= POOLS.read_tasks


@pytest.mark.parametrize("stage", [pytest.param("read", marks=pytest.mark.slow), "model"])
def test_a_stage_that_stands_still_ends_the_run_and_keeps_no_cpu(notebook, stage):
    notebook.order(f"sleep-{stage}-u01")
    with pytest.raises(StorageFault, match=r"no unit moved in any stage for 15.0 s \(--stall-timeout\): .*actors: "):
        go(notebook, light_units(3), stall=15.0)
    assert "u01" not in {entry["unit"] for entry in notebook.entries("commit")}
    deadline = time.monotonic() + 30
    while ray.available_resources()["CPU"] < 4:
        assert time.monotonic() < deadline, actors.living()
        time.sleep(0.2)


def test_a_worker_that_cannot_start_ends_the_run_with_its_reason(notebook):
    notebook.order("refuse-model")
    with pytest.raises(StorageFault, match="the cluster stopped the run: ValueError: no such device"):
        go(notebook, light_units(1))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> tuple[list[Receipt], dict[str, list[int]]]:
    """Receipts of units that cannot be read, and stage -> threads of (OpenMP, torch, Arrow, BLAS) in its workers."""
    folder = tmp_path_factory.mktemp("counted")
    units = [Work(UnitRef(f"u{number}", 1, 0, 0, 1, 1.0, 1), ("labels",)) for number in range(3)]
    pools = replace(POOLS, model_cpus=2.0)
    with pytest.MonkeyPatch.context() as patch:
        replaced(patch, counting)
        receipts = go(counting.Job(str(folder)), units, pools=pools)
    return receipts, {path.name.split("-")[0]: json.loads(path.read_text()) for path in folder.iterdir()}


def test_thread_pools_have_the_cpus_of_their_stage_and_at_least_one(counted):
    assert counted[1] == {
        "read": [1, 1, 1, 1],
        "features": [1, 1, 1, 1],
        "model": [2, 2, 2, 2],
        "commit": [1, 1, 1, 1],
    }


def test_an_exception_in_a_stage_is_a_receipt_that_names_stage_and_cause(counted):
    receipts, _ = counted
    assert sorted(receipt.unit for receipt in receipts) == ["u0", "u1", "u2"]
    for receipt in receipts:
        assert (receipt.outcome, receipt.fault) == ("fault", "read: ZeroDivisionError: made up")
        assert "Traceback" in receipt.fault_trace


@pytest.mark.slow
def test_a_run_whose_worker_died_ends_with_code_4_and_the_next_one_completes_it(tmp_path, monkeypatch, ray_cluster):
    (tmp_path / "in").mkdir()
    for name, clip in zip(("a", "deadly", "z"), clips(), strict=False):
        (tmp_path / f"in/{name}.flac").write_bytes(encoded(clip.samples))
    monkeypatch.setattr(dataset, "Features", counting.Fragile)
    monkeypatch.setattr(dataset, "TRIES_AFTER_A_CRASH", 0)
    summary = transcribed([tmp_path / "in"], tmp_path / "out", unit_seconds=3, model_actors=1)
    assert (summary.exit_code, summary.rows, summary.pending_units) == (4, 2, 1)
    assert list(summary.faults.values()) == [losses.DIED]
    assert not (tmp_path / "out/_SUCCESS").exists()
    assert verify(str(tmp_path / "out")).holds
    monkeypatch.undo()
    assert transcribed([tmp_path / "in"], tmp_path / "out").exit_code == 0
    assert verify(str(tmp_path / "out")).complete


def test_receipts_that_are_left_open_end_with_the_one_who_took_them(notebook):
    receipts = session().receipts(notebook, light_units(30), CHECKPOINTS)
    next(receipts)
    receipts.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("StreamingExecutor")]
    assert len(notebook.entries("commit")) < 30
