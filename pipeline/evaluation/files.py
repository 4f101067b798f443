"""Text files that name rows of a table, and the rows that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.plan.spans import whole_id
from pipeline.storage.lines import numbered


def lines(uri: str) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is not empty.

    Raises:
        UserError: the file is not there, may not be read, has an endless line, or is not UTF-8.
    """
    for number, line in numbered(uri):
        if line.strip():
            yield number, line.strip()


class RowNames:
    """Rows of a table by what may name them: an id, the id of a recording that is in several rows, a key.

    A key names a row where no other recording has it.

    Args:
        ids: of all rows, in order; no two are equal.
        keys: of all rows.
        wholes: ids of the recordings that rows are spans of; of a whole recording its own.
    """

    def __init__(self, ids: Sequence[str], keys: Sequence[str], wholes: Sequence[str]) -> None:
        self._ids = {each: row for row, each in enumerate(ids)}
        self._spans: dict[str, list[int]] = {}
        self._keys: dict[str, str | None] = {}
        for row, (id, key, whole) in enumerate(zip(ids, keys, wholes, strict=True)):
            if id != whole:
                self._spans.setdefault(whole, []).append(row)
            self._keys[key] = whole if self._keys.get(key, whole) == whole else None

    @classmethod
    def of(cls, table: pa.Table) -> RowNames:
        """Names of the rows of a table with the columns `id`, `key` and `spans`."""
        ids, keys, spans = (table.column(name).to_pylist() for name in ("id", "key", "spans"))
        return cls(ids, keys, [whole_id(id) if count > 1 else id for id, count in zip(ids, spans, strict=True)])

    def rows(self, name: str, place: str) -> Sequence[int]:
        """Numbers of the rows with this name: several for a recording in spans, none where there is none.

        Args:
            name: an id or a key.
            place: file and line, for the message.

        Raises:
            UserError: it is the key of several recordings.
        """
        if name in self._ids:
            return (self._ids[name],)
        whole = self._keys.get(name, name) if name not in self._spans else name
        if whole is None:
            raise UserError(f"{place}: several rows have the key {name!r}; write the id instead, as the table has it")
        return self._spans.get(whole) or ((self._ids[whole],) if whole in self._ids else ())

    def row(self, name: str, place: str) -> int | None:
        """Number of the one row with this name; None where there is none.

        Raises:
            UserError: there are several.
        """
        found = self.rows(name, place)
        if len(found) > 1:
            raise UserError(f"{place}: {name!r} is in several rows; write the id of one of them, as the table has it")
        return found[0] if found else None
