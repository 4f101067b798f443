"""Spans cover a recording once, on whole seconds, and only where its length is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpus import WHOLE_BYTES, WHOLE_SECONDS, Recording
from pipeline.plan.spans import LEAST_BYTES_PER_SECOND, SPAN_SECONDS, cut


def recording(**changes: object) -> Recording:
    fields: dict[str, object] = {
        "id": "c/day.wav", "source": "file:///c/day.wav", "key": "day", "version": "1-2",
        "recording": "c/day.wav", "format": "wav", "seconds": 10.0, "seconds_from": "header", "size": 10**8,
    }  # fmt: skip
    return Recording(**{**fields, **changes})  # type: ignore[arg-type]


@given(seconds=st.floats(0, 400_000), size=st.integers(0, 5 * 10**9))
def test_spans_cover_the_recording_once(seconds: float, size: int) -> None:
    whole = recording(seconds=seconds, size=size)
    spans = cut(whole)
    if seconds <= WHOLE_SECONDS and size <= WHOLE_BYTES:
        assert spans == (whole,)
        return
    if len(spans) == 1:
        assert spans == (whole,)
        assert seconds <= SPAN_SECONDS or size < seconds * LEAST_BYTES_PER_SECOND
        return
    assert [each.span for each in spans] == list(range(len(spans)))
    assert {each.spans for each in spans} == {len(spans)}
    assert spans[0].start == 0
    assert spans[-1].end is None
    for here, following in zip(spans, spans[1:], strict=False):
        assert here.end == following.start == int(following.start)
        assert here.seconds == here.end - here.start
    assert all(0 < each.seconds <= SPAN_SECONDS for each in spans)
    assert sum(each.seconds for each in spans) == pytest.approx(seconds)
    assert len({each.id for each in spans}) == len(spans)
    assert {each.recording for each in spans} == {whole.id}


def test_a_day_is_24_hours() -> None:
    spans = cut(recording(seconds=86_400.0))
    assert [each.id for each in spans[:2]] == ["c/day.wav@0-3600", "c/day.wav@3600-7200"]
    assert len(spans) == 24
    assert spans[-1].id == "c/day.wav@82800-86400"


def test_the_id_of_the_last_span_rounds_its_end_up() -> None:
    assert cut(recording(seconds=14_400.5))[-1].id == "c/day.wav@11524-14401"


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds_from": "estimate"},
        {"seconds_from": "bitrate"},
        {"streamed": True},
        {"size": 8_000_000},
    ],
)
def test_what_cannot_be_trusted_or_sought_stays_whole(changes: dict[str, object]) -> None:
    whole = recording(seconds=90_000.0, **changes)
    assert cut(whole) == (whole,)


def test_a_short_line_of_a_large_file_stays_whole() -> None:
    line = recording(id="c/day.wav@5-9", start=5.0, end=9.0, seconds=4.0, size=3 * 10**9)
    assert cut(line) == (line,)


def test_the_rest_of_a_large_file_is_not_cut_for_the_size_of_the_whole() -> None:
    line = recording(id="c/day.wav@80000-", start=80_000.0, end=None, seconds=6_400.0, size=3 * 10**9)
    assert cut(line) == (line,)


def test_a_long_line_is_cut_inside_its_bounds() -> None:
    line = recording(id="line", start=0.5, end=20_000.5, seconds=20_000.0)
    spans = cut(line)
    assert spans[0].start == 0.5
    assert spans[-1].end == 20_000.5
    assert spans[0].id == "line@0-3334"
    assert spans[1].start == spans[0].end == 3334.5
