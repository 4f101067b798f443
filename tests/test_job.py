"""A job does one unit: from features to a committed file and its receipt."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline import flow
from pipeline.corpus import Unit
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.models.int8 import Int8Linear
from pipeline.models.predict import Predictor
from pipeline.receipts import Receipt, Timings
from pipeline.tasks import transcribe
from pipeline.text import Tokenizer
from tests.digits import encoded, utterances
from tests.units import recordings_of, unit_of

TIMINGS = Timings({"read": 0.5, "wait": 1.0}, {"read": 1 << 20}, {"read": "host:1"})


@pytest.fixture(scope="module")
def source(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Unit:
    folder = tmp_path_factory.mktemp("source")
    for each in utterances(speech, count=2):
        (folder / f"{each.key}.flac").write_bytes(encoded(each.samples))
    (folder / "zzz.wav").write_text("this is no audio")
    return unit_of(recordings_of(folder))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "out").mkdir()
    return Job(
        run="20260102T030405-ab12", output=str(tmp_path / "out"), task="transcribe", name="labels", model_name="digits",
        model_hash="2f9c" * 16, columns="", device="cpu", dtype="float32", frame_budget=700,
        settings=flow.Settings.of(window=10, context=1, half=False),
    )  # fmt: skip


@pytest.fixture(scope="module")
def outputs(source: Unit, checkpoint: Path) -> tuple[flow.UnitOutputs, Tokenizer]:
    job = Job(
        run="r", output="", task="transcribe", name="labels", model_name="digits", model_hash="", columns="",
        device="cpu", dtype="float32", frame_budget=None, settings=flow.Settings(window=500, context=50),
    )  # fmt: skip
    features = flow.featurise(flow.read(source), job.settings)
    return job.infer(features, job.load_predictor(checkpoint)), job.load_tokenizer(checkpoint)


def test_a_job_in_eight_bits_hears_the_same(
    source: Unit, checkpoint: Path, job: Job, outputs: tuple[flow.UnitOutputs, Tokenizer]
) -> None:
    whole = replace(job, dtype="int8")
    predictor = whole.load_predictor(checkpoint)
    assert any(isinstance(module, Int8Linear) for module in predictor._model.modules())
    found = whole.infer(flow.featurise(flow.read(source), whole.settings), predictor)
    texts = [job.rows(source.name, each, outputs[1]).column("text").to_pylist() for each in (found, outputs[0])]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 3


def commit(job: Job, source: Unit, outputs: tuple[flow.UnitOutputs, Tokenizer]) -> Receipt:
    found, tokenizer = outputs
    return job.commit(source.name, job.rows(source.name, found, tokenizer), found, lambda: TIMINGS)


def test_a_unit_becomes_its_file_and_a_receipt(job: Job, source: Unit, outputs: Any) -> None:
    receipt = commit(job, source, outputs)
    file = Path(job.output, "labels", f"{source.name}.parquet")
    table = pq.read_table(file)
    assert table.column("id").to_pylist() == [each.id for each in source.recordings]
    assert [bool(text) for text in table.column("text").to_pylist()] == [True, True, False]
    assert set(table.column("model").to_pylist()[0].values()) == {"digits", job.model_hash}
    assert (receipt.unit, receipt.outcome, receipt.rows) == (source.name, "committed", 3)
    assert receipt.errors == {"decode.decode": 1}
    assert receipt.audio_seconds == pytest.approx(sum(table.column("duration").to_pylist()[:2]))
    assert receipt.timings == TIMINGS


def test_the_file_says_by_whom_with_what_and_how_fast_it_was_made(job: Job, source: Unit, outputs: Any) -> None:
    commit(job, source, outputs)
    metadata = pq.read_metadata(Path(job.output, "labels", f"{source.name}.parquet")).metadata
    footer = {key.decode(): value.decode() for key, value in metadata.items() if key.startswith(b"voxmill.")}
    assert footer["voxmill.run"] == job.run
    assert (footer["voxmill.device"], footer["voxmill.dtype"]) == ("cpu", "float32")
    assert (footer["voxmill.rows"], footer["voxmill.errors"]) == ("3", "1")
    assert {"voxmill.torch", "voxmill.python", "voxmill.voxmill", "voxmill.attempt"} <= set(footer)
    assert json.loads(footer["voxmill.timings"])["seconds"] == TIMINGS.seconds


def test_a_unit_that_is_committed_already_is_left_as_it_is(job: Job, source: Unit, outputs: Any) -> None:
    commit(job, source, outputs)
    file = Path(job.output, "labels", f"{source.name}.parquet")
    before = file.read_bytes()
    receipt = commit(replace(job, run="another"), source, outputs)
    assert (receipt.outcome, receipt.rows, receipt.errors) == ("taken", 3, {"decode.decode": 1})
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_columns_are_taken_from_the_metadata(job: Job, source: Unit, outputs: Any) -> None:
    found, tokenizer = outputs
    spoken = tuple(replace(each, metadata='{"speaker": "x"}') for each in found.recordings)
    rows = replace(job, columns="speaker:string").rows(source.name, replace(found, recordings=spoken), tokenizer)
    assert rows.column("speaker").to_pylist() == ["x"] * 3


def test_columns_that_do_not_exist_as_types_are_refused(job: Job, source: Unit, outputs: Any) -> None:
    found, tokenizer = outputs
    with pytest.raises(UserError, match="is not name:type"):
        replace(job, columns="speaker:text").rows(source.name, found, tokenizer)


def test_a_job_travels_and_makes_its_model_where_it_arrives(job: Job, checkpoint: Path) -> None:
    arrived = pickle.loads(pickle.dumps(job))
    assert arrived == job
    predictor = arrived.load_predictor(checkpoint)
    assert isinstance(predictor, Predictor)
    assert predictor.frame_budget == 700
    assert arrived.load_tokenizer(checkpoint).word_delimiter == "|"
    assert arrived._task is transcribe


def test_the_windows_are_those_of_the_job(job: Job, source: Unit, checkpoint: Path) -> None:
    features = flow.featurise(flow.read(source), job.settings)
    short = replace(job, settings=flow.Settings(window=60, context=20))
    assert job.infer(features, job.load_predictor(checkpoint)).waste == 0.0
    assert short.infer(features, job.load_predictor(checkpoint)).waste > 0.3
