"""Names that stay: the id of a span, the name of a unit; digests that stand for ids."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.corpus import Recording, Seconds

UNIT_NAME_DIGITS = 32
"""Hex digits of a unit's name, 128 bits: among 10^9 units two are equal by chance once in 10^21 corpora."""


def span_id(whole: str, start: Seconds, end: Seconds) -> str:
    """Id of the audio from `start` to `end` of a recording, in whole seconds: the end is rounded up."""
    return f"{whole}@{math.floor(start)}-{math.ceil(end)}"


def span_offset(id: str) -> Seconds:
    """Where a span begins, from the start of what it was cut from, by its id."""
    return float(id.rpartition("@")[2].partition("-")[0])


def unit_name(recordings: Iterable[Recording]) -> str:
    """Name of a unit: 32 hex digits that depend on the ids and versions of its recordings, in order."""
    return unit_name_of((each.id, each.version) for each in recordings)


def unit_name_of(pairs: Iterable[tuple[str, str]]) -> str:
    """Name of the unit that holds recordings with these ids and versions, in order."""
    hashed = hashlib.blake2b(digest_size=UNIT_NAME_DIGITS // 2)
    for id, version in pairs:
        # Lengths stand in front, so that no two lists of pairs run together into the same bytes.
        hashed.update(f"{len(id)}:{len(version)}:{id}{version}".encode())
    return hashed.hexdigest()


def digests(ids: Sequence[str]) -> np.ndarray:
    """128-bit digests that stand for ids wherever millions of them are compared.

    Returns:
        (N,) array of dtype `S16`, sortable and searchable.
    """
    joined = b"".join(hashlib.blake2b(each.encode(), digest_size=16).digest() for each in ids)
    return np.frombuffer(joined, dtype="S16")
