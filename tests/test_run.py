"""Whole runs: what goes in, what stands in the table, and what a second run does."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from rich.console import Console

from pipeline import alone, cli, config
from pipeline.errors import StorageFault, UserError
from pipeline.models import checkpoint as checkpoints
from pipeline.run import run
from pipeline.stopping import Stopped
from pipeline.summary import RunSummary
from pipeline.table import lease, read_table
from pipeline.table.lease import Lease, held
from pipeline.table.runs import runs
from pipeline.table.status import format_status, status
from pipeline.table.verify import verify
from pipeline.versions import PACKAGES
from tests.isolation.test_lengths import hostile
from tests.isolation.test_process import POISON
from tests.jobs.corpora import MODEL, clips, encoded, newest_run, transcribed, write_tar

# Ray copies its own settings and warns about some of them.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")

FORMATS = {
    "a.wav": ("WAV", "PCM_16"),
    "b.flac": ("FLAC", None),
    "c.mp3": ("MP3", None),
    "d.ogg": ("OGG", "VORBIS"),
    "e.opus": ("OGG", "OPUS"),
    "f.aiff": ("AIFF", "PCM_16"),
    "sub dir/ünï #1%.wav": ("WAV", "PCM_24"),
}


@dataclass(frozen=True)
class Mixed:
    """A run over a folder of many formats and a manifest."""

    folder: Path
    output: Path
    summary: RunSummary
    rows: pd.DataFrame


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Mixed:
    base = tmp_path_factory.mktemp("mixed")
    folder, output = base / "audio", base / "out"
    (folder / "sub dir").mkdir(parents=True)
    for clip, (name, (format, subtype)) in zip(clips(), FORMATS.items(), strict=False):
        (folder / name).write_bytes(encoded(clip.samples, format, subtype, clip.rate))
    (folder / "a.txt").write_text(clips()[0].text + "\n")
    (folder / "b.json").write_text(json.dumps({"speaker": "cleo", "year": 2021, "note": ["x", None]}))
    stereo = np.stack([clips()[7].resampled(44_100)] * 2, axis=1)
    write_tar(
        folder / "shards/one.tar",
        {
            "x/p.1.flac": encoded(clips()[8].samples, rate=clips()[8].rate),
            "x/p.txt": clips()[8].text.encode(),
            "x/p.json": b'{"speaker": "dev", "year": 1999}',
            "q.wav": encoded(stereo, "WAV", rate=44_100),
        },
    )
    long = np.concatenate([clips()[0].samples, clips()[1].samples])
    (base / "elsewhere").mkdir()
    (base / "elsewhere/two.flac").write_bytes(encoded(long))
    cut = len(clips()[0].samples) / 16_000
    lines = [
        {"audio_filepath": "two.flac", "offset": 0, "duration": cut, "text": clips()[0].text, "speaker": "m"},
        {"path": "two.flac", "offset": cut, "id": "second", "year": 7},
    ]
    manifest = base / "elsewhere/lines.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = transcribed([folder, manifest], output, columns="speaker:string,year:int32", model_actors=1)
    return Mixed(folder, output, summary, read_table(str(output)).to_pandas().set_index("id"))


def test_every_recording_of_every_kind_of_source_is_one_row(mixed):
    named = {f"c/{name}" for name in FORMATS}
    tar = {"c/shards/one.tar::x/p.1.flac", "c/shards/one.tar::q.wav"}
    assert set(mixed.rows.index) == named | tar | {"c/two.flac@0-3.041375", "second"}
    assert not mixed.rows.index.duplicated().any()
    assert mixed.rows.error.isna().all()
    assert mixed.summary.exit_code == 0
    assert (mixed.summary.rows, mixed.summary.planned_recordings) == (11, 11)


def test_every_format_says_what_was_spoken(mixed):
    spoken = {f"c/{name}": clip.text for name, clip in zip(FORMATS, clips(), strict=False)}
    spoken |= {"c/shards/one.tar::x/p.1.flac": clips()[8].text, "c/shards/one.tar::q.wav": clips()[7].text}
    heard = mixed.rows.text
    lossless = [id for id in spoken if not id.endswith(("mp3", "ogg", "opus"))]
    assert {id: heard[id] for id in lossless} == {id: spoken[id] for id in lossless}
    assert all(heard[id] for id in spoken)


def test_labels_that_came_along_stand_in_their_columns(mixed):
    rows = mixed.rows
    assert rows.reference["c/a.wav"] == clips()[0].text
    assert rows.reference["c/shards/one.tar::x/p.1.flac"] == clips()[8].text
    assert rows.reference["c/two.flac@0-3.041375"] == clips()[0].text
    assert pd.isna(rows.reference["c/c.mp3"])
    assert json.loads(rows.metadata["c/b.flac"])["note"] == ["x", None]
    assert (rows.speaker["c/b.flac"], rows.year["c/b.flac"]) == ("cleo", 2021)
    assert (rows.speaker["c/shards/one.tar::x/p.1.flac"], rows.year["c/shards/one.tar::x/p.1.flac"]) == ("dev", 1999)
    assert (rows.speaker["c/two.flac@0-3.041375"], rows.year["second"]) == ("m", 7)
    assert pd.isna(rows.speaker["c/c.mp3"])


def test_rows_say_where_they_come_from_and_how_long_they_are(mixed):
    rows = mixed.rows
    assert rows.key["c/sub dir/ünï #1%.wav"] == "sub dir/ünï #1%"
    assert rows.key["c/shards/one.tar::x/p.1.flac"] == "x/p"
    assert rows.source["c/sub dir/ünï #1%.wav"] == f"file://{mixed.folder}/sub dir/ünï #1%.wav"
    assert rows.duration["c/a.wav"] == len(clips()[0].samples) / 16_000
    assert rows.start["second"] == pytest.approx(len(clips()[0].samples) / 16_000, abs=1e-9)
    assert (rows.channels["c/shards/one.tar::q.wav"], rows.sample_rate["c/shards/one.tar::q.wav"]) == (2, 44_100)
    assert rows.unit["second"] == rows.unit["c/two.flac@0-3.041375"]


def test_a_finished_run_is_claimed_and_written_down(mixed):
    claim = json.loads((mixed.output / "_SUCCESS").read_text())
    assert claim == {"generation": 1, "tasks": ["transcribe"]}
    record = newest_run(mixed.output)
    assert (record["exit_code"], record["meaning"]) == (0, "complete")
    assert record["model"] == {"name": "digits-ctc", "hash": checkpoints.fingerprint(MODEL)}
    assert (record["rows"], record["new_recordings"], record["pending_units"]) == (11, 11, 0)
    assert record["config"]["columns"] == "speaker:string,year:int32"
    assert set(record["versions"]) == {"voxmill", "python", *PACKAGES}
    assert {"read", "features", "model", "commit"} <= set(record["stage_seconds"])
    assert record["sources"] == [str(mixed.folder), str(mixed.folder.parent / "elsewhere/lines.jsonl")]
    assert record["started"] < record["finished"]


def test_a_finished_table_is_verified(mixed):
    verdict = verify(str(mixed.output))
    assert verdict.complete
    assert verdict.violations == ()


def files(output: Path) -> dict[str, int]:
    """Committed files with their modification times."""
    return {file.name: file.stat().st_mtime_ns for file in (output / "transcribe").glob("*.parquet")}


@pytest.fixture
def one(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Folder with one short recording, and an output where it is done."""
    folder, output = tmp_path / "audio", tmp_path / "out"
    folder.mkdir()
    (folder / "a.wav").write_bytes(encoded(clips()[0].samples, "WAV"))
    assert transcribed([folder], output).exit_code == 0
    return folder, output


