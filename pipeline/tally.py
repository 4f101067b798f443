"""Counting a run while it goes on: recordings, hours, errors, speed, and which stage holds the others up."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.corpus import Seconds
from pipeline.fed import Fed
from pipeline.receipts import Receipt
from pipeline.table import Count
from pipeline.timing import peak_bytes

RECENT: Seconds = 60.0
"""Speed and ETA are taken over the last minute."""


class Tally:
    """Totals over receipts; one thread records, another may look on."""

    def __init__(
        self,
        *,
        recordings: int,
        audio_seconds: Seconds,
        workers: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
        run_began: float | None = None,
        passing: Mapping[str, int] | None = None,
        old: Mapping[str, Mapping[str, Collection[str]]] | None = None,
    ) -> None:
        """Start counting.

        Args:
            recordings: how many rows the table will have of what is pending.
            audio_seconds: their planned audio.
            workers: stage -> how many workers it has.
            clock: monotonic seconds.
            run_began: when the run began, by that clock, for start-up; default now.
            passing: unit -> rows of it that newer ones take the place of; they are done and not among `recordings`.
            old: task -> unit -> ids of those that the task has newer ones of; their errors are no errors of the run.
        """
        self.recordings = recordings
        self.audio_seconds = audio_seconds
        self._clock = clock
        self._workers = workers
        self._passing = passing or {}
        self._old = old or {}
        self.started = clock()
        self._run_began = self.started if run_began is None else run_began
        self.first_commit: Seconds | None = None
        self.first_audio: Seconds = 0.0
        self.done = 0
        self.done_seconds: Seconds = 0.0
        self._units: set[str] = set()
        self._heard: set[tuple[str, str]] = set()
        """Unit and task of every receipt of rows."""
        self.taken = 0
        self.late = 0
        """Units of which only their files tell, see `record_late`."""
        self.fed = Fed()
        self.warnings = 0
        self.rows_of: Counter[str] = Counter()
        self.errors_of: Counter[str] = Counter()
        self.committed: defaultdict[str, dict[str, Count]] = defaultdict(dict)
        """Task -> unit that this run has committed -> what it came to then."""
        self.errors: Counter[str] = Counter()
        self.superseded = 0
        """Rows with an error besides, see `old`."""
        self.examples: dict[str, str] = {}
        self.faults: dict[str, str] = {}
        self.traces: dict[str, str] = {}
        self.stage_seconds: Counter[str] = Counter()
        self.peak_bytes: dict[str, int] = {}
        self.attempts: dict[str, int] = {}
        """Unit that more than one worker of a stage began with -> how many."""
        self._recent: deque[tuple[float, Seconds]] = deque()

    def record(self, receipt: Receipt) -> None:
        """Count one receipt."""
        if receipt.outcome == "fault":
            others = [self.faults[receipt.unit]] if receipt.unit in self.faults else []
            self.faults[receipt.unit] = "; ".join([*others, receipt.fault])
            self.traces[f"{receipt.unit} {receipt.task}"] = receipt.fault_trace
            return
        now = self._clock()
        if self.first_commit is None:
            self.first_commit = now - self._run_began
            self.first_audio = receipt.audio_seconds
        self._count(receipt)
        self._recent.append((now, receipt.audio_seconds))
        while self._recent[0][0] < now - RECENT:
            self._recent.popleft()

    def record_late(self, receipt: Receipt) -> None:
        """Count what was committed and not heard of before the work was over: what it holds, not when it came."""
        if receipt.unit in self._units:
            # Another task of it was heard of; its audio counts once.
            receipt = replace(receipt, first=False, audio_seconds=0.0)
        else:
            self.late += 1
        self._count(receipt)

    def unheard(self, task: str, units: Iterable[str]) -> list[str]:
        """Those of some units of which no receipt has told that they are in the table."""
        return [unit for unit in units if (unit, task) not in self._heard]

    def _count(self, receipt: Receipt) -> None:
        self._units.add(receipt.unit)
        self._heard.add((receipt.unit, receipt.task))
        self.taken += receipt.first and receipt.outcome == "taken"
        self.done += receipt.rows - self._passing.get(receipt.unit, 0) if receipt.first else 0
        self.rows_of[receipt.task] += receipt.rows
        if receipt.outcome == "committed":
            count = Count(receipt.size, 0, receipt.rows, sum(receipt.errors.values()))
            self.committed[receipt.task][receipt.unit] = count
        self.done_seconds += receipt.audio_seconds
        self.fed = self.fed.plus(receipt.fed)
        self.warnings += receipt.warnings
        self._count_errors(receipt)
        self.stage_seconds.update(receipt.timings.seconds)
        for stage, size in receipt.timings.peak_bytes.items():
            self.peak_bytes[stage] = max(size, self.peak_bytes.get(stage, 0))
        if (most := max(receipt.timings.attempts.values(), default=1)) > 1:
            self.attempts[receipt.unit] = most

    def _count_errors(self, receipt: Receipt) -> None:
        old = self._old.get(receipt.task, {}).get(receipt.unit, ())
        for reason, count in receipt.errors.items():
            passing = [id for id in receipt.failed.get(reason, ()) if id in old]
            self.superseded += len(passing)
            self.errors_of[receipt.task] += count - len(passing)
            if count == len(passing):
                continue
            self.errors[reason] += count - len(passing)
            example = receipt.examples.get(reason, "")
            if example and not example.startswith(tuple(f"{id}: " for id in passing)):
                self.examples.setdefault(reason, example)

    def stop(self) -> None:
        """The work is over: time stands still from here on."""
        now = self._clock()
        self._clock = lambda: now

    @property
    def units(self) -> int:
        """Units of which a task came to an end."""
        return len(self._units)

    @property
    def elapsed(self) -> Seconds:
        """Since the run started to work."""
        return self._clock() - self.started

    @property
    def speed(self) -> float:
        """Audio seconds per second over the last minute."""
        now = self._clock()
        span = min(RECENT, now - self.started)
        recent = tuple(self._recent)
        return sum(seconds for at, seconds in recent if at >= now - RECENT) / span if span > 0 else 0.0

    @property
    def eta(self) -> Seconds | None:
        """Seconds until the planned audio is done; None before the speed is known."""
        speed = self.speed
        return max(0.0, self.audio_seconds - self.done_seconds) / speed if speed > 0 else None

    @property
    def slowest(self) -> str | None:
        """The stage whose workers were busiest: the one that the others wait for."""
        shares = self.busy
        return max(shares, key=lambda stage: shares[stage]) if shares else None

    @property
    def busy(self) -> dict[str, float]:
        """Stage -> share of the time in which its workers were at work, 0 to 1."""
        elapsed = max(self.elapsed, 1e-9)
        return {
            stage: min(1.0, self.stage_seconds[stage] / (elapsed * count))
            for stage, count in self._workers.items()
            if self.stage_seconds[stage]
        }

    @property
    def error_share(self) -> float:
        """Error rows of all rows."""
        return sum(self.errors.values()) / sum(self.rows_of.values()) if self.done else 0.0

    def totals(self) -> dict[str, Any]:
        """The fields of a run's summary that are counted here."""
        return {
            "units": self.units,
            "taken": self.taken,
            "late": self.late,
            "rows": sum(self.rows_of.values()),
            "audio_seconds": self.done_seconds,
            "errors": dict(self.errors),
            "superseded": self.superseded,
            "examples": self.examples,
            "warnings": self.warnings,
            "faults": self.faults,
            "attempts": dict(sorted(self.attempts.items(), key=lambda each: -each[1])),
            "startup_seconds": self.first_commit,
            "first_audio_seconds": self.first_audio,
            "work_seconds": self._clock() - self._run_began,
            "stage_seconds": dict(self.stage_seconds),
            "slowest": self.slowest,
            "busy": self.busy,
            "frames_computed": self.fed.frames,
            "context_share": self.fed.context_share,
            "padding_share": self.fed.padding_share,
            "peak_bytes": self.peak_bytes | {"driver": peak_bytes()},
        }
