"""Published files that no manifest names: of a publish that died, or replaced by others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.corpus import Seconds
from pipeline.storage.listing import list_names
from pipeline.storage.paths import join
from pipeline.table.publish import manifest, places
from pipeline.table.publish.difference import data_files
from pipeline.table.publish.withdrawing import published_tasks


def folders(output: str) -> list[str]:
    """Every folder below which publishing writes, where a killed process may have left a temporary file."""
    found = []
    for task in published_tasks(output):
        folder = places.published_folder(output, task)
        found += [folder, *(join(folder, name.rstrip("/")) for name in list_names(folder) if name.endswith("/"))]
    return found


def unnamed(output: str, *, min_age: Seconds, age: Callable[[str], Seconds | None]) -> Iterator[tuple[str, Seconds]]:
    """Data files and manifests that nobody needs: no manifest that was in force within `min_age` names them.

    Args:
        output: folder of the table.
        min_age: younger ones may belong to a publish that goes on, or be open where the set before is being read.
        age: of the object at a URI; None where it has gone.

    Returns:
        URI and age of each.

    Raises:
        UserError, StorageFault: a folder cannot be listed, or a manifest not be read.
    """
    for task in published_tasks(output):
        numbers = manifest.numbers(output, task)
        if not numbers:
            # Its manifest may have been deleted: until there is one again, these are all that tells of it.
            continue
        held = _in_force(output, task, numbers, min_age, age)
        named = {file.path for number in held for file in manifest.read(output, task, number).files}
        candidates = [places.manifest_file(output, task, number) for number in numbers if number not in held]
        folder = places.published_folder(output, task)
        candidates += [join(folder, path) for path in data_files(output, task) if path not in named]
        for uri in candidates:
            old = age(uri)
            if old is not None and old >= min_age:
                yield uri, old


def _in_force(
    output: str, task: str, numbers: list[int], min_age: Seconds, age: Callable[[str], Seconds | None]
) -> set[int]:
    """Numbers of the manifests that were in force at some time within `min_age`: up to when their successor came."""
    held: set[int] = set()
    for number in reversed(numbers):
        held.add(number)
        old = age(places.manifest_file(output, task, number))
        if old is not None and old >= min_age:
            break
    return held
