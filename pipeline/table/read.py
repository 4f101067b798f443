"""Read a table: the committed rows of one task, the newest of each recording."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipeline.errors import StorageFault, UserError
from pipeline.plan.columns import OldRow
from pipeline.plan.store import units
from pipeline.plan.unseen import unseen
from pipeline.storage.arrow import arrow_filesystem
from pipeline.storage.paths import filesystem, redact
from pipeline.storage.retry import translated
from pipeline.storage.secrets import with_causes
from pipeline.table import layout
from pipeline.table.done import committed
from pipeline.table.presence import require_plan, require_table
from pipeline.table.schema import plain, schema
from pipeline.table.task import folder_name, read_record, tasks
from pipeline.table.unit_file import is_of_a_file, read_unit

if TYPE_CHECKING:
    import pandas as pd

READ_BY_DEFAULT = "transcribe"
"""What is read where no task is named and there are several."""
_SEPARATOR = " "
"""Between unit and id in the key that hides a row; a unit's name has no space."""


class Table:
    """Committed rows of one task, in plan order; nothing is read before it is asked for.

    Args:
        dataset: what holds the rows; `dataset` is also an attribute, for everything else that pyarrow can do.
        files: URIs of its files, for other readers; a damaged one is named where reading fails.
    """

    def __init__(self, dataset: ds.Dataset, files: Sequence[str] = ()) -> None:
        self.dataset = dataset
        self.files = tuple(files)

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types."""
        return self.dataset.schema

    def scanner(self, **options: Any) -> ds.Scanner:
        """Scanner that streams batches; takes `columns`, `filter`, `batch_size` as `pyarrow.dataset` does."""
        return self.dataset.scanner(**options)

    def to_table(self, *, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> pa.Table:
        """Rows as one Arrow table, which must fit in memory."""
        scanner = self.scanner(columns=None if columns is None else list(columns), filter=filter)
        with self._reading():
            return scanner.to_table()

    def batches(self, *, columns: Sequence[str], filter: pc.Expression | None = None) -> Iterator[pa.RecordBatch]:
        """Rows batch by batch, in little memory."""
        scanner = self.scanner(columns=list(columns), filter=filter)
        with self._reading():
            yield from scanner.to_batches()

    def to_pandas(self, *, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> pd.DataFrame:
        """Rows as a data frame, which must fit in memory."""
        frame: pd.DataFrame = self.to_table(columns=columns, filter=filter).to_pandas()
        return frame

    def count_rows(self, *, filter: pc.Expression | None = None) -> int:
        """How many rows there are."""
        scanner = self.scanner(filter=filter)
        with self._reading():
            return int(scanner.count_rows())

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the file at fault where reading fails: Arrow names none for a damaged page."""
        with translated(self.files[0] if self.files else "", "reading the table"):
            try:
                yield
            except (pa.ArrowException, OSError, EOFError) as error:
                if is_of_a_file(error):
                    told = str(error)
                    named = [file for file in self.files if filesystem(file)[1] in told]
                    for file in named or self.files:
                        self._compare(file)
                    # What it names is whole, and no filter can be at fault where Arrow failed to open one.
                    if named or isinstance(error, OSError | EOFError):
                        rewritten = StorageFault(
                            f"{redact((named or self.files)[0])} or a file beside it was rewritten while the table was "
                            "open, as vacuum and forget do. Open it again"
                        )
                        raise with_causes(rewritten, error) from None
                raise

    def _compare(self, file: str) -> None:
        """Read a file whole, as Arrow could not, and refuse columns of another type than those of the table."""
        found = read_unit(file).schema
        for field in self.schema:
            types = [each.type for each in found if each.name == field.name]
            if types and types != [field.type]:
                told = f"is {types[0]}, not {field.type}" if len(types) == 1 else "comes twice"
                raise UserError(
                    f"{redact(file)}: column {field.name} {told}. Delete it; the next run does that unit again."
                )


def read_table(output: str, *, task: str | None = None) -> Table:
    """Open the committed rows of a task: one for each recording, of its newest version that is committed.

    A file that the plan does not know is left out, and so is a row of content that has changed since, as soon
    as the row of the new content is there. No row of a forgotten recording is shown.

    Args:
        output: folder of a table, on any storage.
        task: name of the task's folder below it; None is `transcribe`, or the only one that there is.

    Raises:
        UserError: there is no table, or no such task in it; its plan or its record is gone; a file is too small to
            be a unit's. A file that is damaged otherwise is such an error where it is read.
        StorageFault: it cannot be read.
    """
    output, task = str(output), folder_name(task) if task else None
    require_table(output)
    require_plan(output)
    task = task or _default(output)
    record = read_record(output, task)
    done = committed(output, task)
    files = [layout.unit_file(output, task, each.name) for each in units(output) if each.name in done]
    return Table(dataset_of(output, files, record.schema, unseen(output, done)), files)


def _default(output: str) -> str:
    found = tasks(output)
    if len(found) == 1 or not found or READ_BY_DEFAULT in found:
        return found[0] if len(found) == 1 else READ_BY_DEFAULT
    raise UserError(f"{redact(output)}: has the tasks {', '.join(found)}; name one, as task={found[0]!r}")


def dataset_of(output: str, files: Sequence[str], declared: pa.Schema | None, without: set[OldRow]) -> ds.Dataset:
    """Rows of some files that are there, but for some; nothing is read, unless nobody has declared the columns."""
    # Cut off, not parsed: there may be hundreds of thousands.
    root, below = filesystem(output)[1].rstrip("/"), len(output.rstrip("/"))
    storage, paths = arrow_filesystem(output), [root + each[below:] for each in files]
    columns = declared
    if columns is None:
        columns = plain(read_unit(files[0]).schema) if files else schema(())
    checked = ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    )
    dataset = ds.FileSystemDataset.from_paths(paths, schema=columns, format=checked, filesystem=storage)
    if not without:
        return dataset
    key = pc.binary_join_element_wise(pc.field("unit"), pc.field("id"), pc.scalar(_SEPARATOR))
    keys = pa.array(sorted(_SEPARATOR.join(row) for row in without))
    return dataset.filter(~pc.is_in(key, value_set=keys))
