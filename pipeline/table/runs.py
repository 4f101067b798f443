"""`_runs/<run>.json`: what each run was asked, did and took."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import documents
from pipeline.errors import UserError
from pipeline.storage.listing import list_names
from pipeline.storage.paths import redact
from pipeline.storage.put import put
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import denied
from pipeline.table import layout
from pipeline.threads import threads

_READERS = 8
"""Manifests read at the same time."""


def write_run(output: str, run: str, record: Mapping[str, Any]) -> None:
    """Write the manifest of a run.

    Args:
        output: folder of the table.
        run: its name, which begins with its UTC start, so that names sort by time.
        record: values that JSON knows.
    """
    data = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    put(layout.run_file(output, run), (data + "\n").encode())


def runs(output: str) -> list[str]:
    """Names of the runs, oldest first."""
    return sorted(run for name in list_names(layout.runs_folder(output)) if (run := layout.run_of(name)) is not None)


def read_run(output: str, run: str) -> dict[str, Any]:
    """Manifest of one run.

    Raises:
        UserError: there is none, or it is damaged or closed.
    """
    uri = layout.run_file(output, run)
    try:
        record = documents.parse(read_bytes(uri, most=documents.LARGEST))
    except FileNotFoundError as error:
        raise UserError(f"{redact(uri)}: there is no such run.") from error
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except ValueError as error:
        raise UserError(f"{redact(uri)}: the manifest is damaged. Delete it; the table does not need it.") from error
    if not isinstance(record, dict):
        raise UserError(f"{redact(uri)}: the manifest is damaged. Delete it; the table does not need it.")
    return record


def newest_run(output: str) -> dict[str, Any] | None:
    """Manifest of the newest run, or None where no run has ended."""
    names = runs(output)
    return read_run(output, names[-1]) if names else None


def newest_runs(output: str, most: int) -> Iterator[dict[str, Any]]:
    """Manifests of so many runs, the newest first; one that is damaged or closed is left out."""
    for run in reversed(runs(output)[-most:]):
        with contextlib.suppress(UserError):
            yield read_run(output, run)


@dataclass(frozen=True, slots=True)
class Fault:
    """What left a unit pending in one run."""

    run: str
    unit: str
    told: str


def recent_faults(output: str, names: Sequence[str]) -> list[Fault]:
    """What some runs left pending and why, the last of them first; manifests that cannot be read tell nothing."""
    with threads(_READERS, "runs") as pool:
        records = list(pool.map(lambda run: _faults(output, run), reversed(names)))
    return [fault for each in records for fault in each]


def _faults(output: str, run: str) -> list[Fault]:
    try:
        faults = read_run(output, run).get("faults")
    except UserError:
        return []
    return [Fault(run, str(unit), str(told)) for unit, told in faults.items()] if isinstance(faults, Mapping) else []
