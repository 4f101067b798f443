"""A job does one unit: from features to a committed file and its receipt."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline import flow
from pipeline.config import RunConfig
from pipeline.corpus import Unit
from pipeline.errors import UserError
from pipeline.job import Checkpoints, Job, TaskJob
from pipeline.models.compiled import CompiledBlock
from pipeline.models.int8 import Int8Linear
from pipeline.models.predict import Predictor
from pipeline.receipts import Receipt, Timings
from pipeline.tasks import Task
from pipeline.tasks.transcribe import Transcribe
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


LABELS = TaskJob(kind="transcribe", name="labels", model_name="digits", model_hash="2f9c" * 16, encoder="e" * 64)


def job_in(output: str, **changes: Any) -> Job:
    settings = flow.Settings.of(window=10, context=1, half=False)
    values = {"run": "20260102T030405-ab12", "tasks": (LABELS,), "device": "cpu", "dtype": "float32"}
    return Job(output=output, settings=settings, **{"config": RunConfig(frame_budget=700), **values, **changes})


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "out").mkdir()
    return job_in(str(tmp_path / "out"))


@pytest.fixture
def folders(checkpoint: Path) -> Checkpoints:
    return {LABELS.model_hash: checkpoint}


@pytest.fixture(scope="module")
def outputs(source: Unit, checkpoint: Path) -> tuple[flow.UnitOutputs, Task]:
    job, folders = job_in("", config=RunConfig()), {LABELS.model_hash: checkpoint}
    tasks = job.load_tasks(folders)
    features = flow.featurise(flow.read(source), job.settings)
    return job.infer(features, ["labels"], job.load_predictors(folders), tasks), tasks["labels"]


def infer(job: Job, source: Unit, folders: Checkpoints, wanted: Sequence[str] = ("labels",)) -> flow.UnitOutputs:
    features = flow.featurise(flow.read(source), job.settings)
    return job.infer(features, wanted, job.load_predictors(folders), job.load_tasks(folders))


def test_a_job_in_eight_bits_hears_the_same(
    source: Unit, folders: Checkpoints, job: Job, outputs: tuple[flow.UnitOutputs, Task]
) -> None:
    whole = replace(job, dtype="int8")
    (predictor,) = whole.load_predictors(folders)
    assert any(isinstance(module, Int8Linear) for module in predictor.models["labels"].modules())
    found = infer(whole, source, folders)
    texts = [
        job.rows(source.name, each, "labels", outputs[1]).column("text").to_pylist() for each in (found, outputs[0])
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 3


def commit(job: Job, source: Unit, outputs: tuple[flow.UnitOutputs, Task]) -> Receipt:
    found, task = outputs
    rows = job.rows(source.name, found, "labels", task)
    return job.commit(source.name, "labels", rows, found, lambda: TIMINGS)


def test_a_unit_becomes_its_file_and_a_receipt(job: Job, source: Unit, outputs: Any) -> None:
    receipt = commit(job, source, outputs)
    file = Path(job.output, "labels", f"{source.name}.parquet")
    table = pq.read_table(file)
    assert table.column("id").to_pylist() == [each.id for each in source.recordings]
    assert [bool(text) for text in table.column("text").to_pylist()] == [True, True, False]
    assert set(table.column("model").to_pylist()[0].values()) == {"digits", LABELS.model_hash}
    assert (receipt.unit, receipt.task) == (source.name, "labels")
    assert (receipt.outcome, receipt.rows, receipt.size) == ("committed", 3, file.stat().st_size)
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


def with_columns(job: Job, columns: str) -> Job:
    return replace(job, config=replace(job.config, columns=columns))


def test_columns_are_taken_from_the_metadata(job: Job, source: Unit, outputs: Any) -> None:
    found, task = outputs
    spoken = tuple(replace(each, metadata='{"speaker": "x"}') for each in found.recordings)
    rows = with_columns(job, "speaker:string").rows(source.name, replace(found, recordings=spoken), "labels", task)
    assert rows.column("speaker").to_pylist() == ["x"] * 3


def test_columns_that_do_not_exist_as_types_are_refused(job: Job, source: Unit, outputs: Any) -> None:
    found, task = outputs
    with pytest.raises(UserError, match="is not name:type"):
        with_columns(job, "speaker:text").rows(source.name, found, "labels", task)


def test_a_job_travels_and_makes_its_model_where_it_arrives(job: Job, folders: Checkpoints) -> None:
    arrived = pickle.loads(pickle.dumps(job))
    assert arrived == job
    (predictor,) = arrived.load_predictors(folders)
    assert isinstance(predictor, Predictor)
    assert predictor.frame_budget == 700
    (task,) = arrived.load_tasks(folders).values()
    assert isinstance(task, Transcribe)
    assert task.tokenizer.word_delimiter == "|"
    assert arrived.task("labels").kind == "transcribe"
    assert arrived.hashes == (LABELS.model_hash,)


def test_tasks_travel(outputs: Any) -> None:
    assert pickle.loads(pickle.dumps(outputs[1])) == outputs[1]


def test_the_windows_are_those_of_the_job(job: Job, source: Unit, folders: Checkpoints) -> None:
    short = replace(job, settings=flow.Settings(window=60, context=20))
    assert infer(job, source, folders).fed.context_share == 0.0
    assert infer(short, source, folders).fed.context_share > 0.3


def twice(job: Job) -> Job:
    """The same labels in two folders, with one encoder."""
    return replace(job, tasks=(LABELS, replace(LABELS, name="others")))


def test_tasks_of_one_encoder_share_a_predictor_and_its_encoder(job: Job, folders: Checkpoints) -> None:
    (predictor,) = twice(job).load_predictors(folders)
    first, second = predictor.models.values()
    assert list(predictor.models) == ["labels", "others"]
    assert first is not second
    assert first.encoder is second.encoder
    apart = replace(job, tasks=(LABELS, replace(LABELS, name="others", encoder="f" * 64)))
    assert [list(each.models) for each in apart.load_predictors(folders)] == [["labels"], ["others"]]


def test_a_unit_is_done_for_the_tasks_that_it_lacks_and_no_others(job: Job, source: Unit, folders: Checkpoints) -> None:
    both = twice(job)
    found = infer(both, source, folders, ["others"])
    assert list(found.kept) == ["others"]
    shown: list[str] = []
    receipts = both.finish(
        source.name,
        found,
        ["others"],
        both.load_tasks(folders),
        lambda: TIMINGS,
        show=lambda name, _: shown.append(name),
    )
    assert [(each.task, each.outcome) for each in receipts] == [("others", "committed")]
    assert shown == ["others"]
    assert sorted(each.name for each in Path(job.output).iterdir()) == ["others"]


def test_each_task_of_a_unit_has_its_file_and_its_receipt(job: Job, source: Unit, folders: Checkpoints) -> None:
    both = twice(job)
    names = ["labels", "others"]
    receipts = both.finish(
        source.name, infer(both, source, folders, names), names, both.load_tasks(folders), lambda: TIMINGS
    )
    assert [(each.task, each.outcome, each.rows) for each in receipts] == [
        ("labels", "committed", 3),
        ("others", "committed", 3),
    ]
    assert [each.audio_seconds > 0 for each in receipts] == [True, False]
    tables = [pq.read_table(Path(job.output, name, f"{source.name}.parquet")) for name in names]
    assert tables[0].column("text") == tables[1].column("text")


def test_a_task_that_fails_holds_up_no_other(
    job: Job, source: Unit, folders: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = replace(job, tasks=tuple(replace(LABELS, name=name) for name in ("labels", "others", "more")))
    names = ["labels", "others", "more"]
    found = infer(both, source, folders, names)
    found = replace(found, kept={"others": found.kept["others"]}, faults={"labels": "cpu: out of memory"})
    receipts = both.finish(source.name, found, names, both.load_tasks(folders), lambda: TIMINGS)
    assert [(each.task, each.outcome, each.fault) for each in receipts] == [
        ("labels", "fault", "labels: cpu: out of memory"),
        ("others", "committed", ""),
        ("more", "fault", "more: KeyError: 'more'"),
    ]
    assert "Traceback" in receipts[0].fault_trace
    assert receipts[1].audio_seconds > 0


def test_blocks_are_compiled_where_that_is_asked_for_and_passes_are_recorded_on_gpus_alone(
    job: Job, folders: Checkpoints
) -> None:
    for asked, compiled in (("never", False), ("blocks", True), ("graphs", True)):
        (predictor,) = replace(job, config=RunConfig(compile=asked)).load_predictors(folders)
        blocks = predictor.models["labels"].encoder.blocks
        assert all(isinstance(block, CompiledBlock) for block in blocks) == compiled
        assert predictor._record is None
