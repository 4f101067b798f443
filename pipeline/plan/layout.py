"""Names of the files that the plan keeps below an output: the one place that spells them."""

from __future__ import annotations

import re

from pipeline.storage.paths import join

PLAN_FOLDER = "_plan"
SUCCESS_FILE = "_SUCCESS"
FORGOTTEN_FOLDER = "_forgotten"

_PLAN_FILE = re.compile(r"([0-9]{6,})\.parquet")
_FORGOTTEN_FILE = re.compile(r"([0-9]{6,})\.json")


def plan_folder(output: str) -> str:
    """Folder of the generations of the plan."""
    return join(output, PLAN_FOLDER)


def plan_file(output: str, generation: int) -> str:
    """File of one generation, numbered from 1."""
    return join(output, PLAN_FOLDER, f"{generation:06d}.parquet")


def forgotten_folder(output: str) -> str:
    """Folder of the digests of what is forgotten."""
    return join(output, FORGOTTEN_FOLDER)


def forgotten_file(output: str, number: int) -> str:
    """File that says which recordings are forgotten, numbered from 1; the last one has all of them."""
    return join(forgotten_folder(output), f"{number:06d}.json")


def forgotten_of(name: str) -> int | None:
    """Number in the name of a file of what is forgotten, or None where the name is not one."""
    match = _FORGOTTEN_FILE.fullmatch(name)
    return int(match[1]) if match else None


def success_file(output: str) -> str:
    """File that claims that generations up to one are complete for some tasks."""
    return join(output, SUCCESS_FILE)


def generation_of(name: str) -> int | None:
    """Number in the name of a plan file, or None where the name is not one."""
    match = _PLAN_FILE.fullmatch(name)
    return int(match[1]) if match else None
