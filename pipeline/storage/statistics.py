"""Whether a reader would pass over rows for what a footer, which has no checksum, says of its columns."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds


def opened(file: pa.NativeFile) -> ds.ParquetFileFragment:
    """What a reader makes of the footer of a file; raises pa.ArrowException or OSError where it is none."""
    fragment = ds.ParquetFileFormat().make_fragment(file)
    fragment.ensure_complete_metadata()
    return fragment


def misleading(fragment: ds.ParquetFileFragment, group: int, rows: pa.Table) -> str | None:
    """Name of a column by whose least, greatest or nulls a reader would not find some rows; None where there is none.

    Arrow as a reader is asked, and not the footer: a damaged one that is asked in Python ends the process.

    Args:
        fragment: the file, as `opened` gave it.
        group: number of the row group.
        rows: of that group, read without a filter.

    Raises:
        pa.ArrowException, OSError: what the footer says makes no sense.
    """
    whole = fragment.subset(row_group_ids=[group], schema=rows.schema)
    for names, values in _leaves((), rows.schema.names, rows.columns):
        for wanted in _looked_for(pc.field(*names), values):
            if not whole.subset(filter=wanted, schema=rows.schema).num_row_groups:
                return ".".join(names)
    return None


def _leaves(
    above: tuple[str, ...], names: list[str], columns: list[pa.ChunkedArray]
) -> Iterator[tuple[tuple[str, ...], pa.ChunkedArray]]:
    """Columns that have a value a row, those inside of structs among them: by others no reader passes over rows."""
    for name, column in zip(names, columns, strict=True):
        path = (*above, name)
        if pa.types.is_struct(column.type):
            inside = [column.type.field(number).name for number in range(column.type.num_fields)]
            yield from _leaves(path, inside, column.flatten())
        elif not pa.types.is_nested(column.type):
            yield path, column


def _looked_for(field: pc.Expression, values: pa.ChunkedArray) -> Iterator[pc.Expression]:
    """Filters that some of these values pass."""
    if values.null_count:
        yield field.is_null()
    if values.null_count < len(values):
        least, greatest = pc.min_max(values).values()
        # Both are null where no value is a number.
        yield from (field == each for each in {least, greatest} if each.is_valid)
