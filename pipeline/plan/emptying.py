"""Empty what the plan holds of forgotten recordings besides where they are: reference text and metadata.

A generation is put anew under its number with the same rows, row groups and units, so whoever reads it finds all of
them where they were.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.plan import generations
from pipeline.plan.forgotten import COLUMNS, Forgotten, forgotten
from pipeline.plan.generations import Generation
from pipeline.storage.put import put

_TEXT = ("reference", "metadata")


def texts(output: str, gone: Forgotten) -> int:
    """Rows of forgotten recordings whose text the plan still has."""
    if not gone:
        return 0
    opened = (generations.open_generation(output, number) for number in generations.numbers(output))
    return sum(sum(map(len, _left(generation, gone))) for generation in opened)


def empty_texts(output: str) -> int:
    """Empty them, again until a look finds none; returns how many rows lost theirs.

    Raises:
        UserError: the plan is damaged or may not be written.
        StorageFault: it cannot be read or written; the generation at work is what it was.
    """
    return sum(_empty(output, number) for number in generations.numbers(output))


def _empty(output: str, number: int) -> int:
    emptied = 0
    while gone := forgotten(output):
        generation = generations.open_generation(output, number)
        left = list(_left(generation, gone))
        count = sum(map(len, left))
        if not count:
            break
        put(generation.uri, _rewritten(generation, left))
        emptied += count
    return emptied


def _left(generation: Generation, gone: Forgotten) -> Iterator[list[int]]:
    """Of each row group, the rows to be emptied."""
    for table in generation.row_groups((*COLUMNS, *_TEXT)):
        has_text = pc.or_(*(pc.is_valid(table.column(name)) for name in _TEXT)).to_pylist()
        yield [row for row, each in enumerate(gone.mask(table)) if each and has_text[row]]


def _rewritten(generation: Generation, emptied: list[list[int]]) -> bytes:
    sink = pa.BufferOutputStream()
    told = {key: value for key, value in (generation.footer.metadata or {}).items() if key != b"ARROW:schema"}
    schema = generation.footer.schema.to_arrow_schema().with_metadata(told)
    with pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True) as file:
        for group, rows in enumerate(emptied):
            table = generation.row_group(group)
            for name in _TEXT if rows else ():
                values = table.column(name).to_pylist()
                for row in rows:
                    values[row] = None
                table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, pa.string()))
            file.write_table(table.cast(schema), row_group_size=max(table.num_rows, 1))
    return bytes(sink.getvalue().to_pybytes())
