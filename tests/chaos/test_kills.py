"""The kills of `make chaos`, a few of them: runs survive them, and what breaks a promise is told."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.table import layout
from tests import radosgw
from tests.chaos import kills, places
from tests.chaos.kills import Tables
from tests.chaos.nodes import cluster
from tests.chaos.places import Place
from tests.chaos.promise import Broken


def tables(folder: Path, nodes=None) -> Tables:
    return Tables(Place("disk", str(folder / "disk")), nodes, folder, random.Random(7))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "disk/source").mkdir(parents=True)
    return tmp_path


@pytest.mark.timeout(900)
def test_a_run_whose_workers_die_whose_node_goes_after_a_notice_and_whose_driver_dies_is_finished(folder: Path) -> None:
    with cluster(2) as nodes:
        assert kills.without_secrets(nodes.folder) > 10
        # The last of them is the first to die.
        counted = tables(folder, nodes).one("gpus", kinds=["driver", "drain", "commit", "decoder"])
    assert counted["kills"] >= 3, counted
    assert counted["runs"] == 1


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize("scene", ["alone", "pair", "zombie"])
def test_drivers_with_a_ray_of_their_own(folder: Path, scene: str) -> None:
    counted = tables(folder).one(scene)
    assert counted["runs"] + counted["unharmed"] == 1
    assert counted["unharmed"] == (counted["kills"] == 0)


def test_one_of_two_that_is_over_before_its_kill_is_not_killed(folder: Path, monkeypatch) -> None:
    over, at_work = SimpleNamespace(poll=lambda: 0), SimpleNamespace(poll=lambda: None)
    started = iter((at_work, over))
    for name, does in {"_started": lambda _: next(started), "_moment": lambda *_: True, "_ended": lambda *_: 0}.items():
        monkeypatch.setattr(kills.Table, name, does)
    monkeypatch.setattr(kills.Table, "torment", lambda *_: None)
    monkeypatch.setattr(kills, "end_group", lambda process: None)
    monkeypatch.setattr(kills, "check", lambda *_, **__: None)
    made = tables(folder)
    monkeypatch.setattr(made.dice, "choice", lambda pair: pair[1])
    assert made.one("pair") == {"unharmed": 1}


def test_beside_one_that_is_over_before_it_sleeps_nothing_is_killed(folder: Path, monkeypatch) -> None:
    does = {"_started": lambda _: SimpleNamespace(poll=lambda: 0), "_moment": lambda *_: False, "_ended": lambda *_: 0}
    for name, call in does.items():
        monkeypatch.setattr(kills.Table, name, call)
    tormented = []
    monkeypatch.setattr(kills.Table, "torment", lambda _, kinds: tormented.append(kinds))
    monkeypatch.setattr(kills, "end_group", lambda process: None)
    monkeypatch.setattr(kills, "check", lambda *_, **__: None)
    assert tables(folder).one("zombie") == {"unharmed": 1}
    assert tormented == [[]]


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_a_run_whose_raylet_dies_ends_in_words_and_is_finished(folder: Path) -> None:
    assert tables(folder).one("alone", kinds=["raylet"])["raylet"] == 1
    screen = (folder / "disk-1/0.log").read_text()
    assert "stopped by a fault: Ray is gone from this machine" in screen
    assert "exit    4: partial" in screen


def test_a_promise_that_a_run_breaks_is_told_with_the_place_and_what_was_killed(folder: Path, monkeypatch) -> None:
    made = tables(folder)

    def torment(self: kills.Table, kinds: list[str]) -> None:
        Path(layout.task_folder(self.output, "transcribe")).mkdir(parents=True)
        Path(layout.task_file(self.output, "transcribe")).write_text("{}")

    monkeypatch.setattr(kills.Table, "torment", torment)
    with pytest.raises(Broken, match=r"^disk, alone, killed \{\}, codes \[\]: .*planned is something else"):
        made.one("alone")


def test_the_secret_of_stores_is_looked_for_once_in_each_file_that_their_runs_wrote(tmp_path, monkeypatch) -> None:
    @contextlib.contextmanager
    def made_up(count: int) -> Iterator[SimpleNamespace]:
        folder = tmp_path / f"rays-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "raylet.out").touch()
        yield SimpleNamespace(folder=folder)

    def one(self: Tables, scene: str) -> Counter[str]:
        (self.folder / f"{self.place.name}-1").mkdir()
        (self.folder / f"{self.place.name}-1/0.log").write_text(radosgw.SECRET if self.place.name == "disk" else "")
        return Counter(runs=1, kills=1)

    monkeypatch.setattr(places, "there_are", lambda: ["disk", "moto", "radosgw"])
    monkeypatch.setattr(places, "opened", lambda name, folder: contextlib.nullcontext(Place(name, str(folder / name))))
    monkeypatch.setattr(kills, "cluster", made_up)
    monkeypatch.setattr(Tables, "__post_init__", lambda self: None)
    monkeypatch.setattr(Tables, "one", one)
    (tmp_path / "part").mkdir()
    counts = kills.run(1, time.monotonic(), tmp_path / "part")
    assert counts == {"runs": 3, "kills": 3, "files of Ray and screens without a secret": 4}


def test_a_secret_that_ray_writes_down_is_a_broken_promise(folder: Path) -> None:
    (folder / "worker.err").write_text("ClientError")
    assert kills.without_secrets(folder) == 1
    (folder / "worker.err").write_text(f"ClientError with {radosgw.SECRET}")
    with pytest.raises(Broken, match="worker.err"):
        kills.without_secrets(folder)
