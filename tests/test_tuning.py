"""The command that trains: mistakes in one line, exit codes, what is said at the end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import tuning
from pipeline.errors import UserError
from pipeline.training import config
from pipeline.training.fit import Fitted

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function arguments -> exit code and all that was on the screen."""

    def call(*arguments: Any) -> tuple[int, str]:
        capfd.readouterr()
        try:
            code = tuning.main([*map(str, arguments), "--without-ray", "--threads", "1"], prog="finetune")
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out + err

    return call


def lines_of(tones: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in tones.read_text().splitlines()]
    for line in lines:
        line["audio_filepath"] = str(tones.parent / line["audio_filepath"])
    return lines


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


QUICK = ("--from-scratch", "--epochs", "1", "--frame-budget", "300", "--task", "classify")


def test_a_training_ends_with_its_figures_and_code_0(run: Run, tones: Path, bare: Path, tmp_path: Path) -> None:
    code, said = run(tones, tmp_path / "out", "--model", bare, *QUICK, "--validation-share", "25%")
    assert code == 0
    assert "accuracy" in said
    assert "exit    0: complete" in said
    assert (tmp_path / "out/training.log").read_text().splitlines()[0] in said
    again, words = run(tones, tmp_path / "out", "--model", bare, *QUICK, "--validation-share", "25%")
    assert again == 0
    assert "nothing to do: this training has ended before" in words


def test_a_stopped_training_has_code_4_and_says_how_to_go_on(run: Run, tones: Path, bare: Path, tmp_path: Path) -> None:
    code, said = run(tones, tmp_path / "out", "--model", bare, *QUICK, "--stop-after", "1ms")
    assert code == 4
    assert "run the same command again" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label-field", "lable"], r"labels: none of its 16 recordings has the field 'lable'"),
        (["--task", "transcribe", "--label-field", "number"], r"labels: .* must have text, got [01].0"),
        (["--speeds", "9"], r"--speeds must be between 0.5 and 2, got 9"),
        (["--epochs", "0", "--clip", "-1"], r"--epochs must be above 0, got 0; --clip must be above 0, got -1"),
        (["--snr-from", "40"], r"--snr-to must be at least --snr-from, got 30 dB and 40 dB"),
        (["--warmup", "150%"], r"--warmup must be between 0 and 1"),
        (["--learning-rate", "fast"], r"--learning-rate: 'fast' is no number"),
        (["--model-config", "hidden_dropout"], r"--model-config: 'hidden_dropout' is no field and value"),
        (["--model-config", "num_attention_heads=3"], r"config.json says hidden_size=16, num_attention_heads=3"),
        (["--workers", "2"], r"--without-ray trains with one worker, --workers asks for 2"),
        (["--validate", "nowhere.jsonl"], r"nowhere.jsonl"),
        (["--task", "ctc"], r"--task: invalid choice: 'ctc' .*transcribe.*classify.*frames.*embed"),
        (["--lable-field", "x"], r"did you mean --label-field\?"),
        (["--labels-from", "https://me:geheim@h/t"], r"^--labels-from: https://\*\*\*@h/t: credentials do not belong"),
        (["--background", "x?token=geheim"], r"--background: x\?token=\*\*\*:? credentials do not belong"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    run: Run, tones: Path, bare: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    code, said = run(tones, tmp_path / "out", "--model", bare, *QUICK, *options)
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert re.search(words, said)
    assert not (tmp_path / "out/config.json").exists()


def test_bad_files_are_named_with_their_stage(run: Run, tones: Path, bare: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"nothing")
    manifest = written(tmp_path / "bad.jsonl", [{"audio_filepath": "a.wav", "label": "x"}])
    code, said = run(manifest, tmp_path / "out", "--model", bare, *QUICK)
    assert code == 2
    assert f"{tmp_path}/a.wav: decode: not an audio file" in said
    (tmp_path / "broken.jsonl").write_text("{]")
    code, said = run(tmp_path / "broken.jsonl", tmp_path / "out", "--model", bare, *QUICK)
    assert (code, "broken.jsonl, line 1: not JSON" in said) == (2, True)
    code, said = run(tones, tmp_path / "out", "--model", tmp_path / "none", *QUICK)
    assert (code, "no such folder" in said) == (2, True)
    code, said = run(tones, tmp_path / "out", "--model", bare, "--task", "classify")
    assert (code, "no model.safetensors" in said) == (2, True)


def test_a_class_that_the_head_does_not_know_is_named_with_the_remedy(
    run: Run, tones: Path, bare: Path, tmp_path: Path
) -> None:
    assert run(tones, tmp_path / "first", "--model", bare, *QUICK)[0] == 0
    lines = lines_of(tones)
    lines[3]["label"] = "middle"
    more = written(tmp_path / "more.jsonl", lines)
    tune = ("--model", tmp_path / "first", "--task", "classify", "--epochs", "1", "--validation-share", "0")
    code, said = run(more, tmp_path / "second", *tune)
    assert (code, "knows no class 'middle', only high, low; make a new one with --new-head" in said) == (2, True)
    assert run(more, tmp_path / "second", *tune, "--new-head")[0] == 0


def test_too_many_useless_recordings_give_code_3(run: Run, tones: Path, bare: Path, tmp_path: Path) -> None:
    lines = lines_of(tones)
    for line in lines[:4]:
        del line["label"]
    manifest = written(tmp_path / "some.jsonl", lines)
    code, said = run(manifest, tmp_path / "out", "--model", bare, *QUICK)
    assert code == 3
    assert "unused  labels: no field 'label', such as" in said
    assert "unused  4 recordings in all" in said
    assert run(manifest, tmp_path / "out", "--model", bare, *QUICK, "--max-errors", "50%")[0] == 0


def test_python_users_get_the_figures(tones: Path, bare: Path, tmp_path: Path) -> None:
    import pipeline

    fitted = pipeline.finetune(
        tones, tmp_path / "out", model=bare, task="classify", from_scratch=True, epochs=1, without_ray=True
    )
    assert isinstance(fitted, Fitted)
    assert fitted.state == "ended"


def test_help_has_every_option_with_its_default() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "jobs/finetune.py", "--help"], capture_output=True, text=True, check=True
    )
    text = " ".join(done.stdout.split())
    assert "--epochs N times that every example is seen (default: 10.0)" in text
    assert "--checkpoint-every TIME time between checkpoints" in text
    assert "--from-scratch" in text
    assert "4 partial" in text
    assert "From scratch, config.json needs" in text