def test_a_second_run_does_nothing(one):
    folder, output = one
    before = files(output)
    again = transcribed([folder], output)
    assert (again.exit_code, again.units, again.rows, again.new_recordings) == (0, 0, 0, 0)
    assert files(output) == before
    assert sorted(path.name for path in (output / "_plan").iterdir()) == ["000001.parquet"]
    assert len(runs(str(output))) == 2


def test_errors_of_earlier_runs_count(one):
    folder, output = one
    (folder / "b.wav").write_bytes(b"no audio")
    assert transcribed([folder], output).exit_code == 3
    again = transcribed([folder], output)
    assert (again.exit_code, again.rows, again.table_rows, again.table_errors) == (3, 0, 2, 1)
    assert transcribed([folder], output, max_errors=0.5).exit_code == 0


@pytest.mark.parametrize("place", ["source", "output"])
def test_credentials_in_a_uri_are_refused_and_not_repeated(tmp_path, place):
    secret = "s3://AKIAEXAMPLE:wJalrSecret@archive/2026"
    source, output = (secret, str(tmp_path / "out")) if place == "source" else (str(tmp_path), secret)
    with pytest.raises(UserError, match="credentials do not belong into a URI") as refusal:
        run([source], output, config.make({"model": MODEL}))
    assert "wJalrSecret" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["source", "output", "corpus"])
