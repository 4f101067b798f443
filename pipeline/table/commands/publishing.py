"""The command that makes few large files of many units: publish."""

from __future__ import annotations

import argparse
import sys
import time

from pipeline.errors import UserError
from pipeline.quantities import counted, parse_bytes
from pipeline.storage.paths import redact
from pipeline.table.commands.command import HOLDS, PARTIAL, Command
from pipeline.table.publish import Published, places, publish
from pipeline.table.publish.succession import FILE_BYTES
from pipeline.table.task import folder_name, tasks

_EVERY = 10.0
"""Seconds between lines that say how far it is."""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", help="name of the task's folder (default: all)")
    parser.add_argument(
        "--partition-by",
        metavar="COLUMN",
        help="a folder for each value of a column, at most 500; '' for none (default: as it was published last)",
    )
    parser.add_argument(
        "--file-bytes",
        type=_bytes,
        default=FILE_BYTES,
        metavar="SIZE",
        help="about how large a file may grow (default 512MB)",
    )


def _bytes(text: str) -> int:
    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size < 1:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return size


def _publish(given: argparse.Namespace) -> int:
    names = [folder_name(given.task)] if given.task else tasks(given.output)
    if not names:
        raise UserError(f"{redact(given.output)}: no task has been run there. Name the output folder of a run.")
    code = HOLDS
    for name in names:
        done = publish(
            given.output, name,
            partition_by=given.partition_by, file_bytes=given.file_bytes, on_progress=_Progress(name),
        )  # fmt: skip
        print(_told(given.output, name, done))
        if done.away or done.lost:
            code = PARTIAL
    return code


class _Progress:
    """Says every few seconds how many units have been read."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._spoke = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() - self._spoke >= _EVERY:
            self._spoke = time.monotonic()
            print(f"{self._task}: {done:,} of {counted(of, 'unit')} read", file=sys.stderr)


def _told(output: str, task: str, done: Published) -> str:
    found = done.manifest
    size = sum(each.size for each in found.files)
    by = f", by {found.partition_by}" if found.partition_by else ""
    lines = [
        f"{task}: {counted(found.rows, 'row')} of {counted(len(found.units), 'unit')} in "
        f"{counted(len(found.files), 'file')}, {size / 1e6:,.1f} MB{by}; {counted(done.new_units, 'new unit')}, "
        f"{counted(done.new_files, 'new file')}, {done.replaced_files:,} replaced",
        f"  {redact(places.published_folder(output, task))}/    "
        f"pipeline.read_published({redact(output)!r}, task={task!r})",
    ]
    if done.away:
        verb, whose = ("is", "its") if done.away == 1 else ("are", "their")
        lines.append(f"  {counted(done.away, 'published unit')} {verb} not committed now; {whose} rows stay")
    if done.lost:
        verb = "is" if done.lost == 1 else "are"
        lines.append(f"  {counted(done.lost, 'unit')} {verb} not published any more, nor committed; run the job again")
    if not done.conditional:
        lines.append("  this storage ignores conditional puts (If-None-Match): never publish twice at the same time")
    return "\n".join(lines)


PUBLISH = Command(
    "publish",
    "few large Parquet files with the newest row of each recording, kept up to date",
    _publish,
    _options,
    ("out/ --partition-by sample_rate",),
)
