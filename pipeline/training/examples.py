"""Recordings with their labels, from whatever `pipeline.sources` reads or from a table."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline import sources
from pipeline.corpus import Recording
from pipeline.errors import UserError
from pipeline.quantities import counted
from pipeline.storage.listing import list_names
from pipeline.storage.paths import redact


@dataclass(frozen=True, slots=True)
class Example:
    """One recording and what is known about it."""

    recording: Recording
    label: Any
    """As the manifest or the table has it."""


@dataclass(slots=True)
class Found:
    """What a source holds for a training."""

    examples: list[Example] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    """Ids of recordings without the label."""
    problems: list[str] = field(default_factory=list)
    """What could not be listed."""
    fields: Counter[str] = field(default_factory=Counter)
    """Names of what recordings have, to say what might have been meant."""


def find(given: Sequence[str], label_field: str, *, task_of_table: str | None = None) -> Found:
    """Every labelled recording of some sources, in a fixed order.

    Args:
        given: manifests, folders, tar shards, patterns, or folders of tables.
        label_field: `text` is the reference; anything else is looked for in the metadata, and in a table's columns.
        task_of_table: of a table, whose rows are looked at; None is `transcribe`, or the only one that there is.

    Raises:
        UserError: nothing is found, or nothing has the label; names what there is instead.
        StorageFault: the source cannot be listed.
    """
    found = Found()
    for source in given:
        of_table = _is_table(source)
        recordings = _of_table(source, label_field, task_of_table) if of_table else _of_files(source, found)
        for recording, fields in recordings:
            found.fields.update(list(fields))
            label = fields.get(label_field)
            if label is None:
                found.unlabelled.append(recording.id)
            else:
                found.examples.append(Example(recording, label))
    if not found.examples:
        there = ", ".join(name for name, _ in found.fields.most_common(8)) or "no label at all"
        raise UserError(
            f"{', '.join(map(redact, given))}: labels: none of its {counted(len(found.unlabelled), 'recording')} has "
            f"the field {label_field!r}; there is {there}. Name the field with --label-field"
        )
    return found


def fingerprint(examples: Sequence[Example]) -> str:
    """Hash of what is trained on: ids, versions and labels, in order."""
    digest = hashlib.sha256()
    for each in examples:
        digest.update(f"{each.recording.id}\0{each.recording.version}\0{json.dumps(each.label)}\n".encode())
    return digest.hexdigest()


def held_out(examples: Sequence[Example], *, share: float, by: Callable[[Example], str], least: int = 1) -> list[bool]:
    """Which examples are for validation: all of a key together, by a hash, so that more data moves none of them.

    Args:
        examples: all there are.
        share: of the keys, on average.
        by: an example's key.
        least: keys that are held out even where their share is smaller, if as many are left.
    """
    places = {key: int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 16**8 for key in {by(e) for e in examples}}
    order = sorted(places, key=lambda key: (places[key], key))
    out = {key for key in order if places[key] < share}
    if share > 0 and len(out) < least and len(places) >= 2 * least:
        out = set(order[:least])
    # By chance all of a few may be out.
    if share < 1 and len(out) == len(order):
        out -= set(order[-1:])
    return [by(each) in out for each in examples]


def _is_table(source: str) -> bool:
    try:
        return "_plan/" in list_names(source)
    except (OSError, ValueError):
        return False


def _of_files(source: str, found: Found) -> Iterator[tuple[Recording, dict[str, Any]]]:
    for group in sources.entries([source]):
        if isinstance(group, sources.Problem):
            found.problems.append(f"{redact(group.uri)}: {group.message}")
        elif not isinstance(group, sources.Unchanged):
            for recording in group:
                yield recording, _fields(recording)


def _fields(recording: Recording) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(recording.metadata) if recording.metadata else {}
    return {**said, **({"text": recording.reference} if recording.reference is not None else {})}


def _of_table(source: str, label_field: str, task: str | None) -> Iterator[tuple[Recording, dict[str, Any]]]:
    """Recordings as they were planned, with the columns of their committed rows; rows with an error have no label."""
    from pipeline.plan import load_unit, units
    from pipeline.table import read_table

    table = read_table(source, task=task)
    columns = [name for name in dict.fromkeys(("unit", "id", "error", label_field)) if name in table.schema.names]
    rows = {(row["unit"], row["id"]): row for batch in table.batches(columns=columns) for row in batch.to_pylist()}
    for ref in units(source):
        for recording in load_unit(source, ref).recordings:
            row = rows.get((ref.name, recording.id))
            if row is not None:
                column = {label_field: row[label_field]} if row.get(label_field) is not None else {}
                yield recording, {} if row["error"] else {**_fields(recording), **column}
