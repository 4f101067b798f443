"""Compressed tars as streams that are read forward only."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, cast

import pyarrow as pa

from pipeline.sources.tarformat import DamagedTar
from pipeline.storage.read import open_stream

_STEP = 256 * 1024
FREE = 10**9
"""Bytes of content that may come of any few bytes."""
MOST_EXPANSION = 2_000
"""Bytes of content, beyond, for each that is compressed: twice what gzip reaches. A few megabytes of others may claim
to be terabytes, through which planning would go for days."""


def _gzip(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw))


def _zstd(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"))


def _bz2(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, bz2.open(raw))


def _xz(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, lzma.open(raw))


_DECOMPRESSORS: Mapping[str, Callable[[BinaryIO], BinaryIO]] = {"gz": _gzip, "bz2": _bz2, "xz": _xz, "zst": _zstd}
_SHORT = {"tgz": "gz", "tbz": "bz2", "tbz2": "bz2", "txz": "xz", "tzst": "zst"}


class Forward:
    """A decompressed stream with `read` and a `seek` that skips forward.

    Raises on reading:
        DamagedTar: the compressed data is damaged or cut, or stands for more than is believed.
    """

    def __init__(self, stream: BinaryIO, raw: BinaryIO) -> None:
        self._stream = stream
        self._raw = raw
        self._position = 0

    def seek(self, position: int) -> int:
        """Skip to a later position; less far where the stream ends."""
        while self._position < position and self.read(min(_STEP, position - self._position)):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes; b"" at the end."""
        try:
            data = bytes(self._stream.read(size))
        # libbzip2 tells some damage as a mistake of its caller's: a RuntimeError.
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, pa.ArrowInvalid, RuntimeError) as error:
            raise self._damaged(error) from error
        except OSError as error:
            # bz2 and Arrow have no errors of their own; those of storage carry a number.
            if error.errno is not None:
                raise
            raise self._damaged(error) from error
        self._position += len(data)
        if self._position > FREE + MOST_EXPANSION * self._raw.tell():
            raise self._damaged(f"it expands more than {MOST_EXPANSION:,} times")
        return data

    def _damaged(self, error: Any) -> DamagedTar:
        text = " ".join(str(error).split())
        return DamagedTar(f"cannot be decompressed beyond byte {self._position} of its content ({text})")


@contextlib.contextmanager
def decompressed(uri: str) -> Iterator[BinaryIO]:
    """Open the content of a compressed tar from its start."""
    suffix = uri.rpartition(".")[2].lower()
    with open_stream(uri) as raw, _DECOMPRESSORS[_SHORT.get(suffix, suffix)](raw) as stream:
        yield cast(BinaryIO, Forward(stream, raw))