def test_nothing_is_written_over_what_no_training_made(tones: Path, bare: Path, tmp_path: Path) -> None:
    before = (bare / "config.json").read_bytes()
    table = tmp_path / "table"
    (table / "_plan").mkdir(parents=True)
    chosen = config.make({"model": str(bare), "task": "classify", "without_ray": True})
    for folder, message in ((bare, "is the checkpoint to start from"), (table, "holds _plan, which no training made")):
        with pytest.raises(UserError, match=f"{folder}: {message}.*name another folder for the result"):
            tuning.run([str(tones)], str(folder), chosen, say=print)
    assert (bare / "config.json").read_bytes() == before
    assert [each.name for each in table.iterdir()] == ["_plan"]


def test_a_restart_forgets_once_so_that_workers_that_begin_again_go_on(
    tones: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.engine import train

    options: dict[str, Any] = {"model": str(bare), "task": "classify", "from_scratch": True, "epochs": 1}
    stopped = config.make({**options, "without_ray": True, "stop_after": 1e-6})
    assert tuning.run([str(tones)], str(tmp_path / "out"), stopped, say=print).state == "stopped"
    left = list((tmp_path / "out/_training").iterdir())
    asked: list[tuple[bool, list[Path]]] = []

    def begun(sources: Any, output: Path, chosen: config.TrainConfig, *, log: Path) -> None:
        asked.append((chosen.restart, [path for path in left if path.exists()]))

    monkeypatch.setattr(train, "fit_on_cluster", begun)
    for restart in (False, True):
        tuning.run([str(tones)], str(tmp_path / "out"), config.make({**options, "restart": restart}), say=print)
    assert asked == [(False, left), (False, [])]


def test_a_restarted_training_replaces_another(run: Run, tones: Path, bare: Path, tmp_path: Path) -> None:
    given = (tones, tmp_path / "out", "--model", bare, *QUICK)
    assert run(*given)[0] == 0
    assert run(*given, "--seed", "5")[0] == 2
    code, said = run(*given, "--seed", "5", "--restart")
    assert (code, "exit    0: complete" in said) == (0, True)
