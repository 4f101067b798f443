"""What the plan has already: one index over all generations, 49 bytes a recording and 33 a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.corpus import Seconds
from pipeline.plan import generations
from pipeline.plan.columns import CLOSING
from pipeline.plan.files import FileIndex, index_files, name_hashes
from pipeline.plan.forgotten import Forgotten, forgotten
from pipeline.plan.generations import Generation, Scope, UnitRef
from pipeline.plan.ids import digests, span_offset
from pipeline.plan.spans import whole_id
from pipeline.sources import content_of

_COLUMNS = (
    "id", "version", "source", "member", "start", "end", "span", "spans", "supersedes", "seconds", "payload", "unit",
    CLOSING.name,
)  # fmt: skip
_TOGETHER = 100_000
"""Rows of small generations that are held at once."""


@dataclass(frozen=True, slots=True)
class Known:
    """The newest planned row of each id, sorted by digest; the strings stay on disk."""

    output: str
    digests: np.ndarray
    """(N,) S16, sorted, no two equal."""
    contents: np.ndarray
    """(N,) int64, see `content_hashes`."""
    sources: np.ndarray
    """(N,) int64, see `text_hashes`."""
    seconds: np.ndarray
    """(N,) float64."""
    parts: np.ndarray
    """(N,) int8: 0 a whole recording, 1 its first span, 2 a later one."""
    unit_numbers: np.ndarray
    """(N,) int32 places in `units`."""
    file_numbers: np.ndarray
    """(N,) int32 places in `files`."""
    files: FileIndex
    units: list[UnitRef]
    """All units of all generations, in plan order."""
    scopes: tuple[Scope, ...]
    """What each generation was planned from, generation 1 first."""
    spans: dict[str, tuple[str, ...]]
    """Ids of the spans of recordings that were cut, by the id of the whole."""
    forgotten: Forgotten
    """What is not to be planned again."""

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

    def row(self, place: int) -> tuple[str, str]:
        """Id and source of the row at a place; reads them from the plan."""
        ref = self.unit_of(place)
        table = generations.open_generation(self.output, ref.generation).row_group(ref.row_group, ("id", "source"))
        rows = table.slice(ref.first, ref.count)
        ids = rows.column("id").to_pylist()
        row = int(np.flatnonzero(digests(ids) == self.digests[place])[0])
        return ids[row], rows.column("source")[row].as_py()

    def of_files(self, chosen: np.ndarray, places: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Which of the rows at these places are what a look into the chosen files, (F,) bool, would give."""
        files = self.file_numbers[places]
        found: np.ndarray = chosen[files] & (self.contents[places] == self.files.contents[files])
        return found

    def vanished(self, seen: np.ndarray, absent: np.ndarray, scope: Scope) -> int:
        """Rows that a listing did not see, of generations whose every source it listed, or names as absent."""
        judged = np.array([scope.covers(each) for each in self.scopes], dtype=bool)
        of_unit = np.array([judged[unit.generation - 1] for unit in self.units], dtype=bool)
        return int(np.count_nonzero((~seen & of_unit[self.unit_numbers]) | absent))


def text_hashes(texts: Iterable[str]) -> np.ndarray:
    """Int64 hashes that tell strings apart within this process; Python's own, so they cost little."""
    return np.fromiter(map(hash, texts), dtype=np.int64)


def content_hashes(rows: pa.Table) -> np.ndarray:
    """(N,) int64 hashes of the contents of planned rows, see `content_hash`."""
    versions = rows.column("version").to_pylist()
    found = text_hashes(versions)
    start, end = rows.column("start").to_numpy(), rows.column("end")
    for row in np.flatnonzero((start != 0.0) | end.is_valid().to_numpy()).tolist():
        id, span, spans = (rows.column(name)[row].as_py() for name in ("id", "span", "spans"))
        found[row] = content_hash(id, versions[row], float(start[row]), end[row].as_py(), span, spans)
    return found


def content_hash(id: str, version: str, start: Seconds, end: Seconds | None, span: int, spans: int) -> int:
    """Hash of what a row is made of, see `sources.content_of`: of a span, what it was cut from.

    Ids of spans count from where that begins. Where it ends its last one knows.
    """
    if spans > 1:
        # In whole microseconds: to add seconds and to take them away again may leave a rest.
        start, end = round(start - span_offset(id), 6), end if span == spans - 1 else None
    return hash(content_of(version, start, end))


def read_known(output: str) -> Known:
    """Index of everything planned so far; 4,000,000 recordings take a few hundred MB while it is built.

    Raises:
        UserError: a generation is missing or damaged.
        StorageFault: the plan cannot be read.
    """
    builder, gone, opened = _Builder(), forgotten(output), generations.opened(output)
    for some in _together(opened):
        if len(some) == 1:
            builder.add_generation(some[0], some[0].row_groups(_COLUMNS))
            continue
        read = generations.of_each(lambda each: list(each.row_groups(_COLUMNS)), some)
        for generation, tables in zip(some, read, strict=True):
            builder.add_generation(generation, tables)
    return builder.finish(output, tuple(each.scope for each in opened), gone)


