"""Labelled recordings from manifests, sidecars and tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.plan import extend, load_unit, units
from pipeline.table import TaskRecord, declare
from pipeline.table.commit import commit
from pipeline.table.schema import planned_columns, schema
from pipeline.training import examples
from tests.training.conftest import Train


def test_labels_come_from_any_field(tones: Path) -> None:
    found = examples.find([str(tones)], "text")
    assert [each.label for each in found.examples][:2] == ["high", "low"]
    assert len(examples.find([str(tones), str(tones.parent / "manifest.jsonl")], "label").examples) == 32
    assert examples.find([str(tones)], "frames").examples[0].label[0]["label"] == "tone"


def test_sidecars_are_labels_too(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes((tones.parent / "00.wav").read_bytes())
    (tmp_path / "a.txt").write_text("two six\n")
    (tmp_path / "a.json").write_text(json.dumps({"speaker": "ann"}))
    assert examples.find([str(tmp_path)], "text").examples[0].label == "two six"
    assert examples.find([str(tmp_path)], "speaker").examples[0].label == "ann"


def test_a_missing_field_is_answered_with_what_there_is(tones: Path) -> None:
    with pytest.raises(UserError, match=r"manifest.jsonl: labels: none of its 16 recordings has the field 'lable'.*"
                                        r"there is .*label.*--label-field"):  # fmt: skip
        examples.find([str(tones)], "lable")


def test_recordings_without_a_label_are_counted(tones: Path, tmp_path: Path) -> None:
    lines = [{"audio_filepath": str(tones.parent / "00.wav"), "label": "x"},
             {"audio_filepath": str(tones.parent / "01.wav")}]  # fmt: skip
    manifest = tmp_path / "some.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    found = examples.find([str(manifest)], "label")
    assert len(found.examples) == 1
    assert found.unlabelled[0].endswith("01.wav")


def test_the_fingerprint_is_of_data_and_labels(tones: Path) -> None:
    found = examples.find([str(tones)], "label").examples
    assert examples.fingerprint(found) == examples.fingerprint(list(found))
    changed = [replace(found[0], label="other"), *found[1:]]
    assert examples.fingerprint(found) != examples.fingerprint(changed)


def test_what_is_held_out_is_held_out_with_all_of_its_key_and_stays_so(tones: Path) -> None:
    found = examples.find([str(tones)], "speaker").examples
    held = examples.held_out(found, share=0.4, by=lambda each: each.label)
    out = {each.label for each, is_out in zip(found, held, strict=True) if is_out}
    assert 0 < len(out) < 4
    assert not out & {each.label for each, is_out in zip(found, held, strict=True) if not is_out}
    assert examples.held_out(found[:8], share=0.4, by=lambda each: each.label) == held[:8]
    assert not any(examples.held_out(found, share=0, by=lambda each: each.label))


def test_as_many_keys_are_held_out_as_validation_needs(tones: Path) -> None:
    found = examples.find([str(tones)], "speaker").examples
    for least in (1, 2):
        held = examples.held_out(found, share=1e-9, by=lambda each: each.label, least=least)
        assert len({each.label for each, is_out in zip(found, held, strict=True) if is_out}) == least
    # Of four speakers three cannot be held out and as many trained on.
    assert not any(examples.held_out(found, share=1e-9, by=lambda each: each.label, least=3))


@pytest.mark.parametrize("count", [1, 2])
def test_of_a_few_not_all_are_held_out_by_chance(tones: Path, count: int) -> None:
    found = examples.find([str(tones)], "speaker").examples[:count]
    for draw in range(50):
        held = examples.held_out(found, share=0.9, by=lambda each, draw=draw: f"{each.recording.id} {draw}")
        assert sum(held) == count - 1
    assert all(examples.held_out(found, share=1.0, by=lambda each: each.recording.id))


def as_table(source: Path, output: Path, task: str, column: pa.Field, values: Sequence[Any]) -> Path:
    """The table of a run over a source; a recording whose value is an exception has ended with an error."""
    output.mkdir(exist_ok=True)
    extend([str(source)], str(output), corpus="c", unit_seconds=5.0)
    form = schema((column,))
    declare(
        str(output), task, TaskRecord(task=task, output_version=1, model_name="m", model_hash="0" * 64, schema=form)
    )
    left = list(values)
    for ref in units(str(output)):
        unit = load_unit(str(output), ref)
        count = len(unit.recordings)
        mine, left = left[:count], left[count:]
        failed = [{"stage": "model", "type": "poison", "message": str(each)} if isinstance(each, Exception) else None
                  for each in mine]  # fmt: skip
        said = [None if isinstance(each, Exception) else each for each in mine]
        arrays = {name: pa.nulls(count, form.field(name).type) for name in form.names}
        arrays |= {**planned_columns(unit.name, unit.recordings), column.name: pa.array(said, column.type)}
        arrays["error"] = pa.array(failed, form.field("error").type)
        rows = pa.table({name: arrays[name] for name in form.names}, schema=form)
        assert commit(str(output), task, unit.name, rows, {}, ids=[each.id for each in unit.recordings])
    assert not left
    return output


TEXT = pa.field("text", pa.string())


def test_a_table_is_a_source_whose_rows_are_labels(tones: Path, tmp_path: Path) -> None:
    said = [f"said {number}" for number in range(16)]
    table = as_table(tones, tmp_path / "out", "transcribe", TEXT, [*said[:14], None, ValueError("killed")])
    assert len(units(str(table))) > 1
    found = examples.find([str(table)], "text")
    # The manifest has a reference where the run heard nothing; of an error nothing is taken.
    assert [each.label for each in found.examples] == [*said[:14], "high"]
    assert [Path(each.recording.source).name for each in found.examples] == [f"{number:02}.wav" for number in range(15)]
    assert found.unlabelled == ["c/15.wav"]
    # What came along with the recordings are labels too.
    assert {each.label for each in examples.find([str(table)], "speaker").examples} == {"s0", "s1", "s2", "s3"}


def test_the_task_of_a_table_need_not_be_named_where_there_is_one(tones: Path, tmp_path: Path) -> None:
    label = pa.field("label", pa.string())
    table = as_table(tones, tmp_path / "out", "classify", label, ["loud"] * 16)
    assert [each.label for each in examples.find([str(table)], "label").examples] == ["loud"] * 16
    with pytest.raises(UserError, match="there is no task transcribe in this output; there are classify"):
        examples.find([str(table)], "label", task_of_table="transcribe")


def test_a_model_is_trained_on_what_a_run_wrote(tones: Path, tmp_path: Path, train: Train) -> None:
    table = as_table(tones, tmp_path / "table", "transcribe", TEXT, ["one", "two"] * 8)
    fitted = train(tmp_path / "out", source=table, task="transcribe", epochs=1, validation_share=0)
    assert (fitted.state, fitted.examples, fitted.unusable) == ("ended", 16, 0)
    assert sorted(json.loads((tmp_path / "out/vocab.json").read_text())) == sorted(["<pad>", "<unk>", "|", *"enotw"])
