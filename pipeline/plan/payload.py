"""How many bytes a recording adds to what its unit reads."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.corpus import Recording


def payloads(group: Sequence[Recording]) -> list[int]:
    """Bytes that each recording of a group adds: lines of one file count it once, a span its share."""
    previous: tuple[str, int, str | None] | None = None
    found = []
    for recording in group:
        place = (recording.source, recording.offset, recording.member)
        if recording.spans > 1:
            found.append(recording.size // recording.spans)
        else:
            found.append(0 if place == previous else recording.size)
        previous = place
    return found
