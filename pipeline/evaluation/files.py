"""Text files that name rows of a table, and the rows that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.errors import UserError
from pipeline.storage.paths import redact
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import denied


def lines(uri: str) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is not empty.

    Raises:
        UserError: the file is not there, may not be read, or is not UTF-8.
    """
    try:
        text = read_bytes(uri).decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UserError(f"{redact(uri)}: there is no such file") from error
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{redact(uri)}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    # Not `splitlines`: a string in JSON may hold what that takes for the end of a line.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


class RowNames:
    """Rows of a table by their ids and, where only one row has it, by their keys.

    Args:
        ids: of all rows, in order; no two are equal.
        keys: of all rows.
    """

    def __init__(self, ids: Sequence[str], keys: Sequence[str]) -> None:
        self._ids = {each: row for row, each in enumerate(ids)}
        self._keys: dict[str, int | None] = {}
        for row, key in enumerate(keys):
            self._keys[key] = None if key in self._keys else row

    def row(self, name: str, place: str) -> int | None:
        """Number of the row with this id or key; None where there is none.

        Args:
            name: an id or a key.
            place: file and line, for the message.

        Raises:
            UserError: it is the key of several rows.
        """
        if name in self._ids:
            return self._ids[name]
        if name in self._keys and self._keys[name] is None:
            raise UserError(f"{place}: several rows have the key {name!r}; write the id instead, as the table has it")
        return self._keys.get(name)
