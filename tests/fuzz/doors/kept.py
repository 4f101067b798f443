"""What runs keep beside a table: leases, what is forgotten, cached totals, manifests of what is published.

Leases and totals are a help: damaged ones count as none. Of what is forgotten and what is published damage is told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.plan import layout as plan_layout
from pipeline.plan.forgotten import _last, digest, forgotten, remember
from pipeline.plan.store import load_unit
from pipeline.table import layout, lease
from pipeline.table.done import committed_sizes
from pipeline.table.publish import difference, manifest, places
from pipeline.table.publish.checking import WHOLE, contradictions
from pipeline.table.publish.opening import read_published
from pipeline.table.publish.publishing import publish
from pipeline.table.totals import read_known, totals, write_known
from tests.fuzz import mutate
from tests.fuzz.documents import VALUES, changed, documented, is_object
from tests.fuzz.door import Door, Opened, Wrong, refused
from tests.fuzz.doors.tables import footer_read, made, parquet


def open_lease(folder: Path) -> Opened:
    mine = lease.Lease("20260101T000000Z-b", "here", 1, "2026-01-01T00:00:00+00:00")
    other = lease.Lease("20260101T000000Z-a", "there", 2, "2026-01-01T00:00:00+00:00", 4)
    path = Path(layout.lease_file(str(folder), other.run))
    path.parent.mkdir()

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        found = lease.signs(str(folder))
        lease.first(mine, found)
        for each in found:
            if "\n" in f"{each.lease.run}{each.lease.host}{each.lease.started}" or each.lease.run != other.run:
                raise Wrong(f"no lease: {each.lease}")
        return is_object(data)

    return Opened([json.dumps(asdict(other)).encode() + b"\n"], check, documented((other.run, "a\nb", 3)))


def open_forgotten(folder: Path) -> Opened:
    output = str(folder)
    gone = ["c/a.wav", "c/b.wav"]
    remember(output, gone)
    path = Path(plan_layout.forgotten_file(output, 1))
    whole = path.read_bytes()
    digests = [digest(each) for each in gone]
    rows = pa.table({"id": ["c/a.wav", "c/c.wav@0-9"], "recording": ["c/b.wav", "c/d.wav"], "spans": [1, 2]})
    named = (("c/a.wav", "c/b.wav"), ("c/c.wav@0-9", "c/c.wav", "c/d.wav"))

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        _last.clear()
        try:
            found = forgotten(output)
        except UserError as error:
            refused(error, path.name)
            return is_object(data)
        if found.digests != frozenset(json.loads(data)["digests"]) or json.loads(data)["version"] != 1:
            raise Wrong("something else is forgotten than the file says")
        if found.mask(rows) != [bool(found.digests & {digest(each) for each in names}) for names in named]:
            raise Wrong("other rows are forgotten than the file says")
        return True

    return Opened([whole], check, documented((digests, digests[0], [digests[0]], "0" * 32, 1, 2)))


def open_totals(folder: Path) -> Opened:
    table = made(folder)
    sizes = committed_sizes(table.output, table.task)
    right = totals(table.output, table.task, sizes, (), {})
    write_known(table.output, table.task, right.units)
    path = Path(layout.totals_file(table.output, table.task))
    hidden = (table.units[0].name, load_unit(table.output, table.units[0]).recordings[0].id)
    few = dict(list(right.units.items())[:1])
    seeds = [path.read_bytes()]
    write_known(table.output, table.task, few)
    seeds.append(path.read_bytes())

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        known = read_known(table.output, table.task)
        found = totals(table.output, table.task, sizes, (), known)
        if (found.rows, found.errors, found.damaged) != (right.rows, right.errors, ()):
            raise Wrong(f"{found.rows} rows and {found.errors} errors of a damaged cache")
        fewer = totals(table.output, table.task, sizes, {hidden}, known)
        if (fewer.rows, fewer.damaged) != (right.rows - 1, ()):
            raise Wrong(f"{fewer.rows} rows of a damaged cache, one hidden")
        return footer_read(data)

    return Opened(seeds, check, parquet)


def open_published(folder: Path) -> Opened:
    table = made(folder)
    publish(table.output, table.task)
    path = Path(places.manifest_file(table.output, table.task, 1))
    whole = path.read_bytes()
    right = read_published(table.output, task=table.task).to_table()
    now = difference.present_units(table.output, table.task)
    there = difference.data_files(table.output, table.task)

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            shown = read_published(table.output, task=table.task).to_table()
        except UserError as error:
            refused(error, path.name, ".parquet", "out")
            shown = None
        if any("\n" in each for told in contradictions(table.output, (), WHOLE) for each in told):
            raise Wrong("several lines")
        try:
            found = manifest.newest(table.output, table.task)
        except UserError as error:
            refused(error, path.name)
            return footer_read(data)
        difference.difference(found, now, difference.Target(None, 1 << 20, there))
        if shown is not None and found.files and shown.num_rows != right.num_rows:
            raise Wrong(f"{shown.num_rows} rows of a damaged manifest")
        return True

    return Opened([whole], check, _published)


def _published(dice: Random, seeds: Sequence[bytes]) -> bytes:
    """A manifest with damage as any Parquet file, or that says something else of its files or units."""
    if dice.random() < 0.4:
        return parquet(dice, seeds)
    rows = pq.ParquetFile(pa.BufferReader(seeds[0])).read()
    told = json.loads(rows.schema.metadata[manifest._KEY])
    if dice.random() < 0.8:
        told = changed(dice, told, (*VALUES, "../a.parquet", "0" * 32 + ".parquet", "1", "file:///a", {"path": 1}))
        text = json.dumps(told).encode("utf-8", "surrogatepass")
        if dice.random() < 0.1:
            data = bytearray(text)
            mutate.flip(dice, data)
            text = bytes(data)
        rows = rows.replace_schema_metadata({manifest._KEY: text})
    else:
        rows = _other_units(dice, rows)
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def _other_units(dice: Random, rows: pa.Table) -> pa.Table:
    """Units of a manifest of which one value is another, or whose column of hidden ids is gone or of numbers."""
    ids = rows.schema.get_field_index("hidden_ids")
    if dice.random() < 0.1:
        return rows.remove_column(ids)
    if dice.random() < 0.1:
        return rows.set_column(ids, "hidden_ids", pa.array([0] * rows.num_rows))
    strange = {"unit": (None,), "files": (None, [7], [-1], []), "hidden_ids": (None, b"", b"7")}
    field = rows.schema.field(dice.randrange(rows.num_columns))
    column = rows.column(field.name).to_pylist()
    column[dice.randrange(len(column))] = dice.choice(strange.get(field.name, (-1,)))
    return rows.set_column(rows.schema.get_field_index(field.name), field, pa.array(column, field.type))


DOORS = (
    Door("lease", open_lease),
    Door("forgotten", open_forgotten),
    Door("totals", open_totals),
    Door("published", open_published),
)
