"""`_task.json`: what makes the labels in a folder what they are; the first run writes it, others check it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline import documents
from pipeline.config import plain_name
from pipeline.errors import UserError
from pipeline.storage.listing import list_names, stat
from pipeline.storage.paths import join, redact
from pipeline.storage.put import put, put_if_absent
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import denied
from pipeline.table import layout
from pipeline.table.schema import unpacked


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """Everything that changes the labels; sizes of units, pools and batches do not."""

    task: str
    """What is done: `transcribe`."""
    output_version: int
    """Number of the task's code, raised only where its labels change."""
    model_name: str
    """For people; another name for the same hash is the same model."""
    model_hash: str
    """Fingerprint of the checkpoint."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Option -> value as the user would write it."""
    schema: pa.Schema | None = None
    """Columns of the files; later releases may add some."""


BESIDE = "--name {}"
"""Option that puts labels under another name."""


def declare(output: str, name: str, record: TaskRecord, *, option: str = BESIDE) -> TaskRecord:
    """Write down what the labels in a folder are, or check that they are the same as before.

    Args:
        output: folder of the table.
        name: name of the task's folder below it.
        record: what this run would write.
        option: of the user that puts labels under another name, which takes the place of `{}`.

    Returns:
        What holds: the record of the first run, with the columns of all.

    Raises:
        UserError: the folder holds labels of another model, of other parameters or another output version, or
            of one that nobody knows, because the record is gone.
    """
    uri = layout.task_file(output, name)
    before = compare(output, name, record, option=option)
    if before is None:
        if put_if_absent(uri, encode_record(record)):
            return record
        before = _agreed(output, name, read_record(output, name), record, option)
    grown = grow(before, record)
    if grown != before:
        put(uri, encode_record(grown))
    return grown


def compare(output: str, name: str, record: TaskRecord, *, option: str = BESIDE) -> TaskRecord | None:
    """Check as `declare` does, and write nothing; the record of the folder, or None where it has none.

    Raises:
        UserError: as `declare`.
    """
    before = _known(output, name)
    return None if before is None else _agreed(output, name, before, record, option)


def _agreed(output: str, name: str, before: TaskRecord, record: TaskRecord, option: str) -> TaskRecord:
    problem = contradiction(before, record)
    if problem:
        folder = redact(layout.task_folder(output, name))
        raise UserError(
            f"{folder} was written {problem}. "
            f"Use {option.format(next_name(name))} to put the new labels beside the old, then compare them."
        )
    return before


def read_record(output: str, name: str) -> TaskRecord:
    """What the labels in a folder are.

    Raises:
        UserError: there is no such task, its record is gone, damaged or closed.
    """
    record = _known(output, name)
    if record is None:
        others = tasks(output)
        hint = f"there are {', '.join(others)}" if others else "no task has been run there"
        raise UserError(f"{redact(layout.task_file(output, name))}: there is no task {name} in this output; {hint}.")
    return record


def folder_name(task: str) -> str:
    """The name of a task's folder as it is: a shell completes it with a slash, which a store takes for another folder.

    Raises:
        UserError: no folder of a task has such a name.
    """
    name = task.rstrip("/")
    if not plain_name(name):
        raise UserError(
            f"{redact(task)!r}: is no name of a task; give the name of its folder below the output, such as transcribe"
        )
    return name


def tasks(output: str) -> list[str]:
    """Names of the folders of an output that hold a record or a unit, sorted."""
    names = sorted(name.rstrip("/") for name in list_names(output) if name.endswith("/"))
    candidates = [name for name in names if not name.startswith(("_", "."))]
    return [name for name in candidates if _is_task(output, name)]


def _is_task(output: str, name: str) -> bool:
    """Whether a folder holds a record, which is asked for by its name, or a unit: listing all of them takes long."""
    try:
        stat(layout.task_file(output, name))
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        names = list_names(join(output, name))
        return layout.TASK_FILE in names or _has_units(names)
    return True


def _has_units(names: Sequence[str]) -> bool:
    return any(layout.unit_of(name) for name in names)


