"""What planning found and did, as numbers and as text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.corpus import Recording, Seconds
from pipeline.plan.moves import NOWHERE, Moves
from pipeline.quantities import counted, show_seconds
from pipeline.sources import Problem
from pipeline.storage.paths import redact

LENGTHS: tuple[tuple[Seconds, str], ...] = (
    (0.0, "below 1 s"), (1.0, "1 to 10 s"), (10.0, "10 to 30 s"), (30.0, "30 s to 2 min"),
    (120.0, "2 to 10 min"), (600.0, "10 to 60 min"), (3600.0, "1 to 4 h"), (14400.0, "above 4 h"),
)  # fmt: skip
_BOUNDS = [bound for bound, _ in LENGTHS]
MAX_PROBLEMS_KEPT = 1000
"""Problems kept with their message; all of them are counted."""
_SHOWN_PROBLEMS = 10
SHOWN_MOVES = 3


@dataclass(slots=True)
class Tally:
    """Recordings and their seconds: all that are listed, and those of them that are new or changed."""

    recordings: int = 0
    seconds: Seconds = 0.0
    planned: int = 0
    planned_seconds: Seconds = 0.0

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        self.recordings += other.recordings
        self.seconds += other.seconds
        self.planned += other.planned
        self.planned_seconds += other.planned_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Unopened:
    """What the plan has of files that a listing passed by, for they were planned at the version they still have."""

    rows: int = 0
    spans: int = 0
    """Those of the rows that are spans."""
    recordings: int = 0
    seconds: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What a listing holds and what was (or, in a dry run, would be) planned of it.

    Rows of files that were not opened are counted, but not broken down: `formats`, `sample_rates`, `lengths` and
    `seconds_from` tell of what was looked at.
    """

    new: int
    """Rows planned for the first time; a row is a recording or a span of a long one."""
    changed: int
    """Rows planned again because the content changed."""
    unchanged: int
    """Rows that the plan has already."""
    unopened: int
    """Those of them in files that were not opened."""
    vanished: int
    """Rows of the plan whose source was listed and no longer has them; what is committed of them stays."""
    absent: int
    """Those of them that a manifest or a link still names, while their audio is not there, or closed."""
    recordings: int
    """Recordings listed."""
    seconds: Seconds
    """Seconds of audio listed; see `seconds_from` for how well they are known."""
    planned_seconds: Seconds
    """Seconds of audio in the new and changed rows."""
    formats: Mapping[str, Tally]
    sample_rates: Mapping[str, Tally]
    lengths: Mapping[str, Tally]
    seconds_from: Mapping[str, Tally]
    """How much of the audio has its length from the header, from a bit rate, from an estimate."""
    problems: tuple[Problem, ...]
    """What could not be planned, the first thousand."""
    num_problems: int
    units: int
    """Units made of the new and changed rows."""
    unit_seconds: Seconds
    """Bound on the seconds of a unit that was used."""
    spans: int
    """Listed rows that are spans of longer recordings."""
    generations: tuple[int, ...]
    """Numbers of the generations written; none in a dry run or where nothing is new."""
    moves: Moves = NOWHERE
    """Where what is planned lies by now."""

    @property
    def planned(self) -> int:
        """Rows planned: new ones and changed ones."""
        return self.new + self.changed

    @property
    def hours(self) -> float:
        """Hours of audio listed."""
        return self.seconds / 3600

    @property
    def planned_hours(self) -> float:
        """Hours of audio in the new and changed rows."""
        return self.planned_seconds / 3600


@dataclass(slots=True)
class Survey:
    """Counts what goes by while a listing streams past."""

    cells: dict[tuple[str, int, int, str], Tally] = field(default_factory=dict)
    spans: int = 0
    unchanged: int = 0
    """Rows that were looked at and are planned already."""
    unopened: Unopened = field(default_factory=Unopened)
    problems: list[Problem] = field(default_factory=list)
    num_problems: int = 0

    def add(self, recording: Recording, *, planned: bool) -> None:
        """Count one row."""
        cut = recording.spans > 1
        whole_seconds = recording.seconds * recording.spans if cut else recording.seconds
        cell = (
            recording.format,
            recording.sample_rate,
            bisect_right(_BOUNDS, whole_seconds),
            recording.seconds_from,
        )
        tally = self.cells.get(cell)
        if tally is None:
            tally = self.cells[cell] = Tally()
        first = recording.span == 0
        tally.recordings += first
        tally.seconds += recording.seconds
        self.spans += cut
        if planned:
            tally.planned += first
            tally.planned_seconds += recording.seconds
        else:
            self.unchanged += 1

    def problem(self, problem: Problem) -> None:
        """Count what could not be planned."""
        self.num_problems += 1
        if len(self.problems) < MAX_PROBLEMS_KEPT:
            self.problems.append(problem)

    def by(self, axis: int) -> dict[str, Tally]:
        """Tallies by format (0), sample rate (1), length class (2) or origin of the seconds (3)."""
        merged: dict[str | int, Tally] = {}
        for cell, tally in self.cells.items():
            merged.setdefault(cell[axis], Tally()).add(tally)
        ordered = sorted(merged.items(), key=lambda item: -item[1].seconds if axis in (0, 3) else item[0])
        return {_NAMES[axis](name): tally for name, tally in ordered}

    def total(self) -> Tally:
        """Everything looked at."""
        total = Tally()
        for tally in self.cells.values():
            total.add(tally)
        return total


