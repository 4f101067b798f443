"""Scores of speaker embeddings: how well their cosines tell one speaker from two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation.markdown import Sheet, percent
from pipeline.evaluation.options import Options
from pipeline.evaluation.report import Scores
from pipeline.evaluation.rows import Compared
from pipeline.evaluation.triallist import read_trials
from pipeline.evaluation.vectors import Vectors, of_recordings, of_segments
from pipeline.scoring.speakers import ConfidenceInterval, Curve, bootstrap, curve
from pipeline.scoring.trials import cosines, pairs

RESULT: Final = "embedding"
LACKING: Final = "without an embedding: too little speech"
COLUMNS: Final[tuple[str, ...]] = ("embedding", "segments")
P_TARGETS = (0.05, 0.01)
"""Assumed shares of targets for the detection cost."""
FEW = 5
"""Below so many speakers an interval says little: four can be drawn in 35 ways only."""


@dataclass(frozen=True, slots=True)
class SpeakerScores(Scores):
    """Trials of embeddings."""

    curve: Curve
    targets: int
    """Trials of one speaker."""
    others: int
    """Trials of two speakers."""
    compared: str
    """What a trial compares, and which trials there are."""
    embeddings: int
    speakers: int | None
    """Of the trials; None where not every recording of these has a speaker."""
    interval: ConfidenceInterval | None
    """Of the equal error rate, 95 %."""
    drawn: str
    """What the interval's bootstrap drew: speakers, or recordings where speakers are not known."""
    unscored: dict[str, int]
    """Why trials have no score -> how many."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "equal_error_rate": self.curve.equal_error_rate,
            "equal_error_rate_is": "interpolated on the plain curve, not on its convex hull",
            "interval_95": None if self.interval is None else {**asdict(self.interval), "drawn": self.drawn},
            "min_cost": {str(p): self.curve.min_cost(p) for p in P_TARGETS},
            "trials": {"compared": self.compared, "targets": self.targets, "others": self.others},
            "unscored_trials": self.unscored,
            "embeddings": self.embeddings,
            "speakers": self.speakers,
        }

    def sheets(self) -> list[Sheet]:
        """The figures, then what was compared."""
        rate = percent(self.curve.equal_error_rate)
        if self.interval is not None:
            low, high = percent(self.interval.low), percent(self.interval.high)
            drawn = f"{self.interval.replicates} draws of {self.interval.groups:,} {self.drawn}"
            few = ", too few for it to mean much" if self.interval.groups < FEW else ""
            rate += f" (95 %: {low} to {high}, {drawn}{few})"
        costs = [(f"minimum detection cost, {p:g} targets", f"{self.curve.min_cost(p):.3f}") for p in P_TARGETS]
        figures = Sheet("", ("score", "value"), (("equal error rate", rate), *costs))
        rows = [
            ("trials of one speaker", f"{self.targets:,}"),
            ("trials of two speakers", f"{self.others:,}"),
            ("which", self.compared),
            *((f"trials not scored, {why}", f"{count:,}") for why, count in self.unscored.items() if count),
            ("embeddings", f"{self.embeddings:,}"),
            ("speakers", "not known" if self.speakers is None else f"{self.speakers:,}"),
        ]
        return [figures, Sheet("", ("trials", ""), tuple(rows))]

    def plots(self) -> dict[str, bytes]:
        """The DET curve."""
        from pipeline.scoring.plots import det_png

        return {"det.png": det_png(self.curve)}


@dataclass(frozen=True, slots=True)
class _Trials:
    """Pairs of embeddings to be scored."""

    vectors: Vectors
    first: NDArray[np.int64]
    """(P,) number of an embedding."""
    second: NDArray[np.int64]
    targets: NDArray[np.bool_]
    compared: str
    unscored: dict[str, int]


def compare(found: Compared, chosen: Options) -> SpeakerScores:
    """Score the trials of a list, or all pairs.

    Raises:
        UserError: the trials are of one kind only, or their file is wrong.
    """
    speakers = _speakers(found)
    trials = _of_list(found, chosen.trials) if chosen.trials else _of_pairs(found, speakers, segments=chosen.segments)
    scores = cosines(trials.vectors.values, trials.first, trials.second)
    rows_one, rows_two = trials.vectors.rows[trials.first], trials.vectors.rows[trials.second]
    known = bool((speakers[rows_one] >= 0).all() and (speakers[rows_two] >= 0).all())
    groups = speakers if known else _numbers(found.column("recording"))
    return SpeakerScores(
        curve(scores, trials.targets),
        int(trials.targets.sum()),
        int((~trials.targets).sum()),
        trials.compared,
        len(trials.vectors.values),
        len(np.unique(groups[np.concatenate([rows_one, rows_two])])) if known else None,
        bootstrap(scores, trials.targets, groups[rows_one], groups[rows_two], replicates=chosen.bootstrap),
        "speakers" if known else "recordings",
        trials.unscored,
    )


def _of_list(found: Compared, uri: str) -> _Trials:
    listed = read_trials(uri, found)
    vectors = of_recordings(found)
    return _Trials(vectors, listed.first, listed.second, listed.targets, "those of a list", listed.unscored)


def _of_pairs(found: Compared, speakers: NDArray[np.int64], *, segments: bool) -> _Trials:
    """All pairs of recordings or segments but those of one recording, whose sound is alike for other reasons."""
    vectors = of_segments(found) if segments else of_recordings(found)
    first, second = pairs(len(vectors.values))
    possible = math.comb(len(vectors.values), 2)
    what = "segments" if segments else "recordings"
    which = f"all {possible:,} pairs of {what}"
    if len(first) < possible:
        which = f"{len(first):,} pairs of {what}, drawn at random of {possible:,}"
    recordings = _numbers(found.column("recording"))[vectors.rows]
    apart = recordings[first] != recordings[second]
    first, second = first[apart], second[apart]
    of_rows = speakers[vectors.rows]
    unscored = {"for both are of one recording": int((~apart).sum()), "segments without an embedding": vectors.empty}
    return _Trials(vectors, first, second, of_rows[first] == of_rows[second], which, unscored)


def _speakers(found: Compared) -> NDArray[np.int64]:
    """Number of the speaker of each row, from 0; -1 where it is not known."""
    place: dict[str, int] = {}
    numbers = np.full(len(found.references), -1, dtype=np.int64)
    for row, (reference, id) in enumerate(zip(found.references, found.column("id"), strict=True)):
        if reference is not None:
            numbers[row] = place.setdefault(_name(reference, id), len(place))
    return numbers


def _name(reference: Any, id: str) -> str:
    if isinstance(reference, str | int):
        return str(reference)
    raise UserError(f"{id}: the name of a speaker must be text or a whole number, was {str(reference)[:80]!r}")


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Equal names have equal numbers, from 0."""
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
