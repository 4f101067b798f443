"""Generations of the plan: numbered Parquet files, written once, never edited."""

from __future__ import annotations

import contextlib
import functools
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import documents
from pipeline.corpus import Seconds
from pipeline.errors import UserError
from pipeline.plan import layout
from pipeline.plan.columns import CLOSING, PLAN_SCHEMA, VERSION
from pipeline.plan.values import contradiction
from pipeline.storage import parquet
from pipeline.storage.listing import list_names, stat
from pipeline.storage.paths import redact
from pipeline.storage.read import RangeFile, read_range
from pipeline.storage.retry import denied
from pipeline.threads import threads

S = TypeVar("S")
T = TypeVar("T")

_BUFFER = 2**16
_READERS = 16
"""Generations read at the same time."""
KEPT = 1024
"""Generations of which a process keeps what it has read; the footer of a night's units has a few kB."""
_VERSION_KEY, _CORPUS_KEY, _SOURCES_KEY = "voxmill.plan", "voxmill.corpus", "voxmill.sources"
_TASKS_KEY = "voxmill.tasks"
"""What is read back of the footer: the layout's version, what was listed, and for which tasks where not for all."""


@dataclass(frozen=True, slots=True)
class UnitRef:
    """Where one unit stands in the plan: enough to load it anywhere."""

    name: str
    generation: int
    row_group: int
    first: int
    """Its first row in the row group."""
    count: int
    """Its recordings."""
    seconds: Seconds
    """Planned seconds of audio."""
    size: int
    """Encoded bytes that it reads."""
    tasks: tuple[str, ...] | None = None
    """Names of the tasks that have it to do; None is all of them."""

    def concerns(self, task: str) -> bool:
        """Whether a task has it to do."""
        return self.tasks is None or task in self.tasks


@dataclass(frozen=True, slots=True)
class Scope:
    """What a generation was planned from."""

    corpus: str | None
    sources: tuple[str, ...]

    def covers(self, other: Scope) -> bool:
        """Say whether a listing of this lists everything that the other did."""
        return self.corpus == other.corpus and set(other.sources) <= set(self.sources)


