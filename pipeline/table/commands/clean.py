"""Commands that take away what a table should no longer hold: vacuum."""

from __future__ import annotations

import argparse

from pipeline.quantities import counted, show_seconds
from pipeline.storage.paths import redact
from pipeline.table.commands.command import HOLDS, Command, age
from pipeline.table.vacuum import MIN_AGE, vacuum


def _vacuum_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--delete", action="store_true", help="remove them; without it they are only listed")
    parser.add_argument(
        "--min-age",
        type=age,
        default=MIN_AGE,
        metavar="TIME",
        help="leave younger files alone, and rows whose newer ones are younger, for they may be in use (default 24h)",
    )


def _vacuum(given: argparse.Namespace) -> int:
    found = vacuum(given.output, min_age=given.min_age, dry_run=not given.delete)
    for file in found.files:
        print(f"{redact(file.uri)}  {show_seconds(file.age)} old")
    for each in found.rows:
        print(f"{redact(each.uri)}  {counted(each.rows, 'superseded row')}")
    told = counted(len(found.files), "left-over file")
    if found.rows:
        rows, files = sum(each.rows for each in found.rows), len(found.rows)
        told += f", {counted(rows, 'superseded row')} in {counted(files, 'file')}"
    some = found.files or found.rows
    print(f"removed {told}" if given.delete else f"{told}; add --delete to remove" if some else told)
    return HOLDS


VACUUM = Command(
    "vacuum",
    "temporary files that killed processes left behind, and rows of content that has changed since",
    _vacuum,
    _vacuum_options,
)
