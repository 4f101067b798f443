"""Scores of labelled stretches: frames of 20 ms beside those of the reference."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from pipeline import documents
from pipeline.errors import UserError
from pipeline.evaluation.labels import hits_json, labels_sheet
from pipeline.evaluation.markdown import Sheet, part, percent
from pipeline.evaluation.options import Options
from pipeline.evaluation.report import Scores
from pipeline.evaluation.rows import Compared
from pipeline.scoring.durations import DurationGroup, by_duration
from pipeline.scoring.frames import BACKGROUND, FrameScores, Interval, Stretches, frame_scores, total_frames
from pipeline.scoring.hits import macro_f1, micro_f1
from pipeline.tasks.frames import BACKGROUNDS

RESULT: Final = "frames"
LACKING: Final = "without frames"
COLUMNS: Final[tuple[str, ...]] = ("frames",)


@dataclass(frozen=True, slots=True)
class StretchScores(Scores):
    """Labelled stretches, judged frame by frame."""

    frames: FrameScores
    durations: tuple[DurationGroup, ...]
    given: frozenset[str]
    """Labels of the rows' intervals."""
    wanted: frozenset[str]
    """Labels of the references' intervals."""

    @property
    def notes(self) -> list[str]:
        """That the background may have another name: what is called like one counts as a label that was missed."""
        name, found = self.frames.background.label, self.given | self.wanted
        labels = ", ".join(sorted(found)) or "no labels"
        told = [f"no interval has the label {name}, which --background names; there are {labels}"]
        told = told if name != BACKGROUND and name not in found else []
        alike = [each for each in sorted(self.wanted - self.given - {name}) if each.lower() in BACKGROUNDS]
        return told + [f"no row has the label {each}; if it means no label, add --background {each}" for each in alike]

    @property
    def macro_f1(self) -> float:
        """Mean frame F1 of the labels, without the background."""
        return macro_f1(self.frames.per_label)

    @property
    def micro_f1(self) -> float:
        """Frame F1 of all labels together, without the background."""
        return micro_f1(self.frames.per_label)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "frames": self.frames.frames,
            "accuracy": self.frames.accuracy,
            "macro_f1": self.macro_f1,
            "micro_f1": self.micro_f1,
            "labels": [hits_json(each) for each in self.frames.per_label],
            "background": hits_json(self.frames.background),
            "by_duration": [{**asdict(each), "rate": each.rate} for each in self.durations],
        }

    def sheets(self) -> list[Sheet]:
        """The figures, then each label's."""
        found = self.frames
        names = f"{len(found.per_label):,} label{'s' * (len(found.per_label) != 1)}"
        figures = Sheet(
            "",
            ("score", "value"),
            (
                (f"frame F1, mean of {names} without {found.background.label}", percent(self.macro_f1)),
                ("frame F1, all labels together", percent(self.micro_f1)),
                ("frames of 20 ms with exactly the right labels", part(found.exact, found.frames)),
            ),
        )
        return [figures, labels_sheet((*found.per_label, found.background), "frames")]

    def plots(self) -> dict[str, bytes]:
        """Wrong frames by duration."""
        from pipeline.scoring.plots import durations_png

        return {"error_by_duration.png": durations_png(self.durations, what="wrong frames")}


def compare(found: Compared, chosen: Options) -> StretchScores:
    """Compare all rows frame by frame, each over its own audio.

    Raises:
        UserError: a reference is no list of intervals.
    """
    columns = [found.column(name) for name in ("id", "start", "duration", "frames")]
    each_row = []
    given, wanted = set[str](), set[str]()
    for id, start, duration, spans, reference in zip(*columns, found.references, strict=True):
        row = Stretches(start, duration, [_interval(each) for each in spans], _intervals(reference, id))
        given.update(each.label for each in row.given)
        wanted.update(each.label for each in row.wanted)
        each_row.append(frame_scores(row, background=chosen.background))
    return StretchScores(
        total_frames(each_row, background=chosen.background),
        by_duration(
            found.column("duration"),
            [each.frames - each.exact for each in each_row],
            [each.frames for each in each_row],
        ),
        frozenset(given),
        frozenset(wanted),
    )


def _intervals(reference: Any, id: str) -> list[Interval]:
    """The reference of one recording: a list of objects, or the same as JSON."""
    try:
        parsed = documents.parse(reference) if isinstance(reference, str) else reference
        found = [_interval(each) for each in parsed]
        if not all(0 <= each.start <= each.end < math.inf for each in found):
            raise ValueError
        return found
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"{id}: the reference of frames must be a list of objects with start <= end, in seconds, and label, "
            f"was {str(reference)[:80]!r}"
        ) from error


def _interval(fields: dict[str, Any]) -> Interval:
    return Interval(float(fields["start"]), float(fields["end"]), str(fields["label"]))
