"""The manifest: which files are the published set, and which units their rows come from.

Data files have names of their own and never change. A set comes into force by one conditional put of the next
numbered manifest, which names all of its files; so a reader needs one listing and one read, a crash before the put
leaves the old set, and of two who publish at once one starts again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import documents
from pipeline.errors import UserError
from pipeline.plan.ids import digests
from pipeline.storage import parquet
from pipeline.storage.listing import list_names
from pipeline.storage.paths import redact
from pipeline.storage.put import put_if_absent
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import denied
from pipeline.table.publish import places
from pipeline.table.schema import unpacked

_VERSION = "1"
_HEX = re.compile(r"|[0-9a-f]{32}")
_KEY = b"voxmill.published"
_HIDDEN_IDS = "hidden_ids"
"""Column that manifests of older releases lack, and that those releases pass over."""
_DIGEST, _DIGESTS = "digest", "digests"
_UNITS = pa.schema(
    [
        pa.field("unit", pa.binary(16)),
        pa.field("size", pa.int64()),
        pa.field("hidden", pa.int32()),
        pa.field("files", pa.list_(pa.int32())),
        pa.field(_HIDDEN_IDS, pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One data file."""

    path: str
    """Below the folder of the task's published set."""
    size: int
    """Bytes."""
    rows: int
    errors: int
    """Rows with an error."""
    partition: str | None = None
    """Value of the column that the set is partitioned by; None for null, or where it is not partitioned."""
    digest: str = ""
    """Of its bytes, see `storage.hashed`; "" for what older releases published."""


class Held(NamedTuple):
    """State in which a unit was published."""

    size: int
    """Bytes of its file: another size is another file, with rows taken away."""
    hidden: int
    """How many of its rows newer ones had taken the place of, or were forgotten; these are not in the set."""
    files: tuple[int, ...]
    """Places of the files that hold its rows."""
    hidden_ids: bytes = b""
    """What stands for the ids of the hidden rows, see `hidden_digest`; nothing of older releases, which only counted
    them."""

    def hides(self, ids: Collection[str]) -> bool:
        """Say whether the hidden rows are surely those with these ids."""
        return (self.hidden, self.hidden_ids) == (len(ids), hidden_digest(ids))


