"""Names of a table's files and folders below an output, the plan's apart: the one place that spells them."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from pipeline.storage.paths import join

RUNS_FOLDER = "_runs"
SCORES_FOLDER = "_scores"
TOTALS_FOLDER = "_totals"
LEASES_FOLDER = "_leases"
TASK_FILE = "_task.json"

_UNIT_FILE = re.compile(r"([0-9a-f]{32})\.parquet")
_RUN_FILE = re.compile(r"([^.].*)\.json")


def task_folder(output: str, task: str) -> str:
    """Folder of the committed units of a task, by its name below the output, such as `transcribe-v2`."""
    return join(output, task)


def task_file(output: str, task: str) -> str:
    """File that says what makes the labels of a task what they are."""
    return join(output, task, TASK_FILE)


def unit_file(output: str, task: str, unit: str) -> str:
    """File of one committed unit: its being there is the commit."""
    return join(output, task, f"{unit}.parquet")


def runs_folder(output: str) -> str:
    """Folder of the manifests of runs."""
    return join(output, RUNS_FOLDER)


def scores_folder(output: str) -> str:
    """Folder with a folder of scores for each task that was evaluated."""
    return join(output, SCORES_FOLDER)


def run_file(output: str, run: str) -> str:
    """Manifest of one run."""
    return join(output, RUNS_FOLDER, f"{run}.json")


def leases_folder(output: str) -> str:
    """Folder of the signs of life of runs."""
    return join(output, LEASES_FOLDER)


def lease_file(output: str, run: str) -> str:
    """Sign of life of one run."""
    return join(output, LEASES_FOLDER, f"{run}.json")


def totals_folder(output: str) -> str:
    """Folder of what the committed units of each task come to."""
    return join(output, TOTALS_FOLDER)


def totals_file(output: str, task: str) -> str:
    """What the committed units of a task come to, as earlier runs have counted them."""
    return join(totals_folder(output), f"{task}.parquet")


def unit_of(name: str) -> str | None:
    """Unit in the name of a committed file, or None where the name is not one."""
    match = _UNIT_FILE.fullmatch(name)
    return match[1] if match else None


def new_run(started: datetime) -> str:
    """Name of a run that begins now, by UTC; names sort by time."""
    return f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03d}-{secrets.token_hex(2)}"


def run_of(name: str) -> str | None:
    """Run in the name of a manifest or a lease, or None where the name is not one."""
    match = _RUN_FILE.fullmatch(name)
    return match[1] if match else None
