"""What a process that decodes and the one that asks it say to each other: JSON with its length before it, and frames.

No pickles: a decoder that a hostile file has taken over must not be able to run code where it is asked from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, BinaryIO

import numpy as np

from pipeline.audio import FEATURE_SIZE, Facts, Featurised
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
    message = {"crops": file.crops, "place": file.place, "context": file.context, "dtype": file.dtype}
    if file.place is None and file.first is not None:
        # What is said about it is not needed to read it, and may be long.
        message["first"] = dataclasses.astuple(dataclasses.replace(file.first, reference=None, metadata=None))
    return message


def decode_files(data: bytes) -> list[AudioFile]:
    """Inverse of `encode_files`, but that what lies in the unit's bytes has lost its name."""
    return [_to_file(message) for message in json.loads(data)]


def _to_file(message: dict[str, Any]) -> AudioFile:
    first = Recording(*message["first"]) if "first" in message else None
    crops, place = tuple((start, end) for start, end in message["crops"]), message["place"]
    return AudioFile(first, crops, place and (place[0], place[1]), message["context"], message["dtype"])


def send_results(stream: BinaryIO, results: Results) -> None:
    """Write the results of a file."""
    told = [
        {"error": dataclasses.astuple(each)}
        if isinstance(each, ErrorRow)
        else {"frames": len(each.features), "facts": _values(each.facts)}
        for each in results
    ]
    send(stream, {"results": told})
    for each in results:
        if not isinstance(each, ErrorRow):
            stream.write(np.ascontiguousarray(each.features).reshape(-1).view(np.uint8).data)


def receive_results(stream: BinaryIO, message: dict[str, Any], *, count: int, most: int) -> Results:
    """Read the frames of results whose message has come.

    Args:
        stream: where they come from.
        message: the one before them.
        count: results that there must be.
        most: bytes that all their frames may take.

    Raises:
        EOFError: the other process is gone.
        Malformed: these are no such results.
    """
    try:
        told = message["results"]
        lengths = [0 if "error" in each else int(each["frames"]) for each in told]
        if len(told) != count or min(lengths, default=0) < 0 or sum(lengths) * FEATURE_SIZE * 4 > most:
            raise Malformed(f"{len(told)} results, {sum(lengths)} frames")
        return [
            ErrorRow(*each["error"]) if "error" in each else Featurised(_frames(stream, length), _facts(each))
            for each, length in zip(told, lengths, strict=True)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(str(error)) from error


def _frames(stream: BinaryIO, length: int) -> np.ndarray:
    frames = np.empty((length, FEATURE_SIZE), np.float32)
    if frames.size and stream.readinto(frames.reshape(-1).view(np.uint8).data) < frames.nbytes:  # type: ignore[attr-defined]
        raise EOFError
    return frames


def _facts(message: dict[str, Any]) -> Facts:
    facts = dict(zip(_FACTS, message["facts"], strict=True))
    return Facts(**facts | {"warnings": tuple(facts["warnings"])})
