"""Who is blamed where the process of the model dies, and who is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import config, flow
from pipeline.audio import Facts
from pipeline.corpus import Recording
from pipeline.engine import rows
from pipeline.engine.rows import Row
from pipeline.engine.suspects import NOISE, Order, Passed, culprits, errors_of
from pipeline.errors import StorageFault
from pipeline.flow import UnitFeatures
from pipeline.job import Job, TaskJob
from pipeline.models import checkpoint
from pipeline.receipts import Timings
from tests.engine.test_pulse import until
from tests.jobs.corpora import MODEL, ROOT

POISON = ROOT / "tests/isolation/poison"


class World:
    """Processes that die over some recordings, always or a few times."""

    def __init__(self, deadly: dict[int, str], *, once: Sequence[int] = (), noise: Callable[[int], str] = lambda n: ""):
        self.deadly, self.once, self.noise = deadly, set(once), noise
        self.processes: list[list[int]] = []

    def __call__(self, indices: Sequence[int]) -> Iterator[Passed]:
        self.processes.append(list(indices))
        if how := self.noise(len(self.processes)):
            yield Passed(NOISE, how)
            return
        yield Passed(NOISE)
        for index in list(indices):
            if index in self.once:
                self.once.remove(index)
                yield Passed(index, "SIGKILL")
                return
            if index in self.deadly:
                yield Passed(index, self.deadly[index])
                return
            yield Passed(index)


@given(st.lists(st.booleans(), max_size=20), st.sets(st.integers(0, 19)))
def test_exactly_the_deadly_are_blamed_after_two_deaths_each(kinds: list[bool], once: set[int]) -> None:
    deadly = {index: "SIGSEGV" for index, kind in enumerate(kinds) if kind}
    world = World(deadly, once=[index for index in once if index < len(kinds) and index not in deadly])
    assert culprits(range(len(kinds)), world) == deadly
    assert len(world.processes) <= 2 * len(deadly) + len(once) + 1


def test_the_second_death_comes_straight_after_noise() -> None:
    world = World({2: "timeout"})
    culprits(range(5), world)
    assert world.processes == [[0, 1, 2, 3, 4], [2, 3, 4], [3, 4]]


@pytest.mark.parametrize("at", [1, 2])
def test_where_noise_dies_too_nobody_is_blamed(at: int) -> None:
    world = World({1: "SIGILL"}, noise=lambda number: "SIGILL" if number == at else "")
    with pytest.raises(StorageFault, match=r"dies whatever it is given here \(SIGILL\)"):
        culprits(range(3), world)


def test_however_many_there_are_all_are_found_by_two_processes_each() -> None:
    world = World(dict.fromkeys(range(300), "SIGSEGV"))
    assert culprits(range(301), world) == world.deadly
    assert len(world.processes) == 2 * 300 + 1


def test_rows_say_what_happened_and_what_may_help() -> None:
    told = errors_of({0: "timeout", 1: "memory", 2: "SIGSEGV"}, seconds=600.0, num_bytes=8 * 10**9)
    assert [(each.stage, each.type) for each in told.values()] == [
        ("model", "timeout"), ("model", "memory"), ("model", "crashed"),
    ]  # fmt: skip
    assert "10.0 min in one batch; --batch-timeout" in told[0].message
    assert "8 GB of memory in the model; --recording-memory" in told[1].message
    assert "the last with SIGSEGV" in told[2].message
    (on_gpu,) = errors_of({1: "memory"}, seconds=600.0, num_bytes=None).values()
    assert (on_gpu.type, "than the GPU has left; a shorter --window" in on_gpu.message) == ("memory", True)


def unit(lengths: Sequence[int], silent: Sequence[int]) -> UnitFeatures:
    """Recordings of so many frames; those named are digital silence."""
    dice = np.random.default_rng(1)
    parts = [
        np.zeros((length, 160), np.float32) if n in silent else dice.standard_normal((length, 160), np.float32)
        for n, length in enumerate(lengths)
    ]
    facts = tuple(Facts(0.0, length / 50, 16_000, 1, (), 0, length, 0.0, length / 50) for length in lengths)
    recordings = tuple(
        Recording(f"r{n}", "s", f"r{n}", "1", f"r{n}", "wav", length / 50, "header", 1)
        for n, length in enumerate(lengths)
    )
    return UnitFeatures(recordings, np.concatenate(parts), tuple(lengths), facts, {})


def order_of(checkpoint_hash: str, batch_timeout: float) -> Order:
    """To try the recordings of a job on CPUs."""
    limits = config.make({"model": MODEL, "batch_timeout": batch_timeout, "recording_memory": 10**9})
    task = TaskJob(kind="transcribe", name="t", model_name="m", model_hash=checkpoint_hash, encoder="e")
    settings = flow.Settings.of(window=10.0, context=1.0, half=False)
    job = Job(run="r", output="o", tasks=(task,), device="cpu", dtype="float32", settings=settings, config=limits)
    return Order(job, {checkpoint_hash: Path(MODEL)}, (), 1.0)


def row_of(frames: int) -> Row:
    """A unit in which the second of three recordings is digital silence of so many frames."""
    return rows.from_features("u", unit([40, frames, 60], silent=[1]), ("t",), Timings())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "how"), [(51, "SIGSEGV"), (52, "exit code 3"), (53, "SIGKILL"), (54, "timeout"), (55, "memory")]
)
def test_a_process_finds_the_one_that_ends_it(
    monkeypatch: pytest.MonkeyPatch, checkpoint_hash: str, frames: int, how: str
) -> None:
    monkeypatch.syspath_prepend(str(POISON))
    beats: list[int] = []
    trial = order_of(checkpoint_hash, 15.0).trial(row_of(frames), beats.append)
    assert culprits(range(3), trial) == {1: how}
    assert list(dict.fromkeys(beats)) == [0, 1, 2]


ASKS = """
import sys
from tests.engine.test_suspects import order_of, row_of
for passed in order_of(sys.argv[1], 5.0).trial(row_of(54), lambda index: None)([1]):
    print(passed.index, passed.how, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_a_process_that_hangs_ends_without_who_asked(checkpoint_hash: str, way: str) -> None:
    """With who asked where that is killed; once its time is over where nobody ends it, as one that is stopped."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{POISON}"}
    command = [sys.executable, "-c", ASKS, checkpoint_hash]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env) as asker:
        assert asker.stdout
        assert asker.stdout.readline() == f"{NOISE} \n"
        (tries,) = psutil.Process(asker.pid).children()
        try:
            time.sleep(1.0)
            asker.send_signal(signal.SIGKILL if way == "killed" else signal.SIGSTOP)
            assert until(lambda: not computes(tries), seconds=3.0 if way == "killed" else 30.0)
            asker.send_signal(signal.SIGCONT)
            assert asker.stdout.read() == ("" if way == "killed" else "1 timeout\n")
        finally:
            asker.kill()
            if computes(tries):
                tries.kill()


def computes(process: psutil.Process) -> bool:
    """Whether it is there, and not only to be asked how it ended."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Child:
    """A process that says some words, and then ends."""

    def __init__(self, told: Sequence[dict[str, Any]], end: str) -> None:
        self.told, self.ended = iter(told), end

    def await_begin(self) -> None:
        pass

    def hear(self, seconds: float) -> dict[str, Any]:
        for message in self.told:
            return message
        raise EOFError

    def end(self) -> str:
        return self.ended


def heard(told: Sequence[dict[str, Any]], end: str = "SIGSEGV") -> tuple[list[Passed], list[int]]:
    """What is made of a process that tries recordings 7 and 9, and which of them was named on the way."""
    beats: list[int] = []
    job: Any = SimpleNamespace(config=SimpleNamespace(batch_timeout=5.0))
    child: Any = Child(told, end)
    return list(Order(job, {}, (), 1.0)._heard(child, [NOISE, 7, 9], beats.append)), beats


BEAT, DONE = {"beat": True}, {"done": True}


def test_the_recording_that_is_tried_is_named_before_it_is() -> None:
    passed, beats = heard([BEAT, DONE, BEAT, BEAT, DONE])
    assert passed == [Passed(NOISE), Passed(7), Passed(9, "SIGSEGV")]
    # Noise of the length of the first goes by its name.
    assert beats == [7, 7, 7, 7, 7, 9]


def test_a_process_that_ends_itself_as_its_time_is_over_has_taken_too_long() -> None:
    assert heard([BEAT, DONE], "SIGALRM")[0] == [Passed(NOISE), Passed(7, "timeout")]


@pytest.fixture(scope="module")
def checkpoint_hash() -> str:
    return checkpoint.fingerprint(MODEL)


def test_a_unit_without_some_recordings_keeps_the_others(checkpoint_hash: str) -> None:
    features = unit([3, 4, 5], silent=[])
    error = errors_of({1: "SIGSEGV"}, seconds=1.0, num_bytes=1)
    left = features.without(error)
    assert left.lengths == (3, 0, 5)
    assert left.facts[1] is None
    assert left.errors == error
    assert np.array_equal(left.frames, np.concatenate([features.frames[:3], features.frames[7:]]))
    assert replace(features, errors=error).recordings == left.recordings