def _known(output: str, name: str) -> TaskRecord | None:
    """The record, or None where the folder holds neither it nor any unit."""
    record = _read(output, name)
    if record is not None or not _has_units(list_names(layout.task_folder(output, name))):
        return record
    # Whoever commits has put the record first: beside a unit it is gone only where it is still missing now.
    record = _read(output, name)
    if record is None:
        raise UserError(
            f"{redact(layout.task_file(output, name))}: the record of the task is gone, and the folder holds units "
            "of a model that nobody knows. Restore the file, or move the folder away."
        )
    return record


def _read(output: str, name: str) -> TaskRecord | None:
    uri = layout.task_file(output, name)
    try:
        return decode_record(read_bytes(uri, most=documents.LARGEST))
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise UserError(
            f"{redact(layout.task_folder(output, name))}: a file is where the folder of the task {name} should be; "
            "move it, or write to another output"
        ) from error
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{redact(uri)}: the record of the task is damaged ({type(error).__name__}). Restore it from a backup."
        ) from error


def contradiction(before: TaskRecord, now: TaskRecord) -> str | None:
    """Say in what the labels differ, as the end of `… was written`; None where they do not. Pure."""
    if before.task != now.task:
        return f"by another task ({before.task}, now {now.task})"
    if before.model_hash != now.model_hash:
        return f"by another model ({before.model_name} {before.model_hash[:4]}…, now {now.model_hash[:4]}…)"
    if before.output_version != now.output_version:
        return f"by another release (output version {before.output_version}, now {now.output_version})"
    names = [*before.parameters, *(name for name in now.parameters if name not in before.parameters)]
    others = [
        f"{name} {_shown(before.parameters, name)}, now {_shown(now.parameters, name)}"
        for name in names
        if before.parameters.get(name) != now.parameters.get(name)
    ]
    if others:
        return f"with other parameters ({'; '.join(others)})"
    return None


def grow(before: TaskRecord, now: TaskRecord) -> TaskRecord:
    """The record with the columns of both. Pure.

    Raises:
        ValueError: one column has two types; a bug, for such a change must raise the output version.
    """
    if now.schema is None:
        return before
    if before.schema is None:
        merged = now.schema
    else:
        more = [each for each in now.schema if before.schema.get_field_index(each.name) < 0]
        for each in now.schema:
            if each not in more and before.schema.field(each.name).type != each.type:
                raise ValueError(f"column {each.name} was {before.schema.field(each.name).type}, now {each.type}")
        merged = pa.schema([*before.schema, *more], metadata=now.schema.metadata) if more else before.schema
    return TaskRecord(
        task=before.task,
        output_version=before.output_version,
        model_name=before.model_name,
        model_hash=before.model_hash,
        parameters=before.parameters,
        schema=merged,
    )


def next_name(name: str) -> str:
    """Name for the labels of another model: `transcribe` -> `transcribe-v2` -> `transcribe-v3`."""
    match = re.fullmatch(r"(.+)-v([0-9]+)", name)
    return f"{match[1]}-v{int(match[2]) + 1}" if match else f"{name}-v2"


def encode_record(record: TaskRecord) -> bytes:
    """Bytes of `_task.json`."""
    known: dict[str, Any] = {
        "task": record.task,
        "output_version": record.output_version,
        "model": {"name": record.model_name, "hash": record.model_hash},
        "parameters": dict(record.parameters),
    }
    if record.schema is not None:
        known["columns"] = {each.name: str(each.type) for each in record.schema}
        known["arrow_schema"] = base64.b64encode(record.schema.serialize().to_pybytes()).decode()
    return (json.dumps(known, indent=2, ensure_ascii=False) + "\n").encode()


def decode_record(data: bytes) -> TaskRecord:
    """Record in the bytes of `_task.json`.

    Raises:
        ValueError, KeyError, TypeError: they hold none.
    """
    known = documents.parse(data)
    if not isinstance(known, dict):
        raise TypeError("no object")
    version, packed = known["output_version"], known.get("arrow_schema")
    if not isinstance(version, int) or isinstance(version, bool):
        raise TypeError("output_version is no whole number")
    return TaskRecord(
        task=_text(known["task"]),
        output_version=version,
        model_name=_text(known["model"]["name"]),
        model_hash=_text(known["model"]["hash"]),
        parameters={_text(name): _text(value) for name, value in dict(known["parameters"]).items()},
        schema=unpacked(base64.b64decode(packed)) if packed else None,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()
    return value


def _shown(parameters: Mapping[str, str], name: str) -> str:
    return str(parameters.get(name, "unset"))