def test_what_no_record_could_hold_is_refused_at_the_start(tmp_path, place):
    words = {"source": str(tmp_path), "output": str(tmp_path / "out"), "corpus": "c"}
    words[place] += "/caf\udce9"
    with pytest.raises(UserError, match=r"/caf\\xe9: this is not UTF-8"):
        run([words["source"]], words["output"], config.make({"model": MODEL, "corpus": words["corpus"]}))
    assert not (tmp_path / "out").exists()


def test_a_damaged_unit_file_is_named_and_done_again_once_it_is_gone(one):
    folder, output = one
    (file,) = (output / "transcribe").glob("*.parquet")
    (output / "_SUCCESS").unlink()
    file.write_bytes(b"junk" * 100)
    summary = transcribed([folder], output)
    assert (summary.exit_code, summary.damaged) == (4, (f"file://{file}",))
    assert f"{file.name} is damaged; delete it and run again" in summary.stopped
    assert not (output / "_SUCCESS").exists()
    file.unlink()
    assert transcribed([folder], output).exit_code == 0
    assert verify(str(output)).complete


def test_another_checkpoint_is_refused_before_anything_is_planned(one):
    folder, output = one
    (folder / "b.wav").write_bytes(encoded(clips()[1].samples, "WAV"))
    with pytest.raises(UserError, match="with other parameters"):
        transcribed([folder], output, window="8s")
    assert [file.name for file in (output / "_plan").iterdir()] == ["000001.parquet"]


def test_a_table_whose_plan_is_gone_is_not_planned_anew(one):
    folder, output = one
    (output / "_plan").rename(output.parent / "elsewhere")
    with pytest.raises(UserError, match="_plan: the plan is gone, and transcribe has 1 unit of it"):
        transcribed([folder], output)
    assert not (output / "_plan").exists()


def test_a_file_that_is_damaged_while_a_run_is_at_work_is_told_at_its_end(one, monkeypatch):
    folder, output = one
    (folder / "b.wav").write_bytes(encoded(clips()[1].samples, "WAV"))
    (file,) = (output / "transcribe").glob("*.parquet")

    def spoiled(*args, **options):
        yield from receipts(*args, **options)
        file.write_bytes(b"")

    receipts = alone.receipts
    monkeypatch.setattr(alone, "receipts", spoiled)
    summary = transcribed([folder], output)
    assert summary.exit_code == 4
    assert file.name in summary.stopped
    assert newest_run(output)["exit_code"] == 4


def test_a_manifest_says_that_a_run_is_at_work(one, monkeypatch):
    folder, output = one
    (folder / "b.wav").write_bytes(encoded(clips()[1].samples, "WAV"))
    seen = []

    def looked_on(*args, **options):
        seen.append(newest_run(output))
        yield from receipts(*args, **options)

    receipts = alone.receipts
    monkeypatch.setattr(alone, "receipts", looked_on)
    transcribed([folder], output)
    (record,) = seen
    assert (record["state"], record["sources"]) == ("running", [str(folder)])
    assert "exit_code" not in record
    assert newest_run(output)["run"] == record["run"]
    assert newest_run(output)["state"] == "ended"


def test_labels_are_declared_only_when_there_is_a_device_for_them(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(clips()[0].samples, "WAV"))
    with pytest.raises(UserError, match="--device cuda"):
        transcribed([tmp_path / "a.wav"], tmp_path / "out", device="cuda")
    assert not (tmp_path / "out/transcribe").exists()
    assert transcribed([tmp_path / "a.wav"], tmp_path / "out").exit_code == 0


def test_new_columns_are_told_to_be_empty_in_rows_that_are_there(one):
    folder, output = one
    screen = io.StringIO()
    options = config.make({"model": MODEL, "columns": "speaker:string", "corpus": "c"})
    run([str(folder)], str(output), options, console=Console(file=screen, width=200))
    assert (
        "speaker: new in this table, so empty in rows that are there; --name NAME makes them anew" in screen.getvalue()
    )


def test_a_new_file_is_the_only_one_done(one):
    folder, output = one
    before = files(output)
    (folder / "b.wav").write_bytes(encoded(clips()[1].samples, "WAV"))
    summary = transcribed([folder], output)
    assert (summary.rows, summary.new_recordings, summary.planned_recordings) == (1, 1, 2)
    assert before.items() < files(output).items()
    texts = read_table(str(output)).to_pandas().set_index("id").text
    assert texts.to_dict() == {"c/a.wav": clips()[0].text, "c/b.wav": clips()[1].text}
    assert json.loads((output / "_SUCCESS").read_text())["generation"] == 2


