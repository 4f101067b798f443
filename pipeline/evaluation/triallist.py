"""Trials from a file: `id id target|nontarget` a line, or 1 and 0, parted by spaces or tabs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation.files import lines
from pipeline.evaluation.rows import Compared
from pipeline.storage.paths import redact

_FLAGS = {"target": True, "1": True, "nontarget": False, "0": False}

UNKNOWN = "naming a recording that is not in the table"
WITHOUT = "naming a recording without an embedding"


@dataclass(frozen=True, slots=True)
class Listed:
    """The trials of a list that can be scored, and why others cannot."""

    first: NDArray[np.int64]
    """(P,) number of a compared row."""
    second: NDArray[np.int64]
    targets: NDArray[np.bool_]
    unscored: dict[str, int]
    """Why -> how many."""


def read_trials(uri: str, found: Compared) -> Listed:
    """Read a list of trials, which names rows by id or by key.

    Raises:
        UserError: the file cannot be read, or a line is no trial.
    """
    first, second, targets = [], [], []
    unscored = Counter({UNKNOWN: 0, WITHOUT: 0})
    for number, line in lines(uri):
        place = f"{redact(uri)}: line {number}"
        # Names of files may have spaces; lists that have tabs are parted by these alone.
        words = [each.strip() for each in line.split("\t")] if "\t" in line else line.split()
        if len(words) != 3 or words[2] not in _FLAGS:
            raise UserError(f"{place} must be two ids and target, nontarget, 1 or 0, was {line[:80]!r}")
        one, two = (found.names.row(name, place) for name in words[:2])
        if one is None or two is None:
            unscored[UNKNOWN] += 1
        elif found.places[one] < 0 or found.places[two] < 0:
            unscored[WITHOUT] += 1
        else:
            first.append(found.places[one])
            second.append(found.places[two])
            targets.append(_FLAGS[words[2]])
    if not targets:
        counts = ", ".join(f"{count:,} {why}" for why, count in unscored.items())
        raise UserError(f"{redact(uri)}: no trial can be scored ({counts}). Write ids or keys as the table has them")
    return Listed(np.array(first, np.int64), np.array(second, np.int64), np.array(targets, bool), dict(unscored))
