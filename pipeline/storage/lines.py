"""Text files of lines, read from their start piece by piece: no line is held that is longer than any can be."""

from __future__ import annotations

import io
from collections.abc import Iterator

from pipeline.errors import UserError
from pipeline.storage.listing import stat
from pipeline.storage.paths import redact
from pipeline.storage.rangefile import MEGABYTE, RangeFile
from pipeline.storage.retry import denied

LONGEST = 16 * MEGABYTE
"""Bytes of a line, which is about one recording: labels of a day of frames take less."""


def pieces(uri: str, size: int) -> Iterator[bytes]:
    """Lines of an object of so many bytes, each with its end.

    Raises:
        UserError: one is longer than any can be; nothing behind it is read.
        FileNotFoundError, PermissionError, EOFError, StorageFault: it cannot be read, or is shorter.
    """
    with io.BufferedReader(RangeFile(uri, 0, size), MEGABYTE) as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise UserError(
                    f"{redact(uri)}, line {number}: is longer than {LONGEST // MEGABYTE} MB. One line is about one "
                    "recording; put a line's end after each"
                )
            yield line


def numbered(uri: str) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line, without its end.

    Raises:
        UserError: the file is not there, may not be read, has an endless line, or is not UTF-8.
        StorageFault: it cannot be read.
    """
    position = 0
    try:
        for number, line in enumerate(pieces(uri, stat(uri).size), start=1):
            # Not `splitlines`: a string in JSON may hold what that takes for the end of a line.
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n")
            position += len(line)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UserError(f"{redact(uri)}: there is no such file") from error
    except EOFError as error:
        raise UserError(f"{redact(uri)}: it became shorter while it was read; run the command again") from error
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except UnicodeDecodeError as error:
        where = position + error.start
        raise UserError(f"{redact(uri)}: is not UTF-8 text ({error.reason} at byte {where})") from error
