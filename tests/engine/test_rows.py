"""One unit as one row and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.audio import Facts
from pipeline.corpus import Recording
from pipeline.engine import rows
from pipeline.errors import ErrorRow
from pipeline.flow import UnitFeatures, UnitOutputs
from pipeline.receipts import Receipt, Timings
from pipeline.sources import Encoded

RECORDINGS = tuple(
    Recording(
        id=name, source="file:///a", key=name, version="1", recording=name, format="wav", seconds=1.5,
        seconds_from="header", size=9, metadata='{"speaker": "ünï"}',
    )
    for name in ("a/ä b#%.wav", "b")
)  # fmt: skip
FACTS = Facts(0.5, 1.0, 8000, 2, ("odd",), 0, 50, 0.5, 1.5)
ERROR = ErrorRow("decode", "empty", "no samples")
TIMINGS = Timings({"read": 1.5}, {"read": 10}, {"read": "host:1"})


def opened(row):
    return rows.open_row(row)


def test_encoded_bytes_survive():
    encoded = Encoded(RECORDINGS, b"\x00\xff\x00", ((0, 3), None), {1: ERROR})
    unit, meta, payload = opened(rows.from_encoded("u", encoded, TIMINGS))
    back = rows.to_encoded(meta, payload)
    assert unit == "u"
    assert (back.recordings, bytes(back.payload), back.slices, back.errors) == (
        RECORDINGS, b"\x00\xff\x00", ((0, 3), None), {1: ERROR},
    )  # fmt: skip
    assert rows.timings_of(meta) == TIMINGS


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_features_survive_with_their_type(dtype):
    frames = np.arange(320, dtype=dtype).reshape(2, 160)
    _, meta, payload = opened(
        rows.from_features("u", UnitFeatures(RECORDINGS, frames, (2, 0), (FACTS, None), {1: ERROR}), TIMINGS)
    )
    back = rows.to_features(meta, payload)
    np.testing.assert_array_equal(back.frames, frames)
    assert back.frames.dtype == dtype
    assert (back.lengths, back.facts, back.errors) == ((2, 0), (FACTS, None), {1: ERROR})


def test_a_unit_without_a_frame_survives():
    none = np.empty((0, 160), np.float32)
    _, meta, payload = opened(rows.from_features("u", UnitFeatures((), none, (), (), {}), TIMINGS))
    assert rows.to_features(meta, payload).frames.shape == (0, 160)


def test_outputs_survive():
    frames = (np.array([1, 2], np.int32), np.array([-0.5, 0.0], np.float32))
    _, meta, payload = opened(
        rows.from_outputs("u", UnitOutputs(RECORDINGS, (2, 0), (FACTS, None), {1: ERROR}, frames, 0.25), TIMINGS)
    )
    back = rows.to_outputs(meta, payload)
    for got, wanted in zip(back.frames, frames, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert back.waste == 0.25


def test_receipts_survive():
    receipt = Receipt("u", "committed", rows=2, errors={"decode.empty": 1}, timings=TIMINGS)
    assert rows.to_receipt(rows.from_receipt(receipt)) == receipt


def test_a_large_payload_is_not_copied():
    payload = np.zeros(1 << 20, np.uint8)
    row = rows.make("u", {}, payload)
    payload[7] = 5
    assert opened(row)[2][7] == 5


def test_opening_a_row_copies_nothing():
    data = np.arange(1 << 20, dtype=np.uint8)
    _, _, payload = opened(rows.make("u", {}, data))
    assert np.frombuffer(payload, np.uint8).ctypes.data == data.ctypes.data


def test_a_row_among_others_opens_as_itself():
    payloads = {"a": b"one", "b": b"", "c": b"three"}
    made = [rows.make(name, {"n": n}, payload) for n, (name, payload) in enumerate(payloads.items())]
    table = pa.concat_tables(made)
    joined = table.combine_chunks()
    for several in (table, joined):
        found = [opened(several.slice(n, 1)) for n in range(3)]
        assert [(unit, meta["n"], bytes(payload)) for unit, meta, payload in found] == [
            ("a", 0, b"one"), ("b", 1, b""), ("c", 2, b"three"),
        ]  # fmt: skip
