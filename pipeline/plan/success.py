"""`_SUCCESS`: the claim that everything planned up to a generation is committed for some tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pipeline import documents
from pipeline.errors import UserError
from pipeline.plan import layout
from pipeline.storage.paths import redact
from pipeline.storage.put import delete, put
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import denied


@dataclass(frozen=True, slots=True)
class Success:
    """What is claimed."""

    generation: int
    """Last generation of the plan that is complete."""
    tasks: tuple[str, ...]
    """Names of the tasks' folders."""


def write_success(output: str, *, generation: int, tasks: Sequence[str]) -> None:
    """Claim that every unit up to a generation is committed for these tasks."""
    claim = Success(generation, tuple(sorted(tasks)))
    put(layout.success_file(output), (json.dumps(asdict(claim)) + "\n").encode())


def read_success(output: str) -> Success | None:
    """The claim, or None where there is none.

    Raises:
        UserError: the file is not one that `write_success` made, or may not be read.
        StorageFault: it cannot be read.
    """
    uri = layout.success_file(output)
    try:
        claim = documents.parse(read_bytes(uri, most=documents.LARGEST))
        return Success(_whole(claim["generation"]), tuple(_text(task) for task in claim["tasks"]))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{redact(uri)}: names no generation and tasks. Delete it; the next run writes it.") from error


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()
    return value


def remove_success(output: str) -> None:
    """Take the claim back; it may not have been made."""
    delete(layout.success_file(output))
