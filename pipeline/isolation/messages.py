"""What a process that decodes and the one that asks it say to each other: lines of JSON, and frames as they are.

No pickles: a decoder that a hostile file has taken over must not be able to run code where it is asked from.
"""

from __future__ import annotations

import dataclasses
import json
from operator import attrgetter
from typing import Any, BinaryIO

import numpy as np

from pipeline.audio import Facts, Featurised
from pipeline.corpus import Recording
from pipeline.errors import ErrorRow
from pipeline.featurising import AudioFile, Results

_FACTS = tuple(field.name for field in dataclasses.fields(Facts))
_values = attrgetter(*_FACTS)

LONGEST_LINE = 1 << 24
"""Bytes; the facts of 20,000 crops of one file take 6 MB."""


def write(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Send a message."""
    stream.write(json.dumps(message).encode() + b"\n")


def read(stream: BinaryIO) -> dict[str, Any]:
    """Receive a message.

    Raises:
        EOFError: the other process is gone.
    """
    line = stream.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise EOFError
    message: dict[str, Any] = json.loads(line)
    return message


def from_file(file: AudioFile) -> dict[str, Any]:
    """Message that asks for a file's features."""
    message = {"crops": file.crops, "place": file.place, "context": file.context, "dtype": file.dtype}
    if file.place is None and file.first is not None:
        message["first"] = dataclasses.astuple(file.first)
    return message


def to_file(message: dict[str, Any]) -> AudioFile:
    """Inverse of `from_file`, but that what lies in the unit's bytes has lost its name."""
    first = Recording(*message["first"]) if "first" in message else None
    crops, place = tuple((start, end) for start, end in message["crops"]), message["place"]
    return AudioFile(first, crops, place and (place[0], place[1]), message["context"], message["dtype"])


def write_results(stream: BinaryIO, results: Results) -> None:
    """Send the results of a file."""
    told = [
        {"error": dataclasses.astuple(each)}
        if isinstance(each, ErrorRow)
        else {"shape": each.features.shape, "facts": _values(each.facts)}
        for each in results
    ]
    write(stream, {"results": told})
    for each in results:
        if not isinstance(each, ErrorRow):
            stream.write(np.ascontiguousarray(each.features).reshape(-1).view(np.uint8).data)


def read_results(stream: BinaryIO, message: dict[str, Any]) -> Results:
    """Receive the frames of results whose message has come.

    Raises:
        EOFError: the other process is gone.
    """
    return [
        ErrorRow(*each["error"]) if "error" in each else Featurised(_frames(stream, *each["shape"]), _facts(each))
        for each in message["results"]
    ]


def _frames(stream: BinaryIO, num_frames: int, width: int) -> np.ndarray:
    frames = np.empty((num_frames, width), np.float32)
    if frames.size and stream.readinto(frames.reshape(-1).view(np.uint8).data) < frames.nbytes:  # type: ignore[attr-defined]
        raise EOFError
    return frames


def _facts(message: dict[str, Any]) -> Facts:
    facts = dict(zip(_FACTS, message["facts"], strict=True))
    return Facts(**facts | {"warnings": tuple(facts["warnings"])})
