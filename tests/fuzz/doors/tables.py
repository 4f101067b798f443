"""What a table is made of, read back: unit files, records of tasks, generations of the plan, manifests of runs, claims.

Bytes that change what is read must be noticed: by an error that names the file, or by `verify`.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.corpus import Recording
from pipeline.errors import UserError
from pipeline.plan import known
from pipeline.plan.generations import Scope, UnitRef, numbers, open_generation
from pipeline.plan.store import Bounds, extend_from, load_unit
from pipeline.plan.success import read_success
from pipeline.plan.superseded import superseded
from pipeline.table import check as rows_check
from pipeline.table import explain, footers, layout, runs, status, task
from pipeline.table.again import failed
from pipeline.table.failures import failures
from pipeline.table.holding import Gone
from pipeline.table.publish import rows
from pipeline.table.publish.difference import State
from pipeline.table.publish.manifest import PublishedFile
from pipeline.table.read import Table, dataset_of
from pipeline.table.rewrite import burdens
from pipeline.table.totals import totals
from pipeline.table.unit_file import read_unit
from tests.fuzz import mutate
from tests.fuzz.documents import documented, is_object
from tests.fuzz.door import Door, Opened, Wrong, refused
from tests.fuzz.doors.rewritten import footed, for_one_task, rewritten
from tests.table.conftest import Made


def made(folder: Path) -> Made:
    """A table of a few units, one row of which is an error."""
    found = Made(str(folder / "out"))
    (folder / "out").mkdir()
    found.plan("a.wav", "b.wav", seconds=20.0)
    found.plan("c.wav", "d.wav", "e.wav", seconds=15.0)
    found.commit()
    return found


_SUMMED = re.compile(rb"((?:\x15[\x80-\xff]*[\0-\x7f]){3})\x15")
"""Header of a page up to the type of its checksum; a reader takes one of another type for no checksum."""


def parquet(dice: Random, seeds: Sequence[bytes]) -> bytes:
    """A Parquet file with damage in its pages, in its footer, or with a footer of another."""
    data = bytearray(dice.choice(seeds))
    size = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - size
    what = dice.randrange(10)
    if what < 4:
        body = bytearray(data[4:start])
        if dice.random() < 0.2:
            body = bytearray(_SUMMED.sub(b"\\g<1>\x14", body))
        for _ in range(dice.choice((1, 1, 3))):
            dice.choice((mutate.flip, mutate.put, mutate.number, mutate.step))(dice, body)
        data[4:start] = body
    elif what < 7:
        footer = data[start : start + size]
        for _ in range(dice.choice((1, 1, 2))):
            dice.choice((mutate.flip, mutate.put, mutate.step, mutate.number))(dice, footer)
        data[start : start + size] = footer
    elif what == 7:
        other = dice.choice(seeds)
        length = int.from_bytes(other[-8:-4], "little") + 8
        data[start:] = other[len(other) - length :]
    else:
        return mutate.bent(dice, seeds)
    return bytes(data)


def _unit(dice: Random, seeds: Sequence[bytes]) -> bytes:
    return rewritten(dice, seeds) if dice.random() < 0.35 else parquet(dice, seeds)


def _plan(dice: Random, seeds: Sequence[bytes]) -> bytes:
    return footed(dice, seeds) if dice.random() < 0.3 else parquet(dice, seeds)


def open_unit(folder: Path) -> Opened:
    table = made(folder)
    record = task.read_record(table.output, table.task)
    ref = table.units[0]
    unit = load_unit(table.output, ref)
    file = table.file(0)
    uri = layout.unit_file(table.output, table.task, ref.name)
    before = read_unit(uri)
    other = Made(str(folder / "other"))
    (folder / "other").mkdir()
    other.plan("a.wav", "b.wav", seconds=20.0)
    other.commit(broken=("c/b.wav",))
    seeds = [file.read_bytes(), table.file(1).read_bytes(), other.file(0).read_bytes()]
    whole = [before, read_unit(str(other.file(0)))]
    hidden = (ref.name, unit.recordings[0].id)

    def counted(size: int) -> bool:
        totals(table.output, table.task, {ref.name: size}, {hidden}, {})
        return footers.counts(uri, size) is not None

    def check(data: bytes) -> bool:
        file.write_bytes(data)
        lot = zlib.crc32(data)
        looked = lot % 4 == 0
        shown = _shown(table, uri, record.schema) if looked else None
        # These read the plan each time, and take longer than all else together.
        if lot % 16 == 0:
            _used(table, ref, hidden[1], record.schema, len(data))
        try:
            after = read_unit(uri)
        except UserError as error:
            refused(error, ref.name)
            counted(len(data))
            return footer_read(data)
        noticed = list(rows_check.contradictions(after, unit, record, Gone.of(set())))
        list(rows_check.contradictions(after, unit, record, Gone.of(set(), {hidden})))
        if not counted(len(data)) and not noticed:
            raise Wrong("damaged to a run, and not to verify")
        if not noticed and not any(_same(after, each) for each in whole):
            raise Wrong("other rows that nothing notices")
        if looked and not noticed and (shown is None or not shown.equals(_shown_of(after, record.schema))):
            raise Wrong("readers see other rows than verify")
        if looked and not noticed and not _found(table, uri, record.schema, after):
            raise Wrong("a filter finds other rows than there are")
        return True

    return Opened(seeds, check, _unit)


def _shown(table: Made, uri: str, schema: pa.Schema | None) -> pa.Table | None:
    """What readers get of a file; None where it is refused."""
    reader = Table(dataset_of(table.output, [uri], schema, set()), [uri])
    try:
        found = reader.to_table()
        failures(reader)
        reader.count_rows()
    except UserError as error:
        refused(error, "out/")
        return None
    return found


def _used(table: Made, ref: UnitRef, id: str, schema: pa.Schema | None, size: int) -> None:
    """Put a file through everything else that reads rows of units."""
    assert schema is not None
    published = PublishedFile(f"{ref.name}.parquet", size, 2, 0)
    folder = layout.task_folder(table.output, table.task)
    gone, held = Gone.of((), {(ref.name, id)}), {ref.name: State(0, frozenset({id}))}
    for use in (
        lambda: explain.format_explanation(explain.explain(table.output, id)),
        lambda: list(rows.of_units(table.output, table.task, [ref.name], held, schema)),
        lambda: list(rows.of_file(folder, published, schema)),
        lambda: burdens(table.output, table.task, [ref], gone),
        lambda: failed(table.output, [table.task]),
    ):
        try:
            use()
        except UserError as error:
            refused(error, ref.name)


def _found(table: Made, uri: str, schema: pa.Schema | None, found: pa.Table) -> bool:
    """Whether who looks for the rows of a file one by one finds each."""
    reader = Table(dataset_of(table.output, [uri], schema, set()), [uri])
    ids = found.column("id").to_pylist()
    return all(reader.to_table(columns=["id"], filter=pc.field("id") == id).num_rows == 1 for id in ids)


def _shown_of(found: pa.Table, schema: pa.Schema | None) -> pa.Table:
    assert schema is not None
    return pa.table({name: found[name] for name in schema.names}).cast(schema)


def _same(one: pa.Table, other: pa.Table) -> bool:
    return one.column_names == other.column_names and all(one[name].equals(other[name]) for name in one.column_names)


def footer_read(data: bytes) -> bool:
    """Whether the footer at least is one."""
    try:
        pq.read_metadata(pa.BufferReader(data))
    except (pa.ArrowException, OSError):
        return False
    except UnicodeDecodeError:
        return True
    return True


def open_plan(folder: Path) -> Opened:
    output = str(folder / "out")
    (folder / "out").mkdir()
    listed = [
        (Recording(f"c/{name}", f"file:///c/{name}", name, "1-1", f"c/{name}", "wav", 20.0, "header", 9,
        reference="one two",
                   metadata='{"speaker": "a"}', sample_rate=16_000),)
        for name in ("a.wav", "b.wav", "c.wav", "d.wav")
    ]  # fmt: skip
    extend_from(lambda known: listed, output, scope=Scope("c", ("file:///c",)), bounds=Bounds(60.0))
    newer = [(Recording(**{**_fields(each), "version": "2-2", "seconds": 25.0}),) for (each,) in listed[1:3]]
    extend_from(lambda known: newer, output, scope=Scope("c", ("file:///c",)), bounds=Bounds(60.0))
    first, second = (folder / f"out/_plan/{number:06d}.parquet" for number in (1, 2))
    # The second alone, as the first: it has rows that take the place of others.
    seeds = [second.read_bytes(), for_one_task(second.read_bytes())]
    second.unlink()
    times = itertools.count(1)

    def look(data: bytes) -> object:
        first.write_bytes(data)
        # Within one tick of the clock files would be taken for those before them.
        os.utime(first, ns=(next(times), next(times)))
        found = known.read_known(output)
        return (
            [load_unit(output, ref) for ref in found.units],
            found.units,
            found.scopes,
            superseded(output),
            [ref for number in numbers(output) for ref in open_generation(output, number).units()],
            found.spans,
            [bytes(each) for each in found.digests],
        )

    before = [look(each) for each in seeds]

    def check(data: bytes) -> bool:
        try:
            after = look(data)
        except UserError as error:
            refused(error, "_plan")
            return footer_read(data)
        if after not in before:
            raise Wrong("another plan that nothing notices")
        return True

    return Opened(seeds, check, _plan)


def _fields(recording: Recording) -> dict[str, object]:
    return {name: getattr(recording, name) for name in recording.__slots__}


def open_record(folder: Path) -> Opened:
    table = made(folder)
    path = folder / "out/transcribe/_task.json"
    whole = path.read_bytes()
    (folder / "out/empty").mkdir()

    def check(data: bytes) -> bool:
        if zlib.crc32(data) % 32 == 0:
            path.unlink(missing_ok=True)
            _gone(table.output, "transcribe")
            _gone(table.output, "empty")
        path.write_bytes(data)
        try:
            found = task.read_record(table.output, "transcribe")
            task.contradiction(found, table.record)
            if len(data) % 16 == 0:
                status.format_status(status.status(table.output))
        except UserError as error:
            refused(error, "_task.json", "out/")
            return is_object(data)
        try:
            task.decode_record(task.encode_record(found))
        except (ValueError, KeyError, TypeError) as error:
            raise Wrong(f"a record that cannot be written: {error}") from error
        return True

    return Opened([whole], check, documented(("transcribe", 1, {"name": "a", "hash": "b"}, "AAAA", "/////w==")))


def _gone(output: str, name: str) -> None:
    """Look for a record that is not there."""
    try:
        task.read_record(output, name)
    except UserError as error:
        refused(error, "_task.json")
        return
    raise Wrong("a record without a file")


def open_run(folder: Path) -> Opened:
    output = str(folder)
    real = {
        "run": "r", "state": "ended", "started": "2026-01-01T00:00:00+00:00", "work_seconds": 12.5, "x_realtime": 30.5,
        "exit_code": 4, "stopped": "by hand", "faults": {"0" * 32: "decode"}, "options": {"window": "10s"},
    }  # fmt: skip
    runs.write_run(output, "20260101T000000Z-a", real)
    path = folder / "_runs/20260101T000000Z-a.json"
    name = runs.runs(output)[0]

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            found = runs.read_run(output, name)
        except UserError as error:
            refused(error, "_runs")
            return is_object(data)
        if list(runs.newest_runs(output, 1)) != [runs.newest_run(output)]:
            raise Wrong("other runs than there are")
        if any(each.run != name for each in runs.recent_faults(output, [name, "none"])):
            raise Wrong("faults of a run that is none")
        status._is_open(found)
        lines = status._last_run(found, set())
        json.dumps(found)
        if any("\n" in line for line in lines):
            raise Wrong(f"several lines: {lines}")
        return True

    return Opened([path.read_bytes()], check, documented(("running", None)))


def open_success(folder: Path) -> Opened:
    path = folder / "_SUCCESS"

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            found = read_success(str(folder))
        except UserError as error:
            refused(error, "_SUCCESS")
            return is_object(data)
        assert found is not None
        "".join(found.tasks).encode()
        return True

    seeds = [b'{"generation": 3, "tasks": ["embed", "transcribe"]}\n', b'{"generation": 1, "tasks": []}']
    return Opened(seeds, check, documented())


DOORS = (
    Door("unit", open_unit),
    Door("plan", open_plan),
    Door("task-record", open_record),
    Door("run-manifest", open_run),
    Door("success", open_success),
)
