"""Bad input ends as an error row or as one line that names file, stage and remedy; no neighbour is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline import cli, run
from pipeline.sources import reading
from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.jobs.corpora import MODEL, clips, encoded, newest_run, transcribed, write_tar

# Ray copies its own settings and warns about some of them.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")

FLAC = encoded(clips()[0].samples)
TEXT = clips()[0].text


@pytest.fixture
def job(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the command line; gives the exit code and all that was on the screen."""

    def call(*arguments: Any, model: Path | str = MODEL) -> tuple[int, str]:
        capfd.readouterr()
        given = [*map(str, arguments), "--model", str(model), "--corpus", "c", "--device", "cpu"]
        code = cli.run_job("transcribe", given, prog="transcribe")
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out + err

    return call


def write(folder: Path, **files: bytes) -> Path:
    """A folder of files; `__` in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def claiming(flac: bytes, *, seconds: int) -> bytes:
    """A FLAC at 16 kHz whose header claims so long, with as many bytes more as make that possible."""
    packed = int.from_bytes(flac[18:26], "big")
    header = (packed >> 36 << 36 | seconds * 16_000).to_bytes(8, "big")
    return (flac[:18] + header + flac[26:]).ljust(seconds * 16_000 // 8192 + 1, b"\0")


BAD = {
    "c/a corrupt.flac": ("decode", "nothing decodes"),
    "c/b empty.wav": ("decode", "the file has no bytes"),
    "c/c header only.wav": ("decode", "no samples"),
    "c/d text.wav": ("decode", r"not an audio file that libsndfile knows \(header b'dear listen"),
    "c/e gone.wav": ("read", "e gone.wav is no longer there"),
}
"""Id -> stage, and words of the message."""


@pytest.fixture(scope="module")
def among_neighbours(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> tuple[Any, Path, pd.DataFrame]:
    """A run over bad recordings that share units with good ones."""
    folder = tmp_path_factory.mktemp("bad")
    audio = folder / "audio"
    audio.mkdir()
    for name in ("a good.flac", "c good.flac", "z good.flac"):
        (audio / name).write_bytes(FLAC)
    (audio / "a corrupt.flac").write_bytes(FLAC[:400] + b"\xff\x00" * 4000)
    (audio / "b empty.wav").write_bytes(b"")
    (audio / "c header only.wav").write_bytes(encoded(clips()[0].samples[:0], "WAV"))
    (audio / "d text.wav").write_text("dear listeners, " * 20)
    (audio / "e gone.wav").symlink_to("nowhere.wav")
    (audio / "f cut.flac").write_bytes(FLAC[: len(FLAC) // 2])
    (audio / "loop").symlink_to(audio)
    tar = write_tar(audio / "g.tar", {"one.flac": FLAC, "two.flac": FLAC, "three.flac": FLAC})
    tar.write_bytes(tar.read_bytes()[: 512 + (len(FLAC) + 511) // 512 * 512 + 600 + len(FLAC) // 2])
    write_tar(audio / "h.tar", {"whole.flac": FLAC})
    (audio / "i lies.flac").write_bytes(claiming(FLAC, seconds=500_000))
    summary = transcribed([audio], folder / "out", model_actors=1)
    return summary, folder / "out", read_table(str(folder / "out")).to_pandas().set_index("id")


def test_no_bad_recording_takes_its_neighbours_along(among_neighbours):
    _, _, rows = among_neighbours
    good = ["c/a good.flac", "c/c good.flac", "c/z good.flac", "c/g.tar::one.flac", "c/h.tar::whole.flac"]
    assert rows.loc[good].text.tolist() == [TEXT] * len(good)
    assert set(rows[rows.error.notna()].index) == set(BAD)


@pytest.mark.parametrize("id", BAD)
def test_every_bad_recording_is_a_row_that_says_why(among_neighbours, id):
    row = among_neighbours[2].loc[id]
    stage, words = BAD[id]
    assert row.error["stage"] == stage
    assert pd.Series(row.error["message"]).str.contains(words)[0], row.error["message"]
    assert pd.isna(row.text)
    assert "\n" not in row.error["message"]


def test_what_decodes_of_a_truncated_file_is_kept_with_a_warning(among_neighbours):
    rows = among_neighbours[2]
    for id in ("c/f cut.flac", "c/g.tar::two.flac"):
        assert TEXT.startswith(rows.text[id].split(" ")[0])
        assert list(rows.warnings[id]) == ["truncated: 1.54 s decode of 3.04 s declared (flac decoder lost sync)"]


def test_a_file_that_claims_more_than_any_memory_is_heard_as_far_as_it_goes(among_neighbours):
    rows = among_neighbours[2]
    assert rows.text["c/i lies.flac"] == TEXT
    (warning,) = rows.warnings["c/i lies.flac"]
    assert warning.startswith("truncated: 3.04 s decode of 500000.00 s declared")


def test_what_a_truncated_tar_lost_is_told(among_neighbours):
    summary, output, _ = among_neighbours
    assert len(summary.problems) == 1
    assert "g.tar: the tar ends at byte" in summary.problems[0]
    assert "what comes after is not planned" in summary.problems[0]
    assert newest_run(output)["problems"] == list(summary.problems)


def test_many_errors_are_code_3_with_everything_committed(among_neighbours):
    summary, output, rows = among_neighbours
    assert summary.exit_code == 3
    assert (output / "_SUCCESS").exists()
    assert verify(str(output)).complete
    assert len(rows) == summary.rows == 13
    assert sum(summary.errors.values()) == len(BAD)


def test_one_error_above_the_limit_is_code_3_and_may_be_allowed(tmp_path, job):
    folder = write(tmp_path / "in", text__wav=b"dear listeners" * 9)
    code, screen = job(folder, tmp_path / "out")
    assert code == 3
    assert "decode.decode: 1, such as c/text.wav: not an audio file" in screen
    assert f"next    python -m pipeline.table errors {tmp_path / 'out'}" in screen
    assert "exit    3: complete, with more error rows than --max-errors allows" in screen
    assert verify(str(tmp_path / "out")).complete
    assert job(folder, tmp_path / "zero", "--exit-zero-on-errors")[0] == 0
    assert job(folder, tmp_path / "all", "--max-errors", "100%")[0] == 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing", "{folder}/nothing: no such file or folder"),
        ("empty", "{folder}/empty: no audio found. Sources are audio files (8svx, aif"),
        ("empty/*.wav", "{folder}/empty/*.wav: nothing matches this pattern"),
        ("notes.txt", "{folder}/notes.txt: not a format that is read"),
        ("no.tar", "no audio found (file://{folder}/no.tar: the tar is no tar archive"),
        ("lines.jsonl", "{folder}/lines.jsonl, line 2: not JSON"),
        ("s3://voxmill-no-such-bucket/audio", "s3://voxmill-no-such-bucket"),
    ],
)
def test_a_source_without_audio_is_one_line(tmp_path, job, s3_environment, source, message):
    write(tmp_path, notes__txt=b"hm", no__tar=b"no tar" * 999, lines__jsonl=b'{"path": "a.wav"}\n{not JSON\n')
    (tmp_path / "empty").mkdir()
    code, screen = job(source if "://" in source else tmp_path / source, tmp_path / "out")
    assert code == 2
    assert message.format(folder=tmp_path) in screen
    assert len(screen.splitlines()) == 1
    assert not (tmp_path / "out/_plan").exists()


def test_a_missing_bucket_for_the_output_is_one_line_before_any_work(tmp_path, job, s3_environment):
    folder = write(tmp_path / "in", a__flac=FLAC)
    code, screen = job(folder, "s3://voxmill-no-such-bucket/out")
    assert (code, len(screen.splitlines())) == (2, 1)
    assert "s3://voxmill-no-such-bucket" in screen
    assert "bucket" in screen.replace("voxmill-no-such-bucket", "")


def test_an_output_that_cannot_be_a_folder_is_one_line(tmp_path, job):
    folder = write(tmp_path / "in", a__flac=FLAC)
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file/below"):
        code, screen = job(folder, output)
        assert (code, len(screen.splitlines())) == (2, 1)
        assert f"{output}: a file is where a folder should be" in screen
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_that_is_read_only_is_one_line(tmp_path, job):
    if not Path("/sys/kernel").is_dir():
        pytest.skip("only /sys of Linux refuses even root, whoever runs the tests")
    code, screen = job(write(tmp_path / "in", a__flac=FLAC), "/sys/voxmill")
    assert (code, len(screen.splitlines())) == (2, 1)
    assert "/sys/voxmill: permission denied while writing" in screen


def test_an_output_of_another_configuration_is_one_line_with_the_remedy(tmp_path, job):
    folder = write(tmp_path / "in", a__flac=FLAC)
    assert job(folder, tmp_path / "out")[0] == 0
    code, screen = job(folder, tmp_path / "out", "--window", "8s")
    assert (code, len(screen.splitlines())) == (2, 1)
    assert "was written with other parameters (window 10s, now 8s). Use --name transcribe-v2 to put" in screen


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def another_architecture(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}
    (folder / "config.json").write_text(json.dumps(settings))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors")


def with_another_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"lm_head.weight": torch.zeros(3, 5)}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("config.json"), "no config.json; a checkpoint folder holds config.json"),
        (without("model.safetensors"), "no model.safetensors"),
        (without("vocab.json"), "vocab.json"),
        (another_architecture, "WhisperForConditionalGeneration"),
        (pickled, "pytorch_model.bin is pickled"),
        (without_a_tensor, "lm_head.weight"),
        (with_another_shape, "lm_head.weight"),
    ],
)
def test_a_wrong_model_folder_is_one_line_before_any_work(tmp_path, job, spoil, message):
    shutil.copytree(MODEL, tmp_path / "model")
    spoil(tmp_path / "model")
    code, screen = job(write(tmp_path / "in", a__flac=FLAC), tmp_path / "out", model=tmp_path / "model")
    assert (code, len(screen.splitlines())) == (2, 1)
    assert message in screen
    assert str(tmp_path / "model") in screen
    assert not (tmp_path / "out").exists()


def test_a_model_folder_that_is_not_there_is_one_line(tmp_path, job):
    code, screen = job(write(tmp_path / "in", a__flac=FLAC), tmp_path / "out", model=tmp_path / "none")
    assert (code, len(screen.splitlines())) == (2, 1)
    assert f"{tmp_path / 'none'}: no such folder; a checkpoint is a local folder or a hub id" in screen


@pytest.mark.parametrize(
    ("happens", "reason"),
    [(lambda file: file.unlink(), "missing"), (lambda file: file.write_bytes(FLAC + b"more"), "changed")],
)
def test_a_file_that_goes_or_changes_after_planning_is_an_error_row(tmp_path, job, monkeypatch, happens, reason):
    folder = write(tmp_path / "in", a__flac=FLAC)
    (folder / "notes.txt").touch()
    declare = run.table.declare

    def after_planning(*arguments, **options):
        happens(folder / "a.flac")
        return declare(*arguments, **options)

    monkeypatch.setattr(run.table, "declare", after_planning)
    code, screen = job(folder, tmp_path / "out")
    assert code == 3
    assert f"read.{reason}: 1, such as c/a.flac: file://{folder}/a.flac" in screen
    monkeypatch.undo()
    if reason == "changed":
        assert job(folder, tmp_path / "out")[0] == 0
        assert read_table(str(tmp_path / "out")).to_pandas().text.tolist() == [TEXT]


def test_an_object_that_nobody_may_read_is_an_error_row(tmp_path, job, monkeypatch):
    def refused(uri, start, length):
        raise PermissionError(13, "Permission denied", uri)

    monkeypatch.setattr(reading, "read_range", refused)
    code, screen = job(write(tmp_path / "in", a__flac=FLAC), tmp_path / "out")
    assert code == 3
    assert "read.unreadable: 1, such as c/a.flac" in screen
    assert "access denied" in screen


def test_a_fault_of_the_storage_blames_no_recording(tmp_path, job, monkeypatch):
    from pipeline.errors import StorageFault

    def broken(uri, start, length):
        raise StorageFault(f"{uri}: 503 SlowDown, still after 6 tries")

    folder = write(tmp_path / "in", a__flac=FLAC)
    monkeypatch.setattr(reading, "read_range", broken)
    code, screen = job(folder, tmp_path / "out")
    assert code == 4
    assert "1 unit pending after a failure" in screen
    assert "503 SlowDown" in screen
    assert "next    run the same command again" in screen
    assert not list((tmp_path / "out/transcribe").glob("*.parquet"))
    assert not (tmp_path / "out/_SUCCESS").exists()
    monkeypatch.undo()
    assert job(folder, tmp_path / "out")[0] == 0
