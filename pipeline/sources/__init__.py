"""What recordings are there, and their bytes: one module a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.corpus import Recording

Group = tuple[Recording, ...]
"""Recordings that must share a unit: lines of one audio file, members of one compressed tar; usually one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that could not be planned: a truncated tar, a name that is no text, a link."""

    uri: str
    message: str


def entries(
    sources: Sequence[str],
    *,
    corpus: str | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> Iterator[Group]:
    """Find the recordings of all sources, in a fixed order."""
    raise NotImplementedError
