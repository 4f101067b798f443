"""The headers of tar archives: ustar, GNU long names, PAX records; one reader for files and for streams.

Formats: POSIX.1-2017, pax; the GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

BLOCK = 512
_MAX_EXTENSION = 2**20
"""Bytes before one member; longer names or records are not believed."""
_MAX_SIZE = 2**50
"""Bytes; a petabyte is no member of a tar, and numbers beyond fit into no seek and no plan."""
_LENGTH = 8
"""Bytes in which the length of a PAX record and the space after it stand."""
_BEHIND = 2**16
"""Bytes behind the end mark that are looked at: more than the zeros that any tar is filled up with by default."""
_PLAIN = (b"0", b"\0", b"7")
_EXTENSIONS = (b"L", b"x", b"X")
_PASSED_OVER = (b"K", b"g")
"""What is said of where a link leads, and of the whole archive."""
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")
_OF_USE = ("path", "size")
"""Keys of PAX records that are read."""
_SPARSE = "GNU.sparse"
_KINDS: dict[bytes, Kind] = {b"1": "link", b"2": "link", b"5": "folder"}

Kind = Literal["file", "link", "folder", "special"]


class DamagedTar(Exception):
    """A tar cannot be read any further; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name as the archive has it, and where its bytes are."""

    name: str
    """Bytes that are no UTF-8 are escaped as surrogates."""
    kind: Kind
    offset: int
    """First byte of the content, counted from the start of the (decompressed) archive."""
    size: int


def members(file: BinaryIO) -> Iterator[Member]:
    """Yield the members in their order; between two the caller may read content, but not seek back.

    Args:
        file: needs `read` and a `seek` that goes forward.

    Raises:
        DamagedTar: a header is cut or wrong, or the end mark is missing, so members may be missing too.
    """
    position = 0
    named: dict[str, str] = {}
    said = 0
    while True:
        file.seek(position)
        header = read_fully(file, BLOCK)
        if len(header) < BLOCK:
            raise DamagedTar(f"ends at byte {position + len(header)} without an end mark")
        if header.count(0) == BLOCK:
            return
        kind, size = header[156:157], _checked_size(header, position)
        position += BLOCK
        if kind in _PASSED_OVER:
            pass
        elif kind in _EXTENSIONS:
            said += size
            if said > _MAX_EXTENSION:
                raise DamagedTar(f"is damaged at byte {position} (headers of {said} bytes before one member)")
            named |= _extension(file, kind, size, position)
        else:
            size = _believed(_decimal(named.get("size", ""), size), position - BLOCK)
            yield _member(header, kind, named, position, size)
            named, said = {}, 0
            size = 0 if kind in _WITHOUT_CONTENT else size
        position += -(-size // BLOCK) * BLOCK


def goes_on(file: BinaryIO) -> bool:
    """Say whether another archive follows once `members` has given all, as where two were joined by `cat`.

    Raises:
        DamagedTar: the stream cannot be read there.
    """
    rest = read_fully(file, _BEHIND)
    start = (len(rest) - len(rest.lstrip(b"\0"))) // BLOCK * BLOCK
    header = rest[start : start + BLOCK]
    return len(header) == BLOCK and _has_checksum(header)


def read_fully(file: BinaryIO, size: int) -> bytes:
    """Read until `size` bytes or the end; streams may give less at a time."""
    data = file.read(size)
    while data and len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _member(header: bytes, kind: bytes, named: dict[str, str], offset: int, size: int) -> Member:
    name = named.get("path") or _name(header)
    if kind in _PLAIN and _SPARSE not in named:
        return Member(name, "folder" if name.endswith("/") else "file", offset, size)
    return Member(name, _KINDS.get(kind, "special"), offset, size)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _checked_size(header: bytes, position: int) -> int:
    if not _has_checksum(header):
        what = "is no tar archive" if position == 0 else f"is damaged at byte {position}"
        raise DamagedTar(f"{what} (wrong checksum of a header)")
    return _believed(_number(header[124:136]), position)


def _has_checksum(header: bytes) -> bool:
    return _number(header[148:156]) == sum(header) - sum(header[148:156]) + 8 * 32


def _believed(size: int, position: int) -> int:
    if size < 0:
        raise DamagedTar(f"is damaged at byte {position} (negative size)")
    if size > _MAX_SIZE:
        raise DamagedTar(f"is damaged at byte {position} (a size beyond any tar)")
    return size


def _decimal(digits: str, otherwise: int) -> int:
    """A number in decimal digits; one of more digits than any size has is too large, whatever it is."""
    if not (digits.isascii() and digits.isdecimal()):
        return otherwise
    return int(digits) if len(digits) < 20 else _MAX_SIZE + 1


def _number(field: bytes) -> int:
    """Octal digits, or base 256 where the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big", signed=False) & (1 << (8 * len(field) - 1)) - 1
    digits = field.strip(b" \0").split(b"\0")[0]
    try:
        return int(digits or b"0", 8)
    except ValueError:
        return -1


def _extension(file: BinaryIO, kind: bytes, size: int, position: int) -> dict[str, str]:
    """Read what is said about the next member: its long name, or PAX records."""
    content = read_fully(file, size)
    if len(content) < size:
        raise DamagedTar(f"ends at byte {position + len(content)} inside a header")
    if kind == b"L":
        return {"path": _text(content)}
    return _records(content)


def _records(content: bytes) -> dict[str, str]:
    """Read PAX records, those of use: "length key=value" and a newline, the length counting all of it."""
    found: dict[str, str] = {}
    start = 0
    while start < len(content):
        digits, _, _ = content[start : start + _LENGTH].partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < _LENGTH else 0
        if not len(digits) < length <= len(content) - start:
            break
        key, _, value = content[start + len(digits) + 1 : start + length].rstrip(b"\n").partition(b"=")
        if (name := _text(key)) in _OF_USE:
            found[name] = _text(value)
        elif name.startswith(_SPARSE):
            found[_SPARSE] = ""
        start += length
    return found


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
