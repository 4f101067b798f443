"""All that a table knows about one recording."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline import audio
from pipeline.errors import RecordingError, UserError
from pipeline.featurising import here
from pipeline.plan.forgotten import remember
from pipeline.plan.generations import Scope
from pipeline.plan.store import Bounds, extend_from
from pipeline.table import write_run
from pipeline.table.__main__ import main
from pipeline.table.clip import clip
from pipeline.table.explain import explain
from tests.jobs.corpora import ROOT, clips, encoded, write_tar
from tests.plan.test_values import put
from tests.units import recordings_of


@pytest.fixture
def table(made: Any) -> Any:
    """Table with one unit committed, one pending, one row with an error."""
    made.plan("a.wav", "b.wav", "c.wav", seconds=30.0)
    made.commit(0, broken=["c/b.wav"])
    return made


def test_a_row_tells_its_unit_its_attempt_and_what_became_of_it(table: Any, capsys: Any) -> None:
    (found,) = explain(table.output, "c/a.wav")
    assert found.recording.id == "c/a.wav"
    (labels,) = found.labels
    assert labels.row is not None
    assert (labels.task, labels.row["text"], found.newer, found.faults) == ("transcribe", "one two", None, ())
    assert main(["explain", table.output, "c/a.wav"]) == 0
    screen = capsys.readouterr().out
    assert screen.splitlines()[0] == "c/a.wav"
    assert f"unit {found.unit.name}, 2 recordings, generation 1" in screen
    assert f"committed by attempt {labels.attempt['attempt'][:8]}" in screen
    assert "    text       one two\n" in screen
    assert '"confidence": 0.9}' in screen


def test_an_error_and_a_pending_row_are_told(table: Any, capsys: Any) -> None:
    assert main(["explain", table.output, "c/b.wav"]) == 0
    assert "    error      decode.decode: not audio\n" in capsys.readouterr().out
    assert main(["explain", table.output, "c/c.wav"]) == 0
    assert "  transcribe pending\n" in capsys.readouterr().out


def test_an_empty_file_elsewhere_hides_nothing(table: Any, capsys: Any) -> None:
    table.file(1).touch()
    assert main(["explain", table.output, "c/b.wav"]) == 0
    assert "    error      decode.decode: not audio\n" in capsys.readouterr().out
    assert main(["explain", table.output, "c/c.wav"]) == 0
    assert "  transcribe pending\n" in capsys.readouterr().out


def test_runs_in_which_its_unit_failed_are_told_newest_first_without_secrets(table: Any, capsys: Any) -> None:
    (found,) = explain(table.output, "c/c.wav")
    fault = "s3://key:secret@b/x: SlowDown (503) while writing"
    write_run(table.output, "20261120T1", {"faults": {found.unit.name: fault, "f" * 32: "another unit"}})
    write_run(table.output, "20261121T1", {"faults": {found.unit.name: "no space left"}})
    write_run(table.output, "20261122T1", {"state": "running"})
    Path(table.output.removeprefix("file://"), "_runs/20261123T1.json").write_text("{damaged")
    assert main(["explain", table.output, "c/c.wav"]) == 0
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  failed")]
    assert failed == [
        "  failed     in run 20261121T1: no space left",
        "  failed     in run 20261120T1: s3://***@b/x: SlowDown (503) while writing",
    ]


def test_every_version_of_a_recording_is_told_oldest_first(table: Any) -> None:
    table.plan("b.wav", version="2-2")
    old, new = explain(table.output, "c/b.wav")
    assert (old.newer, new.newer) == (new.unit.name, None)
    assert [each.unit.generation for each in (old, new)] == [1, 2]


@pytest.mark.parametrize(
    ("command", "names"),
    [("explain", ("source", "size", "offset", "start", "seconds")), ("forget", ("id", "source", "recording", "spans"))],
)
def test_a_plan_that_lacks_a_value_is_told_by_its_file(
    command: str, names: tuple[str, ...], table: Any, capsys: Any
) -> None:
    for name in names:
        put(table.output, name, None)
        assert main([command, table.output, "c/b.wav"]) == 2
        assert "000001.parquet: the plan file is damaged (no " in capsys.readouterr().err


def test_an_id_that_is_not_planned_is_answered_with_ids_like_it(table: Any, capsys: Any) -> None:
    with pytest.raises(UserError, match=r"no recording 'B.WAV' is planned. Like it: c/b.wav"):
        explain(table.output, "B.WAV")
    assert main(["explain", table.output, "nobody"]) == 2
    assert "'nobody' is planned. The column `id` of the table has all ids." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("attempts", "told"),
    [({"attempts": {"read": 3, "commit": 1}}, " (attempt 3)"), ({"attempts": {"read": 1}}, ""), ({}, "")],
)
def test_timings_name_worker_and_attempt_of_each_stage(
    table: Any, rows: Any, capsys: Any, attempts: dict[str, Any], told: str
) -> None:
    timings = {"seconds": {"read": 0.25, "wait": 0.5}, "peak_bytes": {}, "workers": {"read": "node7:42"}}
    timings |= attempts
    unit = table.unit(1)
    table.put(unit, rows(unit), timings=json.dumps(timings), run="r1", device="cuda")
    assert main(["explain", table.output, "c/c.wav"]) == 0
    screen = capsys.readouterr().out
    assert "of run r1, cuda\n" in screen
    assert f"    took       read 0.2 s on node7:42{told}, wait 0.5 s\n" in screen


def test_a_footer_that_is_no_text_is_told_as_far_as_it_is(table: Any, capsys: Any) -> None:
    rows = pq.read_table(table.file(0))
    told = {**rows.schema.metadata, b"voxmill.device": b"c\xffu", b"\xff": b"\xff"}
    pq.write_table(rows.replace_schema_metadata(told), table.file(0), write_page_checksum=True)
    assert main(["explain", table.output, "c/a.wav"]) == 0
    assert "of run c\ufffdu\n" in capsys.readouterr().out


def sound(made: Any, tmp_path: Path) -> None:
    """Plan a recording that is there and can be heard."""
    spoken = clips()[0]
    (tmp_path / "one.wav").write_bytes(encoded(spoken.samples, rate=spoken.rate))
    planned(made, tmp_path / "one.wav")


def planned(made: Any, file: Path) -> None:
    """Plan a file as `c/one.wav`."""
    (recording,) = recordings_of(file)
    listed = [(replace(recording, id="c/one.wav", recording="c/one.wav"),)]
    extend_from(lambda known: listed, made.output, scope=Scope("c", ("file:///c",)), bounds=Bounds(60.0))


def test_the_clip_is_what_is_heard_of_the_row(tmp_path: Path) -> None:
    spoken = clips()[0]
    write_tar(tmp_path / "in/a.tar", {"x.txt": b"some", "one.flac": encoded(spoken.samples, rate=spoken.rate)})
    (whole,) = recordings_of(tmp_path / "in")
    heard, rate = soundfile.read(io.BytesIO(clip(whole, here)), dtype="float32")
    wanted = audio.decode(encoded(spoken.samples, rate=spoken.rate)).samples
    assert rate == 16000
    assert abs(heard - wanted).max() < 1e-4
    part = replace(whole, start=0.5, end=1.25)
    assert len(soundfile.read(io.BytesIO(clip(part, here)))[0]) == 12000
    seeking = replace(part, spans=2, span=1)
    assert abs(soundfile.read(io.BytesIO(clip(seeking, here)), dtype="float32")[0] - heard[8000:20000]).max() < 1e-3


def test_what_crashed_its_decoder_is_not_decoded_here(table: Any, rows: Any, tmp_path: Path, capsys: Any) -> None:
    unit = table.unit(1)
    made = rows(unit, broken=["c/c.wav"])
    crashed = [{"stage": "decode", "type": "crashed", "message": "ended the process that decoded it"}]
    place = made.schema.get_field_index("error")
    table.put(unit, made.set_column(place, made.schema.field(place), pa.array(crashed, made.schema.field(place).type)))
    assert main(["explain", table.output, "c/c.wav", "--clip", str(tmp_path / "c.wav")]) == 2
    assert capsys.readouterr().err.endswith("decoding this recording ended the process that decoded it\n")


def test_what_crashes_its_decoder_first_here_is_one_line(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests/isolation/poison"))
    (tmp_path / "one.wav").write_bytes(b"POISON:crash".ljust(3000, b"\0"))
    planned(made, tmp_path / "one.wav")
    assert main(["explain", made.output, "c/one.wav", "--clip", str(tmp_path / "clip.wav")]) == 2
    told = "not written (ended the process that decoded it, 2 times (the last with SIGSEGV))"
    assert capsys.readouterr().err == f"{tmp_path / 'clip.wav'}: {told}\n"


def test_what_is_forgotten_is_not_heard(made: Any, tmp_path: Path, capsys: Any) -> None:
    sound(made, tmp_path)
    remember(made.output, ["c/one.wav"])
    assert main(["explain", made.output, "c/one.wav", "--clip", str(tmp_path / "clip.wav")]) == 2
    assert capsys.readouterr().err.endswith("not written, for this recording is forgotten: nobody may hear it\n")
    assert not (tmp_path / "clip.wav").exists()


def test_a_clip_that_cannot_be_made_says_why(table: Any, tmp_path: Path, capsys: Any) -> None:
    assert main(["explain", table.output, "c/a.wav", "--clip", str(tmp_path / "a.wav")]) == 4
    assert re.search("file:///c/a.wav is no longer there, and .* does not reach file:///c", capsys.readouterr().err)
    assert not (tmp_path / "a.wav").exists()
    (tmp_path / "noise.wav").write_bytes(b"no audio at all")
    (noise,) = recordings_of(tmp_path / "noise.wav")
    with pytest.raises(RecordingError, match="not an audio file"):
        clip(noise, here)
