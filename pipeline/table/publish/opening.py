"""Open what is published: one listing and one read, whatever the number of units."""

from __future__ import annotations

from pipeline.errors import UserError
from pipeline.storage.paths import join, redact
from pipeline.table.publish import manifest, places
from pipeline.table.publish.withdrawing import published_tasks
from pipeline.table.read import READ_BY_DEFAULT, Table, dataset_of
from pipeline.table.task import folder_name


def read_published(output: str, *, task: str | None = None) -> Table:
    """Open the published rows of a task, as they were when it was published last.

    Args:
        output: folder of a table, on any storage.
        task: name of the task's folder below it; None is `transcribe`, or the only one that is published.

    Raises:
        UserError: nothing is published, or its manifest is damaged. A damaged file is such an error where it is read.
        StorageFault: it cannot be read.
    """
    output = str(output)
    task = folder_name(task) if task else _default(output)
    found = manifest.newest_files(output, task)
    if not found.number:
        raise UserError(
            f"{redact(output)}: nothing of {task} is published. Run python -m pipeline.table publish {redact(output)}"
        )
    folder = places.published_folder(output, task)
    files = [join(folder, each.path) for each in found.files]
    return Table(dataset_of(output, files, found.schema, set()), files)


def _default(output: str) -> str:
    names = published_tasks(output)
    if READ_BY_DEFAULT in names or len(names) != 1:
        return READ_BY_DEFAULT
    return names[0]
