"""Cut what is too long for one row into spans; each becomes a recording of its own, read by seeking."""

from __future__ import annotations

import dataclasses
import math

from pipeline.corpus import LEAST_BYTES_PER_SECOND, WHOLE_BYTES, WHOLE_SECONDS, Recording, Seconds
from pipeline.plan.ids import span_id

SPAN_SECONDS: Seconds = 3600.0
"""Longest span: a day becomes 24 rows, and the context read on both sides is below 1 % of it."""


def cut(recording: Recording) -> tuple[Recording, ...]:
    """Spans of a recording that is longer than 4 h or larger than 1 GB, or the recording itself.

    All spans but the last have the same length, a whole number of seconds up to one hour and about 1 GB
    encoded at most; the last is as long or shorter, and ends where the recording does (`end` stays None for a
    whole file). Only what the container says about the length is trusted for cutting, and only where the file is
    large enough for it: else the recording stays one row, not one for each hour of which none may be there. A stretch
    that a manifest line chose out of a large file is cut for its length, never for the size of the file.
    """
    length = _span_length(recording)
    if length is None:
        return (recording,)
    spans = math.ceil(recording.seconds / length)
    return tuple(_span(recording, number, spans, length=length) for number in range(spans))


def whole_id(span: str) -> str:
    """Id of the recording that a span was cut from."""
    return span.rpartition("@")[0]


def _span_length(recording: Recording) -> int | None:
    part_of_file = recording.start > 0 or recording.end is not None
    size = 0 if part_of_file else recording.size
    if recording.seconds <= WHOLE_SECONDS and size <= WHOLE_BYTES:
        return None
    believed = recording.seconds_from == "header" and recording.seconds * LEAST_BYTES_PER_SECOND <= recording.size
    if not believed or recording.streamed or recording.spans > 1:
        return None
    wanted = max(math.ceil(recording.seconds / SPAN_SECONDS), math.ceil(size / WHOLE_BYTES))
    length = math.ceil(recording.seconds / wanted)
    return length if 0 < length < recording.seconds else None


def _span(whole: Recording, number: int, spans: int, *, length: int) -> Recording:
    last = number == spans - 1
    offset = float(number * length)
    seconds = whole.seconds - offset if last else float(length)
    start = whole.start + offset
    return dataclasses.replace(
        whole,
        id=span_id(whole.id, offset, offset + seconds),
        seconds=seconds,
        start=start,
        end=whole.end if last else start + seconds,
        span=number,
        spans=spans,
    )