_NAMES = (
    lambda name: name or "unknown",
    lambda rate: f"{rate:,} Hz" if rate else "unknown until read",
    lambda bin: LENGTHS[max(bin - 1, 0)][1],
    lambda name: name,
)

# A manifest's duration is taken at its word, as a header's is: spans are cut by both.
_KNOWN_FROM = {"header": "header or manifest", "bitrate": "bit rate", "estimate": "size, a guess"}


def format_report(report: PlanReport) -> str:
    """Plain text for people: what there is, what is new, what cannot be read."""
    lines = [
        f"{counted(report.recordings, 'recording')}, {_duration(report.seconds)} listed"
        + (f"; long ones are cut into {counted(report.spans, 'span')}" if report.spans else ""),
        f"  new {report.new:,}   changed {report.changed:,}   unchanged {report.unchanged:,}"
        f"   vanished {report.vanished:,} (their rows stay)",
        f"  to do: {counted(report.planned, 'row')}, {_duration(report.planned_seconds)},"
        f" in {counted(report.units, 'unit')} of up to {report.unit_seconds:,.0f} s",
        *_unopened(report),
        *(f"  {line}" for line in (*format_absent(report), *format_moves(report))),
    ]
    for title, tallies in (
        ("format", report.formats),
        ("sample rate", report.sample_rates),
        ("length", report.lengths),
        ("length known from", {_KNOWN_FROM[name]: tally for name, tally in report.seconds_from.items()}),
    ):
        lines += ["", *_table(title, tallies)] if tallies else []
    return "\n".join(lines + _problems(report.problems, report.num_problems))


def format_absent(report: PlanReport) -> list[str]:
    """Say how much of what is named is not there: a mount or a permission may be missing, and no row shows it."""
    if not report.absent:
        return []
    rows = counted(report.absent, "row")
    return [f"listed, but not there or closed: {rows}, kept as before; is a mount or permission missing?"]


def format_moves(report: PlanReport) -> list[str]:
    """Say which places of the plan lie elsewhere by now, and are read there."""
    pairs = report.moves.pairs
    told = [f"moved: audio of {redact(old)} is read at {redact(new)} where it lies there now" for old, new in pairs]
    return told if len(told) <= SHOWN_MOVES else [*told[:SHOWN_MOVES], f"moved: {len(told) - SHOWN_MOVES} other places"]


def _unopened(report: PlanReport) -> list[str]:
    if not report.unopened:
        return []
    looked = sum(tally.recordings for tally in report.formats.values())
    tables = f"; the tables count {counted(looked, 'other recording')}" if looked else ""
    return [f"  not looked at again: {counted(report.unopened, 'unchanged row')}{tables}"]


def _table(title: str, tallies: Mapping[str, Tally]) -> list[str]:
    rows = [(title, "recordings", "audio", "to do", "audio")]
    for name, tally in tallies.items():
        rows.append(
            (name, f"{tally.recordings:,}", _duration(tally.seconds), f"{tally.planned:,}",
             _duration(tally.planned_seconds))
        )  # fmt: skip
    return [f"  {name:<20}{count:>14}{audio:>14}{todo:>14}{more:>14}" for name, count, audio, todo, more in rows]


def _problems(problems: Iterable[Problem], count: int) -> list[str]:
    if not count:
        return []
    shown = [f"  {each.uri}: {each.message}" for each in list(problems)[:_SHOWN_PROBLEMS]]
    more = [f"  … and {count - len(shown):,} more"] if count > len(shown) else []
    return ["", f"cannot be read: {count:,}", *shown, *more]


def _duration(seconds: Seconds) -> str:
    return f"{seconds / 3600:,.2f} h" if seconds >= 360 else show_seconds(seconds)
