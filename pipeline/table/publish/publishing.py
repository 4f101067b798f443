"""Bring the published set of a task up to date: new files for what is new, rewritten ones for what has changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import StorageFault, UserError
from pipeline.plan.forgotten import forgotten, forgotten_rows
from pipeline.storage.paths import redact
from pipeline.storage.put import probe_write
from pipeline.table import layout
from pipeline.table.presence import require_plan, require_table
from pipeline.table.publish import manifest, places, rows
from pipeline.table.publish.difference import (
    Difference,
    State,
    Target,
    data_files,
    difference,
    gone_files,
    present_units,
    resized_units,
)
from pipeline.table.publish.manifest import Held, Manifest, hidden_digest
from pipeline.table.publish.splitter import Splitter, splitting
from pipeline.table.publish.succession import FILE_BYTES, TRIES, bring_into_force, succeeding
from pipeline.table.publish.withdrawing import withdraw
from pipeline.table.schema import plain
from pipeline.table.task import read_record
from pipeline.table.unit_file import read_unit


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish came to."""

    manifest: Manifest
    new_units: int = 0
    new_files: int = 0
    replaced_files: int = 0
    away: int = 0
    """Published units that are not committed now, whose rows stay."""
    lost: int = 0
    """Units that were published, and are neither that nor committed now."""
    conditional: bool = True
    """Whether the storage lets only one of two who publish at once win."""


def publish(
    output: str,
    task: str,
    *,
    partition_by: str | None = None,
    file_bytes: int = FILE_BYTES,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Published:
    """Make, or bring up to date, the published set of a task.

    Units that are published already are not read again, unless their file has changed or newer rows have taken the
    place of some of theirs; then the published files that hold them are rewritten. Where a unit's file is not there,
    the published rows of it stay. What replaced files hold stays readable until `vacuum` removes them.

    Args:
        output: folder of the table.
        task: name of the task's folder below it.
        partition_by: column with few values; each becomes a folder, `COLUMN=VALUE`. None leaves it as it is, "" is no
            column; another one than before makes the whole set anew.
        file_bytes: at which a file is full.
        on_progress: called with the number of units read, and of those that there are to be read.

    Raises:
        UserError: there is no such task or column, the column has too many values or too long ones, a file is damaged,
            or a unit is published that the plan does not have.
        StorageFault: storage failed for longer than the retries; what was published before is still there.
    """
    require_table(output)
    require_plan(output)
    schema = _schema(output, task)
    if partition_by:
        _check_column(schema, partition_by)
    gone = forgotten(output)
    done = _brought_up_to_date(output, task, schema, partition_by, file_bytes, on_progress)
    # Whoever forgets looks for files that are there by then: those that were being written are looked for here, the
    # ones that no manifest names any more among them.
    if forgotten(output) != gone:
        withdraw(output, {id for _, id in forgotten_rows(output)})
    return done


def _brought_up_to_date(
    output: str,
    task: str,
    schema: pa.Schema,
    partition_by: str | None,
    file_bytes: int,
    on_progress: Callable[[int, int], None],
) -> Published:
    conditional = probe_write(places.published_folder(output, task)).conditional
    new = made = replaced = lost = 0
    for _ in range(TRIES):
        before = manifest.newest(output, task)
        column = before.partition_by if partition_by is None else partition_by or None
        there = data_files(output, task)
        now = present_units(output, task, before, there)
        todo = difference(before, now, Target(column, file_bytes, there))
        if todo.nothing and before.number:
            return Published(before, new, made, replaced, len(todo.away), lost, conditional)
        after = _Writer(output, task, schema, column, file_bytes).write(before, now, todo, on_progress)
        if after is None:
            continue
        new, made = new + todo.new, made + len(after.files) - len(todo.kept)
        replaced, lost = replaced + len(before.files) - len(todo.kept), lost + todo.lost
        # Rows that were forgotten while they were copied must not stay, nor may what a vacuum took stay named.
        there = data_files(output, task)
        if not gone_files(after, there) and not resized_units(after, present_units(output, task, after, there)):
            return Published(after, new, made, replaced, len(todo.away), lost, conditional)
    raise StorageFault(f"{redact(output)}: {task} was published or rewritten by others {TRIES} times meanwhile")


def _held(state: State, before: Held | None) -> Held:
    """State in which a unit is published, and was before; in which files is not known yet."""
    size = state.size if state.size is not None or before is None else before.size
    return Held(size or 0, len(state.hidden), (), hidden_digest(state.hidden))


def _schema(output: str, task: str) -> pa.Schema:
    schema = read_record(output, task).schema
    if schema is not None:
        return schema
    first = next(iter(present_units(output, task)), None)
    if first is None:
        raise UserError(f"{redact(output)}: {task} has no committed unit yet, so there is nothing to publish.")
    return plain(read_unit(layout.unit_file(output, task, first)).schema)


def _check_column(schema: pa.Schema, name: str) -> None:
    fit = [each.name for each in schema if _is_plain(each.type)]
    if name not in fit:
        raise UserError(f"--partition-by: {name!r} cannot name folders; these columns can: {', '.join(fit)}")


def _is_plain(type: pa.DataType) -> bool:
    """Whether the values of a column can name folders."""
    return bool(pa.types.is_string(type) or pa.types.is_integer(type) or pa.types.is_boolean(type))


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one set after another."""

    output: str
    task: str
    schema: pa.Schema
    partition_by: str | None
    file_bytes: int

    def write(
        self,
        before: Manifest,
        now: dict[str, State],
        todo: Difference,
        on_progress: Callable[[int, int], None],
    ) -> Manifest | None:
        """The set that is in force now, or None where somebody else was first."""
        with self._splitter({before.files[place].partition for place in todo.kept}) as split:
            for part in self._carried(before, now, todo):
                split.add(part)
            for number, part in enumerate(rows.of_units(self.output, self.task, todo.read, now, self.schema)):
                split.add(part)
                on_progress(number + 1, len(todo.read))
            written = split.finish()
            states = {unit: _held(state, before.units.get(unit)) for unit, state in now.items()}
            after = succeeding(before, todo.kept, written, states, partition_by=self.partition_by, schema=self.schema)
        return after if bring_into_force(self.output, self.task, after, split) else None

    def _splitter(self, values: set[str | None]) -> contextlib.AbstractContextManager[Splitter]:
        folder = places.published_folder(self.output, self.task)
        return splitting(folder, self.schema, column=self.partition_by, file_bytes=self.file_bytes, values=values)

    def _carried(self, before: Manifest, now: dict[str, State], todo: Difference) -> Iterator[pa.Table]:
        folder = places.published_folder(self.output, self.task)
        hidden = {unit: now[unit].hidden for unit in todo.away if now[unit].hidden}
        for part in rows.of_places(folder, before, todo.rewritten, self.schema):
            yield rows.without_hidden(rows.without(part, "unit", todo.dropped), hidden)
