"""Second pass of planning: a draft becomes units, row groups and generation files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.plan.columns import DRAFT_SCHEMA, PLAN_SCHEMA
from pipeline.plan.ids import unit_name_of
from pipeline.storage import parquet

ROW_GROUP = 20_000
"""Rows that a worker reads to load one unit, a few MB; a larger unit has a larger row group to itself."""
HEAVY = parquet.MOST // 4
"""Bytes of rows beyond which units share no row group: one of more than `parquet.MOST` would never be read again."""
GENERATION = 1_000_000
"""Rows of one generation file, about 100 MB; more become the next generation."""


@dataclass(frozen=True, slots=True)
class DraftGeneration:
    """A whole plan file in memory, to be put under the next free number."""

    data: bytes
    rows: int
    changed: int
    units: int
    seconds: float


class Drafted(Protocol):
    """Rows to be planned."""

    @property
    def closing(self) -> np.ndarray: ...  # noqa: D102
    def tables(self) -> Iterator[pa.Table]: ...  # noqa: D102


def encode_generations(
    draft: Drafted, unit_numbers: np.ndarray, *, taken: set[str], metadata: dict[str, str]
) -> Iterator[DraftGeneration]:
    """Generation files of a draft, one after the other; memory holds one.

    Args:
        draft: the rows.
        unit_numbers: (N,) unit of each row, see `bundle`.
        taken: names of the units of older generations; a unit that would repeat one gets another name,
            because content that comes back after a change must be committed again to be the newest.
        metadata: what stands in the footer of each.
    """
    counts = np.bincount(unit_numbers).tolist() if len(unit_numbers) else []
    rows, first = _Rows(draft.tables()), 0
    schema = PLAN_SCHEMA.with_metadata(metadata)
    for groups in _files(_row_groups(counts)):
        sink = pa.BufferOutputStream()
        changed, seconds, units = 0, 0.0, 0
        with pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True) as file:
            for group in groups:
                closing = draft.closing[first : first + sum(group)]
                table = _with_units(rows.take(sum(group)), group, taken, closing=closing)
                first += sum(group)
                for part in _readable(table, group):
                    file.write_table(part, row_group_size=max(part.num_rows, 1))
                changed += table.num_rows - table.column("supersedes").null_count
                seconds += float(table.column("seconds").to_numpy().sum())
                units += len(group)
        yield DraftGeneration(sink.getvalue().to_pybytes(), sum(map(sum, groups)), changed, units, seconds)


def _row_groups(counts: Iterable[int]) -> Iterator[list[int]]:
    """Units, given by their numbers of rows, that share a row group."""
    group: list[int] = []
    full = 0
    for count in counts:
        if group and full + count > ROW_GROUP:
            yield group
            group, full = [], 0
        group.append(count)
        full += count
    if group:
        yield group


def _readable(table: pa.Table, counts: list[int]) -> Iterator[pa.Table]:
    """Rows of units in as many row groups as are read again: what came along with them may take gigabytes."""
    if len(counts) < 2 or table.nbytes <= HEAVY:
        yield table
        return
    half = len(counts) // 2
    edge = sum(counts[:half])
    yield from _readable(table.slice(0, edge), counts[:half])
    yield from _readable(table.slice(edge), counts[half:])


def _files(row_groups: Iterable[list[int]]) -> Iterator[list[list[int]]]:
    """Row groups that share a generation."""
    file: list[list[int]] = []
    full = 0
    for group in row_groups:
        if file and full + sum(group) > GENERATION:
            yield file
            file, full = [], 0
        file.append(group)
        full += sum(group)
    if file:
        yield file


def _with_units(table: pa.Table, counts: list[int], taken: set[str], *, closing: np.ndarray) -> pa.Table:
    ids, versions = table.column("id").to_pylist(), table.column("version").to_pylist()
    names: list[str] = []
    first = 0
    for count in counts:
        rows = slice(first, first + count)
        names.append(_free_name(list(zip(ids[rows], versions[rows], strict=True)), taken))
        first += count
    column = pa.array(np.repeat(np.array(names, dtype=object), counts), type=pa.string())
    return pa.table([*table.columns, column, pa.array(closing)], schema=PLAN_SCHEMA)


def _free_name(pairs: list[tuple[str, str]], taken: set[str]) -> str:
    name, again = unit_name_of(pairs), 0
    while name in taken:
        again += 1
        name = unit_name_of([*pairs, ("", f"again {again}")])
    return name


@dataclass(slots=True)
class _Rows:
    """Tables in, pieces of any length out."""

    tables: Iterator[pa.Table]
    left: pa.Table = field(default_factory=DRAFT_SCHEMA.empty_table)

    def take(self, count: int) -> pa.Table:
        """The next `count` rows."""
        parts = [self.left]
        have = self.left.num_rows
        while have < count:
            parts.append(next(self.tables))
            have += parts[-1].num_rows
        table = pa.concat_tables(parts)
        self.left = table.slice(count)
        return table.slice(0, count).combine_chunks()