def test_a_changed_file_gets_one_new_row_which_readers_see(one):
    folder, output = one
    before = files(output)
    (folder / "a.wav").write_bytes(encoded(clips()[2].samples, "WAV"))
    summary = transcribed([folder], output)
    assert (summary.rows, summary.new_recordings) == (1, 1)
    assert before.items() < files(output).items()
    rows = read_table(str(output)).to_pandas()
    assert rows.text.tolist() == [clips()[2].text]
    assert len(pd.concat([pd.read_parquet(file) for file in (output / "transcribe").glob("*.parquet")])) == 2
    assert verify(str(output)).complete


def test_a_line_whose_stretch_has_changed_is_heard_again(tmp_path):
    said = clips()[0]
    soundfile.write(tmp_path / "a.wav", np.concatenate([said.samples, clips()[2].resampled(said.rate)]), said.rate)
    length, manifest, output = len(said.samples) / said.rate, tmp_path / "lines.jsonl", tmp_path / "out"
    for offset, clip in ((0.0, clips()[0]), (length, clips()[2])):
        line = {"path": "a.wav", "id": "own", "offset": offset, "duration": len(clip.samples) / clip.rate}
        manifest.write_text(json.dumps(line))
        assert transcribed([manifest], output).rows == 1
        rows = read_table(str(output)).to_pandas()
        assert (rows.start.tolist(), rows.text.tolist()) == ([pytest.approx(offset, abs=1e-3)], [clip.text])
    assert verify(str(output)).complete


def test_what_is_pending_of_a_corpus_that_has_moved_is_read_where_it_lies(one):
    folder, output = one
    moved = folder.rename(folder.with_name("moved"))
    # Another recording is where the first one was: only the new place may be asked.
    folder.mkdir()
    (folder / "a.wav").write_bytes(encoded(clips()[2].samples, "WAV"))
    summary = transcribed([moved], output, name="beside")
    assert (summary.exit_code, summary.table_errors, summary.new_recordings) == (0, 0, 0)
    rows = read_table(str(output), task="beside").to_pandas()
    assert (rows.text.tolist(), rows.source.tolist()) == ([clips()[0].text], [f"file://{moved}/a.wav"])
    assert verify(str(output)).complete


@pytest.mark.slow
def test_rows_that_newer_ones_replace_are_no_errors_of_another_name(one):
    folder, output = one
    (folder / "a.wav").write_bytes(encoded(clips()[2].samples, "WAV"))
    assert transcribed([folder], output).table_rows == 1
    beside = transcribed([folder], output, name="transcribe-v2")
    assert (beside.exit_code, beside.table_rows, beside.table_errors) == (0, 1, 0)
    assert (beside.rows, beside.errors, beside.superseded) == (2, {}, 1)
    assert read_table(str(output), task="transcribe-v2").to_pandas().text.tolist() == [clips()[2].text]


def test_a_file_that_went_away_keeps_its_row(one):
    folder, output = one
    (folder / "b.wav").write_bytes(encoded(clips()[1].samples, "WAV"))
    (folder / "a.wav").unlink()
    assert transcribed([folder], output).exit_code == 0
    assert set(read_table(str(output)).to_pandas().id) == {"c/a.wav", "c/b.wav"}


def test_another_checkpoint_is_refused_and_goes_beside(one, tmp_path):
    folder, output = one
    other = tmp_path / "other"
    shutil.copytree(MODEL, other)
    settings = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(settings | {"voxmill_test": 1}))
    before = files(output)
    with pytest.raises(UserError, match=r"written by another model \(digits-ctc .*Use --name transcribe-v2 to put"):
        transcribed([folder], output, model=str(other))
    assert files(output) == before
    beside = transcribed([folder], output, model=str(other), name="transcribe-v2")
    assert (beside.exit_code, beside.rows) == (0, 1)
    assert files(output) == before
    assert json.loads((output / "_SUCCESS").read_text())["tasks"] == ["transcribe", "transcribe-v2"]
    new = read_table(str(output), task="transcribe-v2").to_pandas()
    assert new.model[0]["hash"] != read_table(str(output)).to_pandas().model[0]["hash"]
    assert verify(str(output)).complete


