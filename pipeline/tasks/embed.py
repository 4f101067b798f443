"""Speaker embeddings: speech is found, cut into segments, and each segment and the recording get a vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import RunConfig
from pipeline.corpus import FRAMES_PER_SECOND
from pipeline.models import checkpoint as checkpoints
from pipeline.tasks.frames import Frames
from pipeline.tasks.heard import Heard, Rows, not_finite
from pipeline.tasks.spans import joined, spans
from pipeline.tasks.stretch import Piece, Pieces, Stretch

if TYPE_CHECKING:
    import torch

    from pipeline.models.outputs import EmbeddingOutput

NAME: Final = "embed"
OUTPUT_VERSION: Final = 1
HEAD: Final = "xvector"
OPTIONS: Final = ("threshold", "release", "min_duration", "min_gap", "background", "min_segment", "max_segment")

DEFAULT_DIMENSION: Final = 512
"""`xvector_output_dim` of a config.json that does not say."""
LONGEST_PAUSE: Final = FRAMES_PER_SECOND // 2
"""Frames: speech on both sides of a shorter pause, of half a second, is one segment. By judgement."""


@dataclass(frozen=True, slots=True)
class Embed:
    """Speaker embeddings of one checkpoint."""

    dimension: int
    shortest: int
    """Frames of the shortest segment."""
    longest: int
    """Frames of the longest."""
    speech: Frames | None
    """What finds speech; None takes everything for speech."""

    pools: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """What only this task's files have; null in a row with an error."""
        vector = pa.list_(pa.float32(), self.dimension)
        segment = pa.struct(
            [
                pa.field("start", pa.float64()),
                pa.field("end", pa.float64()),
                pa.field("embedding", vector),
                pa.field("speech", pa.float64()),
            ]
        )
        return (
            pa.field("embedding", vector),
            pa.field("segments", pa.list_(segment)),
            pa.field("speech_kept", pa.float64()),
            pa.field("speech_dropped", pa.float64()),
        )

    def pieces(self, stretch: Stretch) -> Pieces:
        """Segments of the row's own speech: neighbours joined over short pauses, long ones cut into equal parts."""
        first, stop = stretch.own
        talk = np.ones(stop - first, bool)
        if self.speech is not None:
            assert stretch.probabilities is not None
            talk[:] = False
            for start, end in spans(self.speech.speech(stretch.probabilities), self.speech.rule):
                talk[max(0, start - first) : max(0, end - first)] = True
        edges = np.flatnonzero(np.diff(talk, prepend=False, append=False))
        runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        cut = [
            piece
            for start, end in joined(runs, LONGEST_PAUSE)
            if end - start >= self.shortest
            for piece in _parts(start, end, self.longest)
        ]
        pieces = tuple(Piece(first + a, first + b, int(talk[a:b].sum())) for a, b in cut)
        return Pieces(pieces, speech=int(talk.sum()))

    def reduce(self, output: EmbeddingOutput) -> tuple[torch.Tensor, ...]:
        """Embeddings (P, E) -> of length 1, float32, on the same device."""
        vectors = output.embeddings.float()
        return (vectors / vectors.norm(dim=1, keepdim=True),)

    def rows(self, heard: Sequence[Heard | None]) -> Rows:
        """The columns of some recordings, one row each, in order; null where a recording failed before (None)."""
        errors = {i: not_finite() for i, one in enumerate(heard) if one is not None and not one.finite}
        sound = {i: one for i, one in enumerate(heard) if one is not None and i not in errors}
        values = [self._row(sound[i]) if i in sound else {} for i in range(len(heard))]
        columns = {f.name: pa.array([each.get(f.name) for each in values], f.type) for f in self.columns}
        return Rows(columns, errors, {i: self._too_little(one) for i, one in sound.items() if not len(one.pieces)})

    def told(self, row: Mapping[str, Any]) -> str:
        """A row in one line."""
        return f"{len(row['segments'])} segments, {row['speech_kept']:.1f} s of speech"

    def _too_little(self, heard: Heard) -> tuple[str, ...]:
        return (
            f"too little speech for an embedding: {heard.speech / FRAMES_PER_SECOND:g} s, "
            f"where a segment takes {self.shortest / FRAMES_PER_SECOND:g} s (--min-segment)",
        )

    def _row(self, heard: Heard) -> dict[str, Any]:
        (vectors,) = heard.columns
        speech = heard.pieces[:, 2]
        kept = int(speech.sum())
        return {
            "embedding": _mean(vectors.astype(np.float64), speech) if len(vectors) else None,
            "segments": [
                {
                    **dict(zip(("start", "end"), heard.times(int(first), int(stop)), strict=True)),
                    "embedding": vector.tolist(),
                    "speech": int(talk) / FRAMES_PER_SECOND,
                }
                for (first, stop, talk), vector in zip(heard.pieces, vectors, strict=True)
            ],
            "speech_kept": kept / FRAMES_PER_SECOND,
            "speech_dropped": (heard.speech - kept) / FRAMES_PER_SECOND,
        }


def _parts(start: int, stop: int, longest: int) -> list[tuple[int, int]]:
    """Cut [start, stop) into the fewest parts of at most `longest` frames, equally long to one."""
    count = math.ceil((stop - start) / longest)
    edges = [start + (stop - start) * number // count for number in range(count + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))


def _mean(vectors: NDArray[np.float64], weights: NDArray[np.int32]) -> list[float]:
    """Mean of the segments' vectors by seconds of speech, of length 1."""
    mean = np.average(vectors, axis=0, weights=weights)
    unit: list[float] = (mean / np.linalg.norm(mean)).tolist()
    return unit


def of(checkpoint: Path, config: RunConfig, speech: Frames | None = None) -> Embed:
    """Make the task of a checkpoint.

    Args:
        checkpoint: with an x-vector head.
        config: the options.
        speech: the task whose labels say where speech is; None takes everything for speech.
    """
    dimension = checkpoints.read_config(checkpoint, where=str(checkpoint)).get("xvector_output_dim", DEFAULT_DIMENSION)
    shortest, longest = (round(each * FRAMES_PER_SECOND) for each in (config.min_segment, config.max_segment))
    return Embed(dimension, shortest, longest, speech)