def _together(found: Iterable[Generation]) -> Iterator[list[Generation]]:
    """Runs of neighbours that are few rows together, and so are read at once; a large one is alone."""
    some: list[Generation] = []
    for each in found:
        if some and sum(other.footer.num_rows for other in (*some, each)) > _TOGETHER:
            yield some
            some = []
        some.append(each)
    if some:
        yield some


@dataclass(slots=True)
class _Builder:
    digests: list[np.ndarray] = field(default_factory=list)
    contents: list[np.ndarray] = field(default_factory=list)
    sources: list[np.ndarray] = field(default_factory=list)
    names: list[np.ndarray] = field(default_factory=list)
    closing: list[np.ndarray] = field(default_factory=list)
    seconds: list[np.ndarray] = field(default_factory=list)
    parts: list[np.ndarray] = field(default_factory=list)
    unit_numbers: list[np.ndarray] = field(default_factory=list)
    retired: dict[str, int] = field(default_factory=dict)
    """Ids that rows with other ids superseded, with the number of rows read before that."""
    spans: dict[str, dict[str, None]] = field(default_factory=dict)
    units: list[UnitRef] = field(default_factory=list)
    rows: int = 0

    def add_generation(self, generation: Generation, tables: Iterable[pa.Table]) -> None:
        """Take in the row groups of one generation."""
        for group, table in enumerate(tables):
            self.add(table, generations.unit_runs(table, generation, row_group=group))

    def add(self, table: pa.Table, units: list[UnitRef]) -> None:
        """Take in the rows of one row group."""
        ids = table.column("id").to_pylist()
        self.digests.append(digests(ids))
        self.contents.append(content_hashes(table))
        self.sources.append(text_hashes(table.column("source").to_pylist()))
        spans = table.column("spans").to_numpy()
        self.names.append(name_hashes(ids, table.column("member").to_pylist(), spans.tolist()))
        closed = CLOSING.name in table.column_names
        self.closing.append(table.column(CLOSING.name).to_numpy() if closed else np.zeros(len(ids), dtype=bool))
        self.seconds.append(table.column("seconds").to_numpy())
        later = table.column("span").to_numpy() > 0
        self.parts.append((spans > 1).astype(np.int8) + later)
        counts = [unit.count for unit in units]
        self.unit_numbers.append(np.repeat(np.arange(len(units), dtype=np.int32) + len(self.units), counts))
        self._retire(ids, table.column("supersedes"))
        for row in np.flatnonzero(spans > 1).tolist():
            self.spans.setdefault(whole_id(ids[row]), {})[ids[row]] = None
        self.units += units
        self.rows += len(ids)

    def _retire(self, ids: list[str], supersedes: pa.ChunkedArray) -> None:
        for row in np.flatnonzero(supersedes.is_valid().to_numpy()).tolist():
            for old in supersedes[row].as_py():
                if old["id"] != ids[row]:
                    self.retired[old["id"]] = self.rows
                    self.spans.get(whole_id(old["id"]), {}).pop(old["id"], None)

    def finish(self, output: str, scopes: tuple[Scope, ...], gone: Forgotten) -> Known:
        """Sort, and keep the newest row of each id that nothing else superseded."""
        every = np.concatenate([*self.digests, digests([])])
        # Stable, so that among equal digests the newest row comes last.
        order = np.argsort(every, kind="stable")
        ordered = every[order]
        newest = np.ones(len(order), dtype=bool)
        newest[:-1] = ordered[1:] != ordered[:-1]
        order = order[newest & ~self._gone(ordered, order)]
        contents, sources = _join(self.contents, np.int64), _join(self.sources, np.int64)
        names, closing = _join(self.names, np.int64), _join(self.closing, bool)
        files, file_numbers = index_files(names, contents, sources, closing, order)
        return Known(
            output=output,
            digests=every[order],
            contents=contents[order],
            sources=sources[order],
            seconds=_join(self.seconds, np.float64)[order],
            parts=_join(self.parts, np.int8)[order],
            file_numbers=file_numbers,
            files=files,
            unit_numbers=_join(self.unit_numbers, np.int32)[order],
            units=self.units,
            scopes=scopes,
            spans={whole: tuple(ids) for whole, ids in self.spans.items() if ids},
            forgotten=gone,
        )

    def _gone(self, ordered: np.ndarray, order: np.ndarray) -> np.ndarray:
        gone = np.zeros(len(order), dtype=bool)
        for digest, rows_before in zip(digests(list(self.retired)), self.retired.values(), strict=True):
            first, stop = np.searchsorted(ordered, digest), np.searchsorted(ordered, digest, side="right")
            gone[first:stop] = order[first:stop] < rows_before
        return gone


def _join(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)
