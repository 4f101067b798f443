"""One unit as one row and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.audio import Facts
from pipeline.corpus import Recording
from pipeline.engine import rows
from pipeline.errors import ErrorRow
from pipeline.fed import Fed
from pipeline.flow import UnitFeatures, UnitOutputs, UnitSamples
from pipeline.job import Work
from pipeline.plan import UnitRef
from pipeline.receipts import Receipt, Timings
from pipeline.sources import Encoded
from pipeline.stitching import Kept

RECORDINGS = tuple(
    Recording(
        id=name, source="file:///a", key=name, version="1", recording=name, format="wav", seconds=1.5,
        seconds_from="header", size=9, metadata='{"speaker": "ünï"}',
    )
    for name in ("a/ä b#%.wav", "b")
)  # fmt: skip
FACTS = Facts(0.5, 1.0, 8000, 2, ("odd",), 0, 50, 0.5, 1.5)
ERROR = ErrorRow("decode", "empty", "no samples")
WORK = Work(UnitRef("u", 1, 0, 0, 2, 3.0, 18), ("b", "a"))
FED = Fed(120, context=15, padding=5)
TIMINGS = Timings({"read": 1.5}, {"read": 10}, {"read": "host:1"})


def opened(row):
    return rows.open_row(row)


def test_encoded_bytes_survive():
    encoded = Encoded(RECORDINGS, b"\x00\xff\x00", ((0, 3), None), {1: ERROR})
    unit, meta, payload = opened(rows.from_encoded(WORK, encoded, TIMINGS))
    back = rows.to_encoded(meta, payload)
    assert unit == "u"
    assert (back.recordings, bytes(back.payload), back.slices, back.errors) == (
        RECORDINGS, b"\x00\xff\x00", ((0, 3), None), {1: ERROR},
    )  # fmt: skip
    assert rows.timings_of(meta) == TIMINGS
    assert rows.tasks_of(meta) == ("b", "a")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_features_survive_with_their_type(dtype):
    frames = np.arange(320, dtype=dtype).reshape(2, 160)
    _, meta, payload = opened(
        rows.from_features(
            "u", UnitFeatures(RECORDINGS, frames, (2, 0), (FACTS, None), {1: ERROR}), ("b", "a"), TIMINGS
        )
    )
    assert rows.tasks_of(meta) == ("b", "a")
    back = rows.to_features(meta, payload)
    np.testing.assert_array_equal(back.frames, frames)
    assert back.frames.dtype == dtype
    assert (back.lengths, back.facts, back.errors) == ((2, 0), (FACTS, None), {1: ERROR})


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("count", [0, 5])
def test_samples_survive_with_their_type(dtype, count):
    samples = np.arange(count, dtype=dtype)
    heard = UnitSamples(RECORDINGS, samples, (count, 0), (FACTS, None), {1: ERROR})
    _, meta, payload = opened(rows.from_prepared("u", heard, ("b", "a"), TIMINGS))
    back = rows.to_prepared(meta, payload)
    np.testing.assert_array_equal(back.samples, samples)
    assert back.samples.dtype == dtype
    assert (back.counts, back.facts, back.errors) == ((count, 0), (FACTS, None), {1: ERROR})
    assert (rows.tasks_of(meta), rows.timings_of(meta)) == (("b", "a"), TIMINGS)


def test_what_cpus_gave_is_told_apart():
    frames = np.ones((2, 160), np.float32)
    heard = UnitFeatures(RECORDINGS, frames, (2, 0), (FACTS, None), {1: ERROR})
    _, meta, payload = opened(rows.from_prepared("u", heard, (), TIMINGS))
    assert isinstance(rows.to_prepared(meta, payload), UnitFeatures)


def test_a_unit_without_a_frame_survives():
    none = np.empty((0, 160), np.float32)
    _, meta, payload = opened(rows.from_features("u", UnitFeatures((), none, (), (), {}), (), TIMINGS))
    assert rows.to_features(meta, payload).frames.shape == (0, 160)


def kept(*columns, counts=(2, 0), pieces=(), speech=(0, 0)):
    return Kept(counts, columns, np.array(pieces, np.int32).reshape(-1, 3), speech)


def test_outputs_survive():
    half = np.arange(6, dtype=np.float16).reshape(2, 3)
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    tasks = {
        "words": kept(np.array([1, 2], np.int32), np.array([-0.5, 0.0], np.float32)),
        "labels": kept(half),
        "vectors": kept(vectors, counts=(3, 0), pieces=[(0, 9, 7), (9, 12, 3), (40, 41, 0)], speech=(12, 0)),
        "nothing": kept(np.empty((0, 4), np.float32), counts=(0, 0)),
        "no recording": Kept((), (), np.empty((0, 3), np.int32), ()),
    }
    outputs = UnitOutputs(RECORDINGS, (2, 0), (FACTS, None), {1: ERROR}, tasks, {"more": "out of memory"}, FED)
    unit, meta, payload = opened(rows.from_outputs("u", outputs, ("words", "more"), TIMINGS))
    back = rows.to_outputs(meta, payload)
    assert (unit, rows.tasks_of(meta), rows.timings_of(meta)) == ("u", ("words", "more"), TIMINGS)
    assert (back.recordings, back.lengths, back.facts, back.errors) == (RECORDINGS, (2, 0), (FACTS, None), {1: ERROR})
    assert list(back.kept) == list(tasks)
    for name, wanted in tasks.items():
        got = back.kept[name]
        assert (got.counts, got.speech) == (wanted.counts, wanted.speech)
        for ours, theirs in zip((got.pieces, *got.columns), (wanted.pieces, *wanted.columns), strict=True):
            np.testing.assert_array_equal(ours, theirs)
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert (back.faults, back.fed) == ({"more": "out of memory"}, FED)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_frames_and_what_was_said_of_them_survive_together(dtype, count):
    frames = np.arange(7 * count, dtype=dtype).reshape(count, 7)
    features = UnitFeatures(RECORDINGS, frames, (count, 0), (FACTS, None), {1: ERROR})
    labels = kept(np.arange(2 * count, dtype=np.float16).reshape(count, 2), counts=(count, 0))
    outputs = UnitOutputs(RECORDINGS, (count, 0), (FACTS, None), {1: ERROR}, {"labels": labels}, {"more": "503"}, FED)
    unit, meta, payload = opened(rows.from_both("u", features, outputs, ("labels", "more"), TIMINGS))
    assert (unit, rows.tasks_of(meta), rows.timings_of(meta)) == ("u", ("labels", "more"), TIMINGS)
    back, said = rows.to_features(meta, payload), rows.to_outputs(meta, payload)
    np.testing.assert_array_equal(back.frames, frames)
    assert (back.frames.dtype, back.frames.shape) == (dtype, (count, 7))
    assert (back.lengths, back.facts, back.errors) == ((count, 0), (FACTS, None), {1: ERROR})
    np.testing.assert_array_equal(said.kept["labels"].columns[0], labels.columns[0])
    assert (said.kept["labels"].counts, said.faults, said.fed) == ((count, 0), {"more": "503"}, FED)


def test_receipts_survive():
    receipts = [
        Receipt("u", "committed", task="a", rows=2, errors={"decode.empty": 1}, fed=FED, timings=TIMINGS),
        Receipt("u", "fault", task="b", fault="b: 503", fault_trace="Traceback ..."),
    ]
    row = rows.from_receipts("u", receipts)
    assert opened(row)[0] == "u"
    assert rows.to_receipts(row) == receipts
    assert rows.to_receipts(rows.from_receipts("u", [])) == []


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
