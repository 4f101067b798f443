"""Scores of transcripts: word and character errors, the worst recordings, errors by duration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from pipeline.corpus import Seconds
from pipeline.errors import UserError
from pipeline.evaluation.markdown import Sheet, part
from pipeline.evaluation.options import Options
from pipeline.evaluation.report import Scores
from pipeline.evaluation.rows import Compared
from pipeline.plan.spans import whole_id
from pipeline.scoring.durations import DurationGroup, by_duration
from pipeline.scoring.words import (
    CharacterErrors,
    EditCounts,
    WordErrors,
    character_errors,
    normalise,
    word_errors_each,
    word_total,
)

RESULT: Final = "text"
LACKING: Final = "without a transcript"
COLUMNS: Final[tuple[str, ...]] = ("text",)
_WORST = 10
_LONGEST_TEXT = 60
"""Characters of a transcript that the page shows."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """One recording, whole: the text of its spans joined."""

    id: str
    duration: Seconds
    reference: str
    text: str


@dataclass(frozen=True, slots=True)
class Worst:
    """A recording with many errors."""

    id: str
    errors: WordErrors
    reference: str
    text: str


@dataclass(frozen=True, slots=True)
class TranscriptScores(Scores):
    """Transcripts beside their references, both in lower case."""

    recordings: int
    exact: int
    """Recordings without any error."""
    words: WordErrors
    characters: CharacterErrors
    worst: tuple[Worst, ...]
    """Those with the most wrong words first; none without errors."""
    durations: tuple[DurationGroup, ...]
    incomplete: int
    """Rows that are not compared, for another part of their recording is missing."""

    @property
    def left_out(self) -> dict[str, int]:
        """Parts of recordings."""
        return {"parts of recordings of which another part is missing": self.incomplete}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "recordings": self.recordings,
            "exact": self.exact,
            "words": _counts(self.words),
            "characters": _counts(self.characters),
            "worst": [
                {"id": each.id, **_counts(each.errors), "reference": each.reference, "text": each.text}
                for each in self.worst
            ],
            "by_duration": [{**asdict(each), "rate": each.rate} for each in self.durations],
        }

    def sheets(self) -> list[Sheet]:
        """The rates, then the worst recordings."""
        rates = Sheet(
            "",
            ("score", "rate", "substitutions", "insertions", "deletions"),
            (
                ("word error rate", *_cells(self.words)),
                ("character error rate", *_cells(self.characters)),
                ("recordings with an error", part(self.recordings - self.exact, self.recordings), "", "", ""),
            ),
        )
        worst = tuple(
            (each.id, part(each.errors.errors, each.errors.words), _short(each.reference), _short(each.text))
            for each in self.worst
        )
        title = "Recordings with the most wrong words"
        return [rates, *([Sheet(title, ("id", "wrong", "reference", "transcript"), worst)] if worst else [])]

    def plots(self) -> dict[str, bytes]:
        """Word error rate by duration."""
        from pipeline.scoring.plots import durations_png

        return {"error_by_duration.png": durations_png(self.durations, what="word error rate")}


def compare(found: Compared, chosen: Options) -> TranscriptScores:
    """Count the errors of all transcripts.

    Raises:
        UserError: a reference is no text.
    """
    whole, incomplete = _joined(found)
    references, texts = [each.reference for each in whole], [each.text for each in whole]
    each_errors = word_errors_each(references, texts)
    order = sorted(range(len(whole)), key=lambda i: (-each_errors[i].errors, whole[i].id))
    worst = [Worst(whole[i].id, each_errors[i], whole[i].reference, whole[i].text) for i in order[:_WORST]]
    return TranscriptScores(
        len(whole),
        sum(each.errors == 0 for each in each_errors),
        word_total(each_errors),
        character_errors(references, texts),
        tuple(each for each in worst if each.errors.errors),
        by_duration(
            [each.duration for each in whole],
            [each.errors for each in each_errors],
            [each.words for each in each_errors],
        ),
        incomplete,
    )


def _joined(found: Compared) -> tuple[list[Transcript], int]:
    """Recordings in one row as they are, those in several spans joined; and how many rows lack another span.

    Every span of a recording carries the reference of the whole, unless each has one of its own.
    """
    whole: dict[str, list[tuple[int, Transcript]]] = {}
    expected: dict[str, int] = {}
    columns = [found.column(name) for name in ("id", "span", "spans", "duration", "text")]
    for id, span, spans, duration, text, reference in zip(*columns, found.references, strict=True):
        if not isinstance(reference, str):
            raise UserError(f"{id}: the reference of a transcript must be text, was {reference!r}")
        name = whole_id(id) if spans > 1 else id
        whole.setdefault(name, []).append((span, Transcript(name, duration, reference, text)))
        expected[name] = spans
    complete = [_join(parts) for name, parts in whole.items() if len(parts) == expected[name]]
    return complete, found.rows.num_rows - sum(expected[each.id] for each in complete)


def _join(parts: list[tuple[int, Transcript]]) -> Transcript:
    spans = [transcript for _, transcript in sorted(parts, key=lambda part: part[0])]
    seconds = sum(each.duration for each in spans)
    references = [each.reference for each in spans]
    reference = references[0] if len(set(references)) == 1 else " ".join(references)
    return Transcript(spans[0].id, seconds, reference, " ".join(each.text for each in spans))


def _counts(errors: EditCounts) -> dict[str, Any]:
    return {**asdict(errors), "errors": errors.errors, "rate": errors.rate}


def _cells(errors: EditCounts) -> tuple[str, ...]:
    kinds = (errors.substitutions, errors.insertions, errors.deletions)
    return part(errors.errors, errors.length), *(f"{count:,}" for count in kinds)


def _short(text: str) -> str:
    plain = normalise(text)
    return plain if len(plain) <= _LONGEST_TEXT else plain[: _LONGEST_TEXT - 1] + "…"
