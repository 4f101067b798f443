"""First pass of planning: stream a listing past what is known; what is new or changed goes to local disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import overdue
from pipeline.corpus import Recording
from pipeline.plan.absent import MISSING, check_new, folder_of, vanished
from pipeline.plan.columns import DRAFT_SCHEMA, OldRow, to_table
from pipeline.plan.files import last_rows, name_hashes
from pipeline.plan.ids import digests
from pipeline.plan.known import Known, content_hash, text_hashes
from pipeline.plan.moves import Moves, Moving
from pipeline.plan.payload import payloads
from pipeline.plan.places import moved, twice, twice_in_draft
from pipeline.plan.report import Survey, Unopened
from pipeline.plan.spans import cut
from pipeline.scratch import scratch
from pipeline.sources import Group, Problem, Unchanged

BATCH = 20_000
"""Rows that are looked up, counted and written together."""
MOST_STRANGERS = 10_000
"""Rows with other content at another place that wait for the others to show whether their corpus has moved."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be planned: rows on local disk in listing order, and the numbers that bundling needs."""

    path: Path
    seconds: np.ndarray
    """(N,) float64."""
    payloads: np.ndarray
    """(N,) int64 bytes that each row adds to its unit."""
    groups: np.ndarray
    """(N,) int64; equal neighbours share a unit."""
    closing: np.ndarray
    """(N,) bool, see `files.last_rows`."""
    changed: int
    """Rows whose id was known with other content."""
    survey: Survey
    seen: np.ndarray
    """Which rows of the known index the listing had, opened or not."""
    absent: np.ndarray
    """Which rows of the known index the listing names, while their audio is not there any more, or closed."""
    moves: Moves
    """Where what is planned lies by now."""

    def __len__(self) -> int:
        return len(self.seconds)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, a batch at a time, with all columns or some."""
        if len(self):
            with pq.ParquetFile(self.path) as file:
                for number in range(file.num_row_groups):
                    # So much was computed since the last one; no store need have been asked.
                    overdue.moved()
                    yield file.read_row_group(number, columns=columns, use_threads=False)


@contextlib.contextmanager
def drafted(entries: Iterable[Group | Problem | Unchanged], known: Known) -> Iterator[Draft]:
    """Draft of what a listing has and the plan does not; its file goes when the block ends.

    Raises:
        UserError: two recordings have one id; both places are named.
        StorageFault: nothing of a folder is there that is new, nor is the folder.
    """
    with scratch("voxmill-plan-") as folder:
        path = folder / "draft.parquet"
        with pq.ParquetWriter(path, DRAFT_SCHEMA, compression="zstd", compression_level=1) as file:
            seen, absent, unopened = (_none_of(each) for each in (known.digests, known.digests, known.files.names))
            drafter = _Drafter(known, file, seen, absent, unopened)
            for entry in entries:
                drafter.take(entry)
            drafter.flush()
        yield drafter.finish(path)


def _none_of(indexed: np.ndarray) -> np.ndarray:
    return np.zeros(len(indexed), dtype=bool)


def _content(row: Recording) -> int:
    return content_hash(row.id, row.version, row.start, row.end, row.span, row.spans)


@dataclass(slots=True)
class _Drafter:
    known: Known
    file: pq.ParquetWriter
    seen: np.ndarray
    absent: np.ndarray
    unopened: np.ndarray
    """Which known files went by unchanged; their rows count as seen at the end."""
    doubted: set[int] = field(default_factory=set)
    """Hashes of the names that must be looked at again."""
    survey: Survey = field(default_factory=Survey)
    group: int = 0
    changed: int = 0
    missing: int = 0
    """Rows planned whose audio is not there."""
    emptied: set[str] = field(default_factory=set)
    """Folders of what is known and not there any more."""
    reached: set[str] = field(default_factory=set)
    """Folders of what is listed and there."""
    moving: Moving = field(default_factory=Moving)
    strangers: list[tuple[str, str, int]] = field(default_factory=list)
    """Id, URI and place in the known index of what has changed and lies elsewhere."""
    rows: list[Recording] = field(default_factory=list)
    row_payloads: list[int] = field(default_factory=list)
    row_groups: list[int] = field(default_factory=list)
    recut: list[tuple[int, str, int]] = field(default_factory=list)
    """First row, id of the whole and number of rows of recordings that are, or were, cut into spans."""
    digests: list[np.ndarray] = field(default_factory=list)
    names: list[np.ndarray] = field(default_factory=list)
    seconds: list[np.ndarray] = field(default_factory=list)
    payloads: list[np.ndarray] = field(default_factory=list)
    groups: list[np.ndarray] = field(default_factory=list)

    def take(self, entry: Group | Problem | Unchanged) -> None:
        """One group of the listing, or what was not opened, or could not be listed."""
        if isinstance(entry, Problem):
            self.survey.problem(entry)
            self.doubted.update(map(hash, entry.again))
            return
        if isinstance(entry, Unchanged):
            self._pass(entry)
            return
        parts = [cut(recording) for recording in entry]
        for whole, rows in zip(entry, parts, strict=True):
            if len(rows) > 1 or whole.id in self.known.spans:
                self.recut.append((len(self.rows), whole.id, len(rows)))
            # Each span is a group of its own, so that a day of audio spreads over the cluster.
            self.row_groups += [self.group] if len(rows) == 1 else range(self.group + 1, self.group + 1 + len(rows))
            self.group += 0 if len(rows) == 1 else len(rows) + 1
            self.rows += rows
        self.row_payloads += payloads([row for rows in parts for row in rows])
        self.group += 1
        if len(self.rows) >= BATCH:
            self.flush()

    def _pass(self, file: Unchanged) -> None:
        number = self.known.files.find(file.name)
        if self.unopened[number]:
            id, source = self.known.row(int(np.flatnonzero(self.known.file_numbers == number)[0]))
            raise twice(id, source, file.uri)
        self.unopened[number] = True
        if int(self.known.files.contents[number]) not in MISSING:
            self.reached.add(folder_of(file.uri))
            if (planned := int(self.known.files.sources[number])) != hash(file.uri):
                self.moving.see(planned, file.uri, lambda: self._planned(number))

    def _planned(self, number: int) -> tuple[str, str]:
        """Id and source of one of the newest rows of a known file, of those at the place where it was seen last."""
        known = self.known
        there = (known.file_numbers == number) & (known.sources == known.files.sources[number])
        return known.row(int(np.flatnonzero(there)[0]))

    def flush(self) -> None:
        """Look up, count and write the rows gathered so far."""
        if not self.rows:
            return
        overdue.moved()
        found = digests([row.id for row in self.rows])
        places = self.known.find(found)
        self._mark_seen(places)
        remembered = self._remembered()
        gone, olds = vanished(self.rows, places, self.known, remembered)
        self.absent[olds] = True
        keep = self._differs(places, gone) & remembered
        for row, planned, lost in zip(self.rows, keep.tolist(), gone.tolist(), strict=True):
            if lost:
                self.emptied.add(folder_of(row.source))
            else:
                self.survey.add(row, planned=planned)
            if not row.missing:
                self.reached.add(folder_of(row.source))
            self.missing += planned and row.missing
        supersedes = self._superseded(places, keep)
        kept = np.flatnonzero(keep)
        self.changed += int(np.count_nonzero(places[kept] >= 0))
        self._write(kept, found, supersedes)
        self.rows, self.row_payloads, self.row_groups, self.recut = [], [], [], []

    def _mark_seen(self, places: np.ndarray) -> None:
        hits = places[places >= 0]
        ordered = np.sort(hits)
        seen = self.seen[hits] | self.known.of_files(self.unopened, hits)
        again = np.concatenate((hits[seen], ordered[1:][ordered[1:] == ordered[:-1]]))
        if len(again):
            rows = np.flatnonzero(places == again[0])
            last, first = self.rows[rows[-1]], self.rows[rows[0]]
            before = first.source if len(rows) > 1 else self.known.row(int(again[0]))[1]
            raise twice(last.id, before, last.source)
        self.seen[hits] = True

    def _differs(self, places: np.ndarray, gone: np.ndarray) -> np.ndarray:
        keep = ~gone
        hits = np.flatnonzero(keep & (places >= 0))
        if len(hits) == 0:
            return keep
        at = places[hits]
        contents = np.fromiter((_content(self.rows[row]) for row in hits), dtype=np.int64)
        keep[hits] = contents != self.known.contents[at]
        elsewhere = text_hashes(self.rows[row].source for row in hits) != self.known.sources[at]
        for row in hits[elsewhere].tolist():
            self._meet(row, int(places[row]), changed=bool(keep[row]))
        return keep

    def _meet(self, row: int, place: int, *, changed: bool) -> None:
        """What lies elsewhere by now is the same or, where others of it have moved so too, a changed one."""
        listed, planned = self.rows[row], int(self.known.sources[place])
        if int(self.known.contents[place]) in MISSING:
            return
        if changed:
            self.strangers.append((listed.id, listed.source, place))
            if len(self.strangers) > MOST_STRANGERS:
                self._refuse_strangers()
        else:
            self.moving.see(planned, listed.source, lambda: self.known.row(place))

    def _refuse_strangers(self) -> None:
        for id, now, place in self.strangers:
            if not self.moving.explains(int(self.known.sources[place]), now):
                raise moved(id, now, self.known.row(place)[1])
        self.strangers = []

    def _remembered(self) -> np.ndarray:
        if not self.known.forgotten:
            return np.ones(len(self.rows), dtype=bool)
        return np.array([not self.known.forgotten.covers(row) for row in self.rows])

    def _superseded(self, places: np.ndarray, keep: np.ndarray) -> dict[int, list[OldRow]]:
        """Old rows that each kept row takes the place of."""
        olds = {
            int(row): [(self.known.unit_of(int(places[row])).name, self.rows[row].id)]
            for row in np.flatnonzero(keep & (places >= 0))
        }
        for first, whole, count in self.recut:
            ids = {row.id for row in self.rows[first : first + count]}
            before = [id for id in (*self.known.spans.get(whole, ()), whole) if id not in ids]
            at = self.known.find(digests(before))
            for id, place in zip(before, at.tolist(), strict=True):
                if place < 0:
                    continue
                self.seen[place] = True
                row = next((row for row in range(first, first + count) if keep[row]), None)
                if row is not None:
                    olds.setdefault(row, []).append((self.known.unit_of(place).name, id))
        return olds

    def _write(self, kept: np.ndarray, found: np.ndarray, supersedes: dict[int, list[OldRow]]) -> None:
        if len(kept) == 0:
            return
        rows = [self.rows[row] for row in kept.tolist()]
        sizes = [self.row_payloads[row] for row in kept.tolist()]
        self.file.write_table(to_table(rows, sizes, [supersedes.get(row) for row in kept.tolist()]))
        self.digests.append(found[kept])
        self.names.append(name_hashes(*zip(*((row.id, row.member, row.spans) for row in rows), strict=True)))
        self.seconds.append(np.array([row.seconds for row in rows], dtype=np.float64))
        self.payloads.append(np.array(sizes, dtype=np.int64))
        self.groups.append(np.array(self.row_groups, dtype=np.int64)[kept])

    def _see_unopened(self) -> None:
        rows = self.known.of_files(self.unopened)
        if (self.seen & rows).any():
            id, source = self.known.row(int(np.flatnonzero(self.seen & rows)[0]))
            raise twice(id, source, source)
        self.seen |= rows
        parts = self.known.parts[rows]
        self.survey.unopened = Unopened(
            rows=len(parts),
            spans=int(np.count_nonzero(parts > 0)),
            recordings=int(np.count_nonzero(parts < 2)),
            seconds=float(self.known.seconds[rows].sum()),
        )

    def finish(self, path: Path) -> Draft:
        """The draft, if no two rows have one id, and what is missing may be believed."""
        self._see_unopened()
        self._refuse_strangers()
        names = np.concatenate([*self.names, np.empty(0, np.int64)])
        draft = Draft(
            path=path,
            seconds=np.concatenate([*self.seconds, np.empty(0)]),
            payloads=np.concatenate([*self.payloads, np.empty(0, np.int64)]),
            groups=np.concatenate([*self.groups, np.empty(0, np.int64)]),
            closing=last_rows(names, np.array([*self.doubted], dtype=np.int64)),
            changed=self.changed,
            survey=self.survey,
            seen=self.seen,
            absent=self.absent,
            moves=self.moving.found(),
        )
        every = np.concatenate([*self.digests, digests([])])
        order = np.argsort(every, kind="stable")
        ordered = every[order]
        equal = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(equal):
            raise twice_in_draft(draft.tables(), sorted(order[equal[0] : equal[0] + 2].tolist()))
        if self.missing:
            check_new(draft.tables(("source", "version")), emptied=self.emptied, reached=self.reached)
        return draft