def test_other_parameters_that_change_labels_are_refused_by_name(one):
    folder, output = one
    with pytest.raises(UserError, match=r"with other parameters \(window 10s, now 8s\).*--name transcribe-v2"):
        transcribed([folder], output, window="8s")


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(tmp_path):
    folder, output = tmp_path / "audio", tmp_path / "out"
    folder.mkdir()
    (folder / "a.wav").write_bytes(encoded(clips()[0].samples, "WAV"))
    summary = transcribed([folder], output, dry_run=True)
    assert (summary.exit_code, summary.new_recordings, summary.rows) == (0, 1, 0)
    assert not output.exists()


def test_audio_that_ends_its_decoder_does_not_end_the_planning(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(POISON))
    hostile(tmp_path / "audio.mp3", f"once:{tmp_path / 'met'}")
    assert transcribed([tmp_path / "audio.mp3"], tmp_path / "out", dry_run=True).new_recordings == 1
    assert (tmp_path / "met").exists(), "nobody measured it"


def test_a_dry_run_over_a_table_leaves_it_alone(one):
    folder, output = one
    (folder / "b.wav").write_bytes(encoded(clips()[1].samples, "WAV"))
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    assert transcribed([folder], output, dry_run=True).new_recordings == 1
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


def test_a_run_is_told_of_another_one_and_refused_if_asked(one):
    folder, output = one
    other = Lease("20200101T000000.000-beef", "elsewhere", 7, "2020-01-01T00:00:00+00:00", beats=3)
    with held(str(output), other):
        screen = io.StringIO()
        options = {"model": MODEL, "corpus": "c"}
        told = rf"out: run {other.run} is at work, since 2020-01-01T00:00:00\+00:00, as process 7 on elsewhere"
        summary = run([str(folder)], str(output), config.make(options), console=Console(file=screen, width=300))
        assert summary.exit_code == 0
        assert re.search(told, screen.getvalue())
        with pytest.raises(UserError, match=f"{told}, and --overlap refuse"):
            run([str(folder)], str(output), config.make(options | {"overlap": "refuse"}))
    assert not list((output / "_leases").iterdir())
    assert run([str(folder)], str(output), config.make(options | {"overlap": "refuse"})).exit_code == 0


def test_a_run_that_cannot_see_others_says_so_and_ends_with_code_4_if_it_must_not_overlap(one, monkeypatch, capsys):
    def refused(*given):
        raise StorageFault("out/_leases: 503")

    monkeypatch.setattr(lease, "list_names", refused)
    words = ["transcribe", *map(str, one), "--model", MODEL, "--corpus", "c"]
    told = "whether another run is at work cannot be told: out/_leases: 503"
    assert cli.main(words) == 0
    assert told in capsys.readouterr().out
    assert cli.main([*words, "--overlap", "refuse"]) == 4
    assert re.search(rf"{told}\. With --overlap refuse no run goes on without", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (StorageFault("Ray did not start on this machine (busy)"), 4, "by a fault: Ray did not start on this machine"),
        (UserError("10.0.0.1:6379: no Ray cluster answers there"), 2, "by an error: 10.0.0.1:6379: no Ray cluster"),
        (Stopped("by SIGTERM"), 4, "by SIGTERM"),
    ],
)
def test_a_run_that_ends_before_its_work_leaves_a_record_that_status_tells(tmp_path, monkeypatch, raised, code, told):
    def opened(*args, **options):
        raise raised

    monkeypatch.setattr("pipeline.engine.session.opened", opened)
    folder, output = tmp_path / "audio", tmp_path / "out"
    folder.mkdir()
    (folder / "a.wav").write_bytes(encoded(clips()[0].samples, "WAV"))
    with pytest.raises(type(raised), match=str(raised)[:9]):
        transcribed([folder], output, num_cpus=1)
    record = newest_run(output)
    assert (record["state"], record["exit_code"]) == ("ended", code)
    assert record["stopped"].startswith(told)
    assert f"exit code {code}\n  stopped {told}" in format_status(status(str(output)))


@pytest.mark.parametrize("name", ["_runs", "_plan", "transcribe"])
def test_a_folder_that_cannot_be_written_is_found_before_anything_is_planned(tmp_path, name):
    folder, output = tmp_path / "audio", tmp_path / "out"
    folder.mkdir()
    output.mkdir()
    (folder / "a.wav").write_bytes(encoded(clips()[0].samples, "WAV"))
    (output / name).write_text("in the way")
    with pytest.raises(UserError, match=rf"out/{name}: a file is where a folder should be.*\. Move it away, or choose"):
        transcribed([folder], output)
    assert [path.name for path in output.iterdir()] == [name]
