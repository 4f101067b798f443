"""Read a table: the committed rows of one task, the newest of each recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.plan.columns import OldRow
from pipeline.plan.generations import numbers
from pipeline.plan.store import units
from pipeline.plan.superseded import hidden, superseded
from pipeline.storage.listing import list_names
from pipeline.storage.paths import filesystem, is_local, redact
from pipeline.table import layout
from pipeline.table.done import committed
from pipeline.table.schema import schema
from pipeline.table.task import read_record

if TYPE_CHECKING:
    import pandas as pd

_SEPARATOR = " "
"""Between unit and id in the key that hides a row; a unit's name has no space."""


class Table:
    """Committed rows of one task, in plan order; nothing is read before it is asked for.

    Args:
        dataset: what holds the rows; `dataset` is also an attribute, for everything else that pyarrow can do.
    """

    def __init__(self, dataset: ds.Dataset) -> None:
        self.dataset = dataset

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types."""
        return self.dataset.schema

    def scanner(self, **options: Any) -> ds.Scanner:
        """Scanner that streams batches; takes `columns`, `filter`, `batch_size` as `pyarrow.dataset` does."""
        return self.dataset.scanner(**options)

    def to_table(self, *, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> pa.Table:
        """Rows as one Arrow table, which must fit in memory."""
        return self.dataset.to_table(columns=None if columns is None else list(columns), filter=filter)

    def to_pandas(self, *, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> pd.DataFrame:
        """Rows as a data frame, which must fit in memory."""
        frame: pd.DataFrame = self.to_table(columns=columns, filter=filter).to_pandas()
        return frame

    def count_rows(self, *, filter: pc.Expression | None = None) -> int:
        """How many rows there are."""
        return int(self.dataset.count_rows(filter=filter))


def read_table(output: str, *, task: str = "transcribe") -> Table:
    """Open the committed rows of a task: one for each recording, of its newest version that is committed.

    A file that the plan does not know is left out, and so is a row of content that has changed since, as soon
    as the row of the new content is there.

    Args:
        output: folder of a table, on any storage.
        task: name of the task's folder below it.

    Raises:
        UserError: there is no table, or no such task in it.
        StorageFault: it cannot be read.
    """
    output = str(output)
    if not numbers(output) and not list_names(output):
        raise UserError(f"{redact(output)}: there is no table here. Name the output folder of a run.")
    record = read_record(output, task)
    done = committed(output, task)
    files = [layout.unit_file(output, task, each.name) for each in units(output) if each.name in done]
    return Table(_dataset(output, files, record.schema, hidden(superseded(output), done)))


def _dataset(output: str, files: Sequence[str], declared: pa.Schema | None, without: set[OldRow]) -> ds.Dataset:
    storage, paths = _arrow_filesystem(output), [filesystem(each)[1] for each in files]
    columns = declared
    if columns is None:
        columns = _plain(pq.read_schema(paths[0], filesystem=storage)) if paths else schema(())
    dataset = ds.FileSystemDataset.from_paths(paths, schema=columns, format=ds.ParquetFileFormat(), filesystem=storage)
    if not without:
        return dataset
    key = pc.binary_join_element_wise(pc.field("unit"), pc.field("id"), pc.scalar(_SEPARATOR))
    keys = pa.array(sorted(_SEPARATOR.join(row) for row in without))
    return dataset.filter(~pc.is_in(key, value_set=keys))


def _arrow_filesystem(uri: str) -> pafs.FileSystem:
    if is_local(uri):
        return pafs.LocalFileSystem()
    return pafs.PyFileSystem(pafs.FSSpecHandler(filesystem(uri)[0]))


def _plain(found: pa.Schema) -> pa.Schema:
    """Schema of a file without what its footer tells about one attempt."""
    metadata = {key: value for key, value in (found.metadata or {}).items() if key == b"voxmill.schema"}
    return found.with_metadata(metadata)
