"""Runs without cluster and model, and with a decoder in this process: hundreds of them in a few minutes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console

from pipeline import alone, config, working
from pipeline.audio import FEATURE_SIZE, Window
from pipeline.errors import UserError, VoxmillError
from pipeline.featurising import here
from pipeline.job import Job
from pipeline.run import run
from pipeline.storage import patience
from tests.chaos.promise import Broken
from tests.jobs.corpora import MODEL

TOKENS = 18
"""Of the demo's vocabulary: blank, letters, and what parts words."""


class _Here:
    """In place of the process that decodes."""

    peak_bytes = 0

    def __init__(self, limits: object) -> None:
        pass

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def __call__(self, *given: Any) -> Any:
        return here(*given)


class _Ear:
    """In place of the model: hears in each frame the token that a fixed projection of its features points to."""

    filler_frames = 0

    def __init__(self) -> None:
        self.models = {"transcribe": None}
        self._projection = np.random.default_rng(0).standard_normal((FEATURE_SIZE, TOKENS)).astype(np.float32)

    def run(self, features: np.ndarray, stretches: Sequence[Sequence[Window]], wants: Iterable[str]) -> dict[str, Any]:
        return {name: [self._hear(features, stretch) for stretch in stretches] for name in wants}

    def _hear(self, features: np.ndarray, stretch: Sequence[Window]) -> tuple[np.ndarray, np.ndarray]:
        kept = [features[each.keep_start : each.keep_stop] for each in stretch]
        tokens = (np.concatenate([features[:0], *kept]) @ self._projection).argmax(1).astype(np.int32)
        return tokens, np.full(len(tokens), -0.1, np.float32)


@contextlib.contextmanager
def at_hand() -> Iterator[None]:
    """All units are done in this process, one after the other, without a model; storage is given up soon."""
    with (
        mock.patch.object(alone, "fits", return_value=True),
        mock.patch.object(working, "left_off", return_value=False),
        mock.patch.object(alone, "Isolated", _Here),
        mock.patch.object(Job, "load_predictors", return_value=[_Ear()]),
        mock.patch.multiple(patience, DELAYS=(0.005,) * 5, FIRST=0.01, LONGEST=0.02, LASTING=0.2),
    ):
        yield


def labelled(sources: list[str], output: str, **options: Any) -> tuple[int, str]:
    """Exit code of a run and what it said, as a user has them.

    Raises:
        Broken: a fault of storage is told as a mistake of the user.
    """
    said = io.StringIO()
    made = config.make({"model": MODEL, "device": "cpu", "corpus": "c", **options})
    try:
        return run(sources, output, made, console=Console(file=said, width=400)).exit_code, said.getvalue()
    except UserError as error:
        raise Broken(f"{output}: told as a mistake of the user: {error}") from error
    except VoxmillError as error:
        return 4, str(error)
