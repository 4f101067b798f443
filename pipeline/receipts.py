"""What became of one unit: the small record that a run counts, shows and writes down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pipeline.corpus import Seconds
from pipeline.fed import Fed

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.flow import UnitOutputs

Outcome = Literal["committed", "taken", "fault"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one unit went, and what the workers that did it were like."""

    seconds: dict[str, Seconds] = field(default_factory=dict)
    """Stage -> wall seconds at work; `wait` is how long the model actor stood idle before this unit."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """Stage -> largest resident size that its worker has had so far, the object store's pages apart."""
    workers: dict[str, str] = field(default_factory=dict)
    """Stage -> node and process."""
    attempts: dict[str, int] = field(default_factory=dict)
    """Stage -> workers of this run that began with the unit and did not end, and the one that did."""

    def joined(self, other: Timings) -> Timings:
        """Both records in one."""
        return Timings(
            self.seconds | other.seconds,
            self.peak_bytes | other.peak_bytes,
            self.workers | other.workers,
            self.attempts | other.attempts,
        )

    def added(self, other: Timings) -> Timings:
        """Both records in one, of stages that several workers in a row were at work in: their seconds add up."""
        return Timings(
            {**self.seconds, **{stage: self.seconds.get(stage, 0.0) + more for stage, more in other.seconds.items()}},
            {**self.peak_bytes, **{s: max(self.peak_bytes.get(s, 0), more) for s, more in other.peak_bytes.items()}},
            self.workers | other.workers,
            {**self.attempts, **{s: max(self.attempts.get(s, 0), more) for s, more in other.attempts.items()}},
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """The end of one attempt at a unit."""

    unit: str
    outcome: Outcome
    """`taken`: somebody else had committed the unit; `fault`: it stays pending."""
    task: str = ""
    """Whose rows these are; '' for a fault of the whole unit."""
    first: bool = True
    """Whether it is the first of its unit: several tasks hear the same recordings."""
    size: int = 0
    """Bytes of the file that the attempt made."""
    rows: int = 0
    audio_seconds: Seconds = 0.0
    """0 in all but the first receipt of a unit, as are frames and time."""
    errors: dict[str, int] = field(default_factory=dict)
    """`stage.type` -> rows."""
    examples: dict[str, str] = field(default_factory=dict)
    """`stage.type` -> id and message of one such row."""
    failed: dict[str, list[str]] = field(default_factory=dict)
    """`stage.type` -> ids of these rows: only who has the plan knows which of them newer ones take the place of."""
    warnings: int = 0
    fed: Fed = Fed()
    """What encoders computed for the unit, 50 frames a second."""
    fault: str = ""
    """What left the unit pending, one line."""
    fault_trace: str = ""
    timings: Timings = field(default_factory=Timings)


def receipt_of(unit: str, task: str, rows: pa.Table, outputs: UnitOutputs, *, size: int, timings: Timings) -> Receipt:
    """Receipt of a unit whose rows are in the table, whoever put them there: of a `size` of 0 it was another."""
    told = receipt_of_rows(unit, task, rows, size=size)
    return replace(told, outcome="committed" if size else "taken", fed=outputs.fed, timings=timings)


def receipt_of_rows(unit: str, task: str, rows: pa.Table, *, size: int) -> Receipt:
    """Receipt of a unit that was committed, as far as its rows alone tell."""
    failed = [
        (f"{error['stage']}.{error['type']}", id, f"{id}: {error['message']}")
        for id, error in zip(rows.column("id").to_pylist(), rows.column("error").to_pylist(), strict=True)
        if error is not None
    ]
    return Receipt(
        unit,
        "committed",
        task=task,
        size=size,
        rows=rows.num_rows,
        audio_seconds=sum(seconds or 0.0 for seconds in rows.column("duration").to_pylist()),
        errors=dict(Counter(reason for reason, _, _ in failed)),
        examples={reason: told for reason, _, told in reversed(failed)},
        failed={reason: [id for other, id, _ in failed if other == reason] for reason, _, _ in failed},
        warnings=sum(bool(each) for each in rows.column("warnings").to_pylist()),
    )


def counted_once(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Receipts of the tasks of one unit: audio, frames and time are those of all together."""
    ended = [number for number, receipt in enumerate(receipts) if receipt.outcome != "fault"]
    return [
        receipt
        if receipt.outcome == "fault"
        else replace(receipt, timings=receipts[ended[-1]].timings)
        if number == ended[0]
        else replace(receipt, first=False, audio_seconds=0.0, fed=Fed(), timings=Timings())
        for number, receipt in enumerate(receipts)
    ]
