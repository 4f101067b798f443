"""Commands that take away what a table should no longer hold: vacuum, forget."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pipeline.errors import UserError
from pipeline.plan.forgotten import forgotten
from pipeline.quantities import counted, show_seconds
from pipeline.storage.lines import numbered
from pipeline.storage.paths import redact
from pipeline.table.commands.command import HOLDS, PARTIAL, Command, age
from pipeline.table.drafts import SETTLED, Telling
from pipeline.table.exclusive import exclusive
from pipeline.table.forget import Taken, Traces, forget, look
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
    for upload in found.uploads:
        print(f"{redact(upload.uri)}  unfinished upload, {show_seconds(upload.age)} old")
    for each in found.rows:
        print(f"{redact(each.uri)}  {counted(each.rows, 'row')} that nobody sees")
    told = counted(len(found.files), "left-over file")
    if found.uploads:
        told += f", {counted(len(found.uploads), 'unfinished upload')}"
    if found.rows:
        rows, files = sum(each.rows for each in found.rows), len(found.rows)
        told += f", {counted(rows, 'superseded or forgotten row')} in {counted(files, 'file')}"
    some = found.files or found.uploads or found.rows
    print(f"removed {told}" if given.delete else f"{told}; add --delete to remove" if some else told)
    return HOLDS


VACUUM = Command(
    "vacuum",
    "files and unfinished uploads that killed processes left behind, and rows of content that has changed since",
    _vacuum,
    _vacuum_options,
    ("out/ --min-age 2h --delete",),
)


def _forget_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ids",
        nargs="*",
        default=[],
        metavar="ID",
        help="of a recording, or of one that is in several rows; none: go on with what was begun",
    )
    parser.add_argument("--ids", dest="file", metavar="FILE", help="text file with an id on each line, on any storage")
    parser.add_argument(
        "--yes",
        action="store_true",
        help="do it; without it what would be done is shown, and the exit code is 4. It cannot be undone. What stays: "
        "recordings themselves; their ids in the plan; what runs were asked for, and names of partitions, in older "
        "manifests; scores and logs elsewhere, and what a killed publish left in TMPDIR; older versions that a bucket "
        "keeps, and unfinished uploads until vacuum aborts them",
    )


def _forget(given: argparse.Namespace) -> int:
    ids = tuple(dict.fromkeys([*given.ids, *(_lines(given.file) if given.file else ())]))
    traces = look(given.output, ids)
    begun = forgotten(given.output)
    if not ids and not begun:
        raise UserError(f"{redact(given.output)}: nothing is forgotten there. Name the ids of recordings.")
    taken = None
    if given.yes:
        with exclusive(given.output, "forget"):
            taken = forget(given.output, ids, traces)
    print(redact("\n".join(_told(traces, taken))))
    return HOLDS if taken and not taken.drafts else PARTIAL


def _lines(uri: str) -> list[str]:
    """Ids of a text file; they may begin or end with a space, but not be empty."""
    return [line.removesuffix("\r") for _, line in numbered(uri) if line.strip()]


def _told(traces: Traces, taken: Taken | None) -> Iterator[str]:
    yield f"{counted(len(traces.rows), 'planned row')} of forgotten recordings, {traces.texts:,} with text or metadata"
    for task, (rows, files) in traces.by_task.items():
        yield f"{task}: {counted(rows, 'row')} in {counted(files, 'file')}"
    yield from (f"{uri}: what it tells of them" for uri in traces.runs)
    yield from (f"{uri}: the scores" for uri in traces.scores)
    yield from (f"{each.uri}: left by a killed process, {_held(each)}" for each in traces.drafts)
    if taken is None:
        yield "nothing has been changed; add --yes to take all of that out"
        return
    yield from (f"{uri}: published" for uri in taken.published)
    if not taken.drafts:
        yield "all of that is gone; verify proves it"
        return
    yield from (f"{each.uri}: stays, {_held(each)}" for each in taken.drafts)
    told = f"{counted(len(taken.drafts), 'file')} may be of a process at work"
    yield f"all else is gone; {told}: the same command takes out what is left in {show_seconds(SETTLED)}"


def _held(draft: Telling) -> str:
    return "holds one" if draft.proven else "may hold one"


FORGET = Command(
    "forget",
    "take all rows, vectors and texts of recordings out of the table, and keep them out",
    _forget,
    _forget_options,
    ("out/ archive/2026/a.flac --yes", "out/ --ids withdrawn.txt --yes"),
)