def hidden_digest(ids: Collection[str]) -> bytes:
    """What stands for the ids of a unit's hidden rows: 16 bytes, none where nothing is hidden. Pure."""
    return hashlib.blake2b(digests(sorted(ids)).tobytes(), digest_size=16).digest() if ids else b""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One published set."""

    number: int
    """0 for a set that does not exist yet."""
    publication: str = ""
    """Tells who put it, also where the answer was lost."""
    published: str = ""
    """UTC, ISO 8601."""
    partition_by: str | None = None
    files: tuple[PublishedFile, ...] = ()
    units: Mapping[str, Held] = field(default_factory=dict, repr=False)
    schema: pa.Schema | None = None

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(each.rows for each in self.files)

    def units_of_files(self) -> list[set[str]]:
        """Units that have rows in each of the files."""
        every: list[set[str]] = [set() for _ in self.files]
        for unit, held in self.units.items():
            for place in held.files:
                every[place].add(unit)
        return every


def numbers(output: str, task: str) -> list[int]:
    """Numbers of the manifests that there are, rising; the last one is in force."""
    names = list_names(places.manifests_folder(output, task))
    return sorted(number for name in names if (number := places.manifest_of(name)) is not None)


def newest(output: str, task: str) -> Manifest:
    """The manifest in force; number 0 where nothing is published.

    Raises:
        UserError: it is damaged, closed, or from another release.
        StorageFault: it cannot be read.
    """
    found = numbers(output, task)
    return read(output, task, found[-1]) if found else Manifest(0)


def newest_files(output: str, task: str) -> Manifest:
    """The manifest in force without its units, of which there may be very many; raises as `newest`."""
    found = numbers(output, task)
    return _read(output, task, found[-1], decode_files) if found else Manifest(0)


def read(output: str, task: str, number: int) -> Manifest:
    """One manifest; raises as `newest`."""
    return _read(output, task, number, decode)


def _read(output: str, task: str, number: int, decoded: Callable[[bytes, int], Manifest]) -> Manifest:
    uri = places.manifest_file(output, task, number)
    try:
        return decoded(read_bytes(uri), number)
    except FileNotFoundError as error:
        raise UserError(f"{redact(uri)}: the manifest went away. Run the command again.") from error
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        then = (
            "the one before it holds again, and the next publish adds what that lacks."
            if any(each < number for each in numbers(output, task))
            else "nothing is published then until the next publish, which makes the whole set anew."
        )
        raise UserError(
            f"{redact(uri)}: the manifest of what is published is damaged ({reason}). Delete it: {then}"
        ) from error


def put(output: str, task: str, manifest: Manifest) -> bool:
    """Bring a set into force; False where another one has taken its number.

    Raises:
        StorageFault, UserError: it cannot be written, or what took its number cannot be read.
        ValueError: nobody could read it; a bug, for which nothing is written.
    """
    data = encode(manifest)
    decode(data, manifest.number)
    if put_if_absent(places.manifest_file(output, task, manifest.number), data):
        return True
    return read(output, task, manifest.number).publication == manifest.publication


def encode(manifest: Manifest) -> bytes:
    """Bytes of a manifest: Parquet with a row for each unit, the files in its footer. Pure."""
    held = list(manifest.units.values())
    columns = [
        pa.array([bytes.fromhex(unit) for unit in manifest.units], pa.binary(16)),
        pa.array([each.size for each in held], pa.int64()),
        pa.array([each.hidden for each in held], pa.int32()),
        pa.array([each.files for each in held], pa.list_(pa.int32())),
        pa.array([each.hidden_ids for each in held], pa.binary()),
    ]
    told = {
        "version": _VERSION,
        "publication": manifest.publication,
        "published": manifest.published,
        "partition_by": manifest.partition_by,
        "files": [{key: value for key, value in asdict(each).items() if key != _DIGEST} for each in manifest.files],
        # Beside the files, of which older releases take no more than they know.
        _DIGESTS: [each.digest for each in manifest.files],
        "schema": None if manifest.schema is None else manifest.schema.serialize().to_pybytes().hex(),
    }
    rows = pa.Table.from_arrays(columns, schema=_UNITS.with_metadata({_KEY: json.dumps(told).encode()}))
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def decode(data: bytes, number: int) -> Manifest:
    """Manifest in the bytes of its file.

    Raises:
        ValueError, KeyError, TypeError, pa.ArrowException, OSError: they hold none.
    """
    rows = parquet.read(pa.BufferReader(data))
    if any(column.null_count for column in rows.columns):
        raise ValueError("nulls among its units")
    if _HIDDEN_IDS not in rows.column_names:
        # A manifest of an older release.
        rows = rows.append_column(_HIDDEN_IDS, pa.array([b""] * rows.num_rows, pa.binary()))
    rows = rows.select(_UNITS.names)
    if not rows.schema.equals(_UNITS):
        raise ValueError("columns of its units of another type")
    columns = [rows.column(name).to_pylist() for name in _UNITS.names]
    held = {
        unit.hex(): Held(size, hidden, tuple(files), ids)
        for unit, size, hidden, files, ids in zip(*columns, strict=True)
    }
    found = decode_files(data, number)
    if not all(0 <= place < len(found.files) for each in held.values() for place in each.files):
        raise ValueError("units in files that it does not name")
    return replace(found, units=held)


def decode_files(data: bytes, number: int) -> Manifest:
    """Manifest in the bytes of its file, without units; raises as `decode`."""
    told = documents.parse((pq.read_schema(pa.BufferReader(data)).metadata or {})[_KEY])
    if told["version"] != _VERSION:
        raise ValueError(f"version {told['version']}; this release reads {_VERSION}")
    packed = told["schema"]
    files = _files(told)
    if len({each.path for each in files}) < len(files):
        raise ValueError("it names a file twice")
    return Manifest(
        number=number,
        publication=_text(told["publication"]),
        published=_text(told["published"]),
        partition_by=told["partition_by"] and _text(told["partition_by"]),
        files=files,
        schema=None if packed is None else unpacked(bytes.fromhex(packed)),
    )


def _files(told: Mapping[str, Any]) -> tuple[PublishedFile, ...]:
    files = [_file(**each) for each in told["files"]]
    digests = told.get(_DIGESTS, [""] * len(files))
    if len(digests) != len(files) or not all(_HEX.fullmatch(_text(each)) for each in digests):
        raise ValueError("digests that are none")
    return tuple(replace(file, digest=each) for file, each in zip(files, digests, strict=True))


def _file(path: str, size: int, rows: int, errors: int, partition: str | None = None) -> PublishedFile:
    """One data file; a ValueError where it is none, or lies elsewhere."""
    if not places.is_data(_text(path)):
        raise ValueError(f"it names the file {path!r}")
    if any(type(each) is not int or not 0 <= each < 2**63 for each in (size, rows, errors)):
        raise ValueError(f"numbers of {path!r}")
    return PublishedFile(path, size, rows, errors, None if partition is None else _value(partition))


def _text(value: str) -> str:
    if "\0" in _value(value):
        raise ValueError(f"{value!r} is no text")
    return value


def _value(value: str) -> str:
    """A value of a column, which may hold any character."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    value.encode()
    return value
