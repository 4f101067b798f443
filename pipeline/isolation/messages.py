"""What a process that decodes and the one that asks it say to each other: JSON with its length before it, and arrays.

No pickles: a decoder that a hostile file has taken over must not be able to run code where it is asked from.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, BinaryIO, Final

import numpy as np

from pipeline.audio import FEATURE_SIZE, Facts, Featurised, Sampled
from pipeline.corpus import Recording
from pipeline.errors import ErrorRow
from pipeline.featurising import AudioFile, Results

_FACTS = tuple(field.name for field in dataclasses.fields(Facts))
_values = attrgetter(*_FACTS)

LONGEST = 1 << 30
"""Bytes of a message; the facts of 20,000 crops of one file take 6 MB."""


class Malformed(Exception):
    """What came is no message; who sent it is not to be trusted."""


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write a message."""
    data = json.dumps(message).encode()
    stream.write(len(data).to_bytes(8, "big") + data)


def receive(stream: BinaryIO) -> dict[str, Any]:
    """Read a message.

    Raises:
        EOFError: the other process is gone.
        Malformed: it is none.
    """
    size = int.from_bytes(_whole(stream, 8), "big")
    if size > LONGEST:
        raise Malformed(f"{size} bytes")
    try:
        message = json.loads(_whole(stream, size))
    except ValueError as error:
        raise Malformed(str(error)) from error
    if not isinstance(message, dict):
        raise Malformed("no object")
    return message


def _whole(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def encode_files(files: Sequence[AudioFile]) -> bytes:
    """What is to be known of each file to make its features."""
    return json.dumps([_from_file(file) for file in files]).encode()


def _from_file(file: AudioFile) -> dict[str, Any]:
    message = {"crops": file.crops, "place": file.place, "context": file.context, "features": file.features}
    if file.place is None and file.first is not None:
        message["first"] = from_recording(file.first)
    return message


def from_recording(recording: Recording) -> tuple[Any, ...]:
    """What is to be known of a recording to read it."""
    # What is said about it is not needed for that, and may be long.
    return dataclasses.astuple(dataclasses.replace(recording, reference=None, metadata=None))


def decode_files(data: bytes) -> list[AudioFile]:
    """Inverse of `encode_files`, but that what lies in the unit's bytes has lost its name."""
    return [_to_file(message) for message in json.loads(data)]


def _to_file(message: dict[str, Any]) -> AudioFile:
    first = Recording(*message["first"]) if "first" in message else None
    crops, place = tuple((start, end) for start, end in message["crops"]), message["place"]
    return AudioFile(first, crops, place and (place[0], place[1]), message["context"], message["features"])


def send_results(stream: BinaryIO, results: Results) -> None:
    """Write the results of a file."""
    send(stream, {"results": [_told(each) for each in results]})
    for each in results:
        if not isinstance(each, ErrorRow):
            stream.write(np.ascontiguousarray(_array(each)).reshape(-1).view(np.uint8).data)


def _told(result: Featurised | Sampled | ErrorRow) -> dict[str, Any]:
    if isinstance(result, ErrorRow):
        return {"error": dataclasses.astuple(result)}
    array = _array(result)
    return {"kind": _KIND_OF[array.ndim, array.dtype.name], "rows": len(array), "facts": _values(result.facts)}


def _array(result: Featurised | Sampled) -> np.ndarray:
    return result.samples if isinstance(result, Sampled) else result.features


_KINDS: Final[dict[str, tuple[tuple[int, ...], str]]] = {
    "frames": ((FEATURE_SIZE,), "float32"),
    "16 bits": ((), "int16"),
    "samples": ((), "float32"),
}
"""What arrays there are: shape of a row, type."""
_KIND_OF = {(1 + len(row), dtype): kind for kind, (row, dtype) in _KINDS.items()}


def receive_results(stream: BinaryIO, message: dict[str, Any], *, count: int, most: int) -> Results:
    """Read the arrays of results whose message has come.

    Args:
        stream: where they come from.
        message: the one before them.
        count: results that there must be.
        most: bytes that all their arrays may take.

    Raises:
        EOFError: the other process is gone.
        Malformed: these are no such results.
    """
    try:
        told = message["results"]
        sizes = [_num_bytes(each) for each in told if "error" not in each]
        if len(told) != count or min(sizes, default=0) < 0 or sum(sizes) > most:
            raise Malformed(f"{len(told)} results, {sum(sizes)} bytes")
        return [ErrorRow(*each["error"]) if "error" in each else _made(stream, each) for each in told]
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(str(error)) from error


def _num_bytes(message: dict[str, Any]) -> int:
    row, dtype = _KINDS[message["kind"]]
    return int(message["rows"]) * math.prod(row) * np.dtype(dtype).itemsize


def _made(stream: BinaryIO, message: dict[str, Any]) -> Featurised | Sampled:
    row, dtype = _KINDS[message["kind"]]
    array = np.empty((int(message["rows"]), *row), dtype)
    if array.size and stream.readinto(array.reshape(-1).view(np.uint8).data) < array.nbytes:  # type: ignore[attr-defined]
        raise EOFError
    facts = dict(zip(_FACTS, message["facts"], strict=True))
    return (Featurised if row else Sampled)(array, Facts(**facts | {"warnings": tuple(facts["warnings"])}))
