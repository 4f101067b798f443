"""Commands that take away what a table should no longer hold: vacuum."""

from __future__ import annotations

import argparse

from pipeline.quantities import show_seconds
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
        help="leave younger files alone, for they may be in use (default 24h)",
    )


def _vacuum(given: argparse.Namespace) -> int:
    found = vacuum(given.output, min_age=given.min_age, dry_run=not given.delete)
    for each in found:
        print(f"{redact(each.uri)}  {show_seconds(each.age)} old")
    count = f"{len(found):,} left-over file{'s' * (len(found) != 1)}"
    print(f"removed {count}" if given.delete else f"{count}; add --delete to remove" if found else count)
    return HOLDS


VACUUM = Command("vacuum", "temporary files that killed processes left behind", _vacuum, _vacuum_options)
