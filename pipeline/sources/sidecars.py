"""Which sidecars are whose among the members of one key of a tar, in whatever order they come.

A recording takes the sidecars of its own stem, its name without the last extension, as it would in a folder: of
`s.take2.wav` these are `s.take2.txt` and `s.take2.json`. What they leave open, those of the key say, `s.txt` and
`s.json`. Any other `s.meta.json` is a member like an image, of which WebDataset shards hold many, and is passed over
in silence. Only what is named after a whole name, as `s.wav.txt`, is told where that recording has no label at all:
it can have been meant for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pipeline.sources import labels
from pipeline.sources.labels import NONE, Labels
from pipeline.sources.names import extension, without_extension

KINDS = ("txt", "json")
MOST_HELD = 64 * 2**20
"""Bytes of the sidecars of one key that are held until its last member, for only then is it known whose they are."""


@dataclass(slots=True)
class Sidecars:
    """The sidecars that have come of one key."""

    key: str
    contents: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    """Stem and kind -> content; None where it is too large, or more than is held."""
    held: int = 0
    """Bytes."""
    beyond: bool = False
    """Whether something was more than is held."""

    def take(self, name: str, size: int, read: Callable[[], bytes]) -> None:
        """Keep a sidecar; those of the key itself are two, so that they are kept however many there are of others."""
        stem, kind = without_extension(name), extension(name)
        content = None
        if size <= labels.MAX_SIDECAR:
            if stem == self.key or self.held + size <= MOST_HELD:
                content = read()
                self.held += size
            else:
                self.beyond = True
        self.contents[stem, kind] = content

    def of(self, names: Iterable[str]) -> tuple[dict[str, Labels], list[tuple[str, str]]]:
        """Give the labels of the recordings of the key, by their stems, and what is wrong: a name and a message."""
        wrong: list[tuple[str, str]] = []
        shared = self._read(self.key, wrong) or NONE
        told = {self.key: shared}
        for name in names:
            stem = without_extension(name)
            if stem not in told:
                told[stem] = self._beside(shared, stem, wrong)
            if told[stem] == NONE:
                wrong += self._named_in_full(name, stem)
        return told, wrong

    def _read(self, stem: str, wrong: list[tuple[str, str]]) -> Labels | None:
        """Read what stands beside one stem; None where it cannot be read."""
        try:
            return labels.from_sidecars(self.contents.get((stem, "txt")), self.contents.get((stem, "json")))
        except ValueError as error:
            wrong.append((stem, str(error)))
            return None

    def _beside(self, shared: Labels, stem: str, wrong: list[tuple[str, str]]) -> Labels:
        """Complete a recording's own labels by those of the key; where its own are lost, another's may be wrong."""
        there = [kind for kind in KINDS if (stem, kind) in self.contents]
        if not there:
            return shared
        if self.beyond and any(self.contents[stem, kind] is None for kind in there):
            wrong.append((stem, f"its sidecars are not read: those of one key are more than {MOST_HELD:,} bytes"))
        own = self._read(stem, wrong)
        if own is None:
            return NONE
        open_text = own.reference is None and "txt" not in there
        return Labels(
            shared.reference if open_text else own.reference, own.metadata if "json" in there else shared.metadata
        )

    def _named_in_full(self, name: str, stem: str) -> list[tuple[str, str]]:
        found = [kind for kind in KINDS if (name, kind) in self.contents]
        return [
            (f"{name}.{kind}", f"a sidecar has the name of its audio up to the last dot: {stem}.{kind}")
            for kind in found
        ]