@dataclass(frozen=True, slots=True)
class Generation:
    """One open plan file; its footer is read, its rows are not."""

    uri: str
    number: int
    size: int
    version: str
    """As its folder is listed; tells it from a file of the same name in a table made anew."""
    footer: pq.FileMetaData = field(compare=False)

    @property
    def scope(self) -> Scope:
        """What it was planned from."""
        metadata = self.footer.metadata or {}
        try:
            corpus, sources = (documents.parse(metadata[key.encode()]) for key in (_CORPUS_KEY, _SOURCES_KEY))
        except (KeyError, ValueError) as error:
            raise damaged(self.uri, error) from error
        if (
            not isinstance(corpus, str | None)
            or not isinstance(sources, list)
            or not all(map(documents.is_text, sources))
        ):
            raise damaged(self.uri, "its sources are none")
        return Scope(corpus, tuple(sources))

    @property
    def tasks(self) -> tuple[str, ...] | None:
        """Names of the tasks that have its units to do; None is all of them."""
        told = (self.footer.metadata or {}).get(_TASKS_KEY.encode())
        if told is None:
            return None
        try:
            names = documents.parse(told)
        except ValueError as error:
            raise damaged(self.uri, error) from error
        if not isinstance(names, list) or not names or not all(map(documents.is_text, names)):
            raise damaged(self.uri, "its tasks are none")
        return tuple(names)

    def row_group(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of one row group.

        Raises:
            UserError: the bytes are no Parquet, or its rows are none of a plan.
            StorageFault: they cannot be read.
        """
        generation = self
        while True:
            try:
                return generation._row_group(number, columns)
            except UserError:
                now = _opened(self.uri, self.number)
                if now == generation:
                    raise
                # Put anew since it was opened, with the same rows in the same places, see `emptying`.
                generation = now

    def _row_group(self, number: int, columns: Sequence[str] | None) -> pa.Table:
        with _reading(self.uri, self.size) as file:
            table = parquet.read(file, groups=[number], columns=columns, footer=self.footer)
            # Text that is no UTF-8 would be found by whoever looks at it first.
            table.validate(full=True)
            if wrong := contradiction(table):
                raise pa.ArrowInvalid(wrong)
            return table

    def row_groups(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All rows, one row group after the other."""
        for number in range(self.footer.num_row_groups):
            yield self.row_group(number, columns)

    def units(self) -> list[UnitRef]:
        """Its units, in order."""
        found: list[UnitRef] = []
        for group, table in enumerate(self.row_groups(("unit", "seconds", "payload"))):
            found += unit_runs(table, self, row_group=group)
        return found


def numbers(output: str) -> list[int]:
    """Numbers of the generations that there are: 1, 2, 3, ….

    Raises:
        UserError: one is missing in between.
    """
    names = list_names(layout.plan_folder(output))
    listed = {number for name in names if (number := layout.generation_of(name)) is not None}
    last = max(listed, default=0)
    gap = next((number for number in range(1, last) if number not in listed and not _is_there(output, number)), None)
    if gap:
        missing = redact(layout.plan_file(output, gap))
        raise UserError(
            f"{missing}: this generation of the plan is missing, and later ones, up to {last:06d}, "
            "build on it. Restore the file, or choose a new output folder."
        )
    while _is_there(output, last + 1):
        last += 1
    return list(range(1, last + 1))


def _is_there(output: str, number: int) -> bool:
    """Look at a generation by its name, which tells what a listing, on some stores, does not tell yet."""
    uri = layout.plan_file(output, number)
    try:
        read_range(uri, 0, 1)
    except FileNotFoundError:
        return False
    except EOFError:
        return True
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    return True


def opened(output: str) -> list[Generation]:
    """All generations, opened several at a time: a table that grows every night has hundreds.

    Raises:
        UserError, StorageFault: as `numbers` and `open_generation`.
    """
    return of_each(lambda number: open_generation(output, number), numbers(output))


def of_row_groups(output: str, look: Callable[[Generation, int], list[T]]) -> list[T]:
    """What a look at each row group of the plan gives, in order; several are read at a time."""
    groups = [(each, group) for each in opened(output) for group in range(each.footer.num_row_groups)]
    return [found for part in of_each(lambda place: look(*place), groups) for found in part]


def of_each(look: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """What a look at each of some places gives, several at a time."""
    with threads(_READERS, "generations") as pool:
        return list(pool.map(look, items))


def open_generation(output: str, number: int) -> Generation:
    """Open one generation; the footer is read once a process.

    Raises:
        UserError: it is missing, damaged, or from another release.
        StorageFault: it cannot be read.
    """
    return _opened(layout.plan_file(output, number), number)


def _opened(uri: str, number: int) -> Generation:
    size, version = _state(uri)
    while True:
        try:
            return _open(uri, number, size, version)
        except UserError:
            now = _state(uri)
            if now == (size, version):
                raise
            # Put anew between the look at its size and the reading of its end.
            size, version = now


def _state(uri: str) -> tuple[int, str]:
    try:
        entry = stat(uri)
    except FileNotFoundError as error:
        raise UserError(f"{redact(uri)}: this generation of the plan is missing. Restore it.") from error
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    return entry.size, entry.version


@functools.lru_cache(maxsize=KEPT)
def _open(uri: str, number: int, size: int, version: str) -> Generation:
    with _reading(uri, size) as file:
        footer = pq.ParquetFile(file).metadata
        metadata = parquet.told(footer)
        types = {each.name: each.type for each in footer.schema.to_arrow_schema()}
    layout_version = metadata.get(_VERSION_KEY.encode(), b"").decode(errors="replace")
    if layout_version != VERSION:
        found = f"plan version {layout_version}" if layout_version else "Parquet, but no plan"
        raise UserError(
            f"{redact(uri)}: is {found}; this release reads plan version {VERSION}. Choose another output folder."
        )
    missing = [each.name for each in PLAN_SCHEMA if each.name not in {*types, CLOSING.name}]
    if missing:
        raise UserError(f"{redact(uri)}: lacks the columns {', '.join(missing)}. Restore the file.")
    changed = [each.name for each in PLAN_SCHEMA if types.get(each.name, each.type) != each.type]
    if changed:
        raise damaged(uri, f"other types of the columns {', '.join(changed)}")
    return Generation(uri, number, size, version, footer)


def unit_runs(table: pa.Table, generation: Generation, *, row_group: int) -> list[UnitRef]:
    """Units of one row group of a generation, from its columns `unit`, `seconds` and `payload`."""
    if table.num_rows == 0:
        return []
    coded = table.column("unit").combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy()
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    stops = np.append(starts[1:], len(codes))
    seconds = np.add.reduceat(table.column("seconds").to_numpy(), starts)
    # Integers would turn negative beyond 2^63.
    sizes = np.add.reduceat(table.column("payload").to_numpy(), starts, dtype=np.float64)
    names = coded.dictionary.take(pa.array(codes[starts])).to_pylist()
    return [
        UnitRef(name, generation.number, row_group, first, stop - first, long, int(large), generation.tasks)
        for name, first, stop, long, large in zip(
            names, starts.tolist(), stops.tolist(), seconds.tolist(), sizes.tolist(), strict=True
        )
    ]


def encode_metadata(
    scope: Scope, unit_seconds: Seconds, unit_bytes: int, *, tasks: Sequence[str] | None = None
) -> dict[str, str]:
    """Footer of a generation: nothing that two planners of the same listing would write differently."""
    return {
        _VERSION_KEY: VERSION,
        _CORPUS_KEY: json.dumps(scope.corpus),
        _SOURCES_KEY: json.dumps(list(scope.sources)),
        "voxmill.unit_seconds": repr(unit_seconds),
        "voxmill.unit_bytes": str(unit_bytes),
        **({} if tasks is None else {_TASKS_KEY: json.dumps(list(tasks))}),
    }


@contextlib.contextmanager
def _reading(uri: str, size: int) -> Iterator[BinaryIO]:
    """The file, open; what cannot be read of it is the user's to mend, with the way to do it."""
    try:
        with io.BufferedReader(RangeFile(uri, 0, size), _BUFFER) as file:
            yield file
    except FileNotFoundError as error:
        raise UserError(f"{redact(uri)}: this generation of the plan is missing. Restore it.") from error
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except (pa.ArrowException, EOFError, OSError, UnicodeDecodeError) as error:
        # Faults of the storage have another type by now: an OSError is how Arrow says that bytes make no sense.
        raise damaged(uri, error) from error


def damaged(uri: str, reason: object) -> UserError:
    """The error for a generation that is not what it was; nothing of a plan is ever skipped."""
    said = (str(reason).splitlines() or [type(reason).__name__])[0]
    return UserError(
        f"{redact(uri)}: the plan file is damaged ({said}). "
        "Restore it from a backup, or choose a new output folder; nothing of the plan is skipped."
    )
