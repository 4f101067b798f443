"""What the plan has already: one index over all generations, 36 bytes a recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.plan import generations
from pipeline.plan.generations import Scope, UnitRef
from pipeline.plan.ids import digests
from pipeline.plan.spans import whole_id

_COLUMNS = ("id", "version", "source", "spans", "supersedes", "unit", "seconds", "payload")


@dataclass(frozen=True, slots=True)
class Known:
    """The newest planned row of each id, sorted by digest; the strings stay on disk."""

    output: str
    digests: np.ndarray
    """(N,) S16, sorted, no two equal."""
    versions: np.ndarray
    """(N,) int64, see `text_hashes`."""
    sources: np.ndarray
    """(N,) int64, see `text_hashes`."""
    unit_numbers: np.ndarray
    """(N,) int32 places in `units`."""
    units: list[UnitRef]
    """All units of all generations, in plan order."""
    scopes: tuple[Scope, ...]
    """What each generation was planned from, generation 1 first."""
    spans: dict[str, tuple[str, ...]]
    """Ids of the spans of recordings that were cut, by the id of the whole."""

    @property
    def generation(self) -> int:
        """Number of the last generation, 0 where there is none."""
        return len(self.scopes)

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """Places of (M,) digests in this index, int64, -1 for those that it does not have."""
        if len(self.digests) == 0:
            return np.full(len(wanted), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.digests, wanted), len(self.digests) - 1)
        return np.where(self.digests[places] == wanted, places, -1)

    def unit_of(self, place: int) -> UnitRef:
        """Unit that holds the row at a place."""
        return self.units[int(self.unit_numbers[place])]

    def source_of(self, place: int, id: str) -> str:
        """Source that the row with this id at this place was planned from."""
        ref = self.unit_of(place)
        table = generations.open_generation(self.output, ref.generation).row_group(ref.row_group, ("id", "source"))
        rows = table.slice(ref.first, ref.count)
        return str(rows.column("source")[rows.column("id").index(id).as_py()])

    def vanished(self, seen: np.ndarray, scope: Scope) -> int:
        """Rows that a listing did not see, counted in the generations whose every source it listed."""
        judged = np.array([scope.covers(each) for each in self.scopes], dtype=bool)
        if not judged.any():
            return 0
        of_unit = np.array([judged[unit.generation - 1] for unit in self.units], dtype=bool)
        return int(np.count_nonzero(~seen & of_unit[self.unit_numbers]))


def text_hashes(texts: Iterable[str]) -> np.ndarray:
    """Int64 hashes that tell strings apart within this process; Python's own, so they cost little."""
    return np.fromiter(map(hash, texts), dtype=np.int64)


def read_known(output: str) -> Known:
    """Index of everything planned so far; 4,000,000 recordings take a few hundred MB while it is built.

    Raises:
        UserError: a generation is missing or damaged.
        StorageFault: the plan cannot be read.
    """
    builder, scopes = _Builder(), []
    for number in generations.numbers(output):
        generation = generations.open_generation(output, number)
        scopes.append(generation.scope)
        for group, table in enumerate(generation.row_groups(_COLUMNS)):
            builder.add(table, generations.unit_runs(table, generation=number, row_group=group))
    return builder.finish(output, tuple(scopes))


@dataclass(slots=True)
class _Builder:
    digests: list[np.ndarray] = field(default_factory=list)
    versions: list[np.ndarray] = field(default_factory=list)
    sources: list[np.ndarray] = field(default_factory=list)
    unit_numbers: list[np.ndarray] = field(default_factory=list)
    retired: dict[str, int] = field(default_factory=dict)
    """Ids that rows with other ids superseded, with the number of rows read before that."""
    spans: dict[str, dict[str, None]] = field(default_factory=dict)
    units: list[UnitRef] = field(default_factory=list)
    rows: int = 0

    def add(self, table: pa.Table, units: list[UnitRef]) -> None:
        """Take in the rows of one row group."""
        ids = table.column("id").to_pylist()
        self.digests.append(digests(ids))
        self.versions.append(text_hashes(table.column("version").to_pylist()))
        self.sources.append(text_hashes(table.column("source").to_pylist()))
        counts = [unit.count for unit in units]
        self.unit_numbers.append(np.repeat(np.arange(len(units), dtype=np.int32) + len(self.units), counts))
        self._retire(ids, table.column("supersedes"))
        for row in np.flatnonzero(table.column("spans").to_numpy() > 1).tolist():
            self.spans.setdefault(whole_id(ids[row]), {})[ids[row]] = None
        self.units += units
        self.rows += len(ids)

    def _retire(self, ids: list[str], supersedes: pa.ChunkedArray) -> None:
        for row in np.flatnonzero(supersedes.is_valid().to_numpy()).tolist():
            for old in supersedes[row].as_py():
                if old["id"] != ids[row]:
                    self.retired[old["id"]] = self.rows
                    self.spans.get(whole_id(old["id"]), {}).pop(old["id"], None)

    def finish(self, output: str, scopes: tuple[Scope, ...]) -> Known:
        """Sort, and keep the newest row of each id that nothing else superseded."""
        every = np.concatenate([*self.digests, digests([])])
        # Stable, so that among equal digests the newest row comes last.
        order = np.argsort(every, kind="stable")
        ordered = every[order]
        newest = np.ones(len(order), dtype=bool)
        newest[:-1] = ordered[1:] != ordered[:-1]
        order = order[newest & ~self._gone(ordered, order)]
        return Known(
            output=output,
            digests=every[order],
            versions=_join(self.versions, np.int64)[order],
            sources=_join(self.sources, np.int64)[order],
            unit_numbers=_join(self.unit_numbers, np.int32)[order],
            units=self.units,
            scopes=scopes,
            spans={whole: tuple(ids) for whole, ids in self.spans.items() if ids},
        )

    def _gone(self, ordered: np.ndarray, order: np.ndarray) -> np.ndarray:
        gone = np.zeros(len(order), dtype=bool)
        for digest, rows_before in zip(digests(list(self.retired)), self.retired.values(), strict=True):
            first, stop = np.searchsorted(ordered, digest), np.searchsorted(ordered, digest, side="right")
            gone[first:stop] = order[first:stop] < rows_before
        return gone


def _join(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)
