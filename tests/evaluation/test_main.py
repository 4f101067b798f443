"""The command: what it prints, what it writes, the code it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.evaluation.__main__ import main
from pipeline.storage.put import put
from pipeline.storage.read import read_bytes
from pipeline.table.verify import verify

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_printed_and_written(words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([words]) == 0
    out, err = capfd.readouterr()
    folder = Path(words, "_scores", "transcribe")
    assert err == ""
    assert "| word error rate          | 20.0 % (1 of 5)  | 0             | 0          | 1         |" in out
    assert out.splitlines()[-1] == f"scores  {folder}: scores.json, scores.md, error_by_duration.png"
    page = (folder / "scores.md").read_text()
    assert page.splitlines()[0] == f"# Scores of {words}/transcribe"
    assert page.splitlines()[-1] == "![error by duration](error_by_duration.png)"
    assert json.loads((folder / "scores.json").read_text())["scores"]["words"]["rate"] == 0.2
    assert (folder / "error_by_duration.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_stays_whole_with_scores_in_it(words: str) -> None:
    assert main([words]) == 0
    assert main([words]) == 0
    verdict = verify(words)
    assert verdict.holds
    assert verdict.complete


def test_another_folder(words: str, tmp_path: Path) -> None:
    assert main([words, "--out", str(tmp_path / "a" / "b")]) == 0
    assert sorted(each.name for each in (tmp_path / "a" / "b").iterdir()) == [
        "error_by_duration.png", "scores.json", "scores.md",
    ]  # fmt: skip
    assert not Path(words, "_scores").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no table here"),
        (["OUT", "--task", "embed"], "there is no task embed in this output; there are transcribe"),
        (["OUT", "--reference", "none.jsonl"], "'none.jsonl' is neither a column of the table nor a file"),
        (["OUT", "--label-field", "label"], "no row has a reference (metadata field label)"),
        (["OUT", "--out", "FILE"], "a file is where a folder should be"),
        (["OUT", "--bootstrap", "many"], "--bootstrap: 'many' is no whole number"),
        (["OUT", "--config", "none.yaml"], "--config none.yaml: no such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    words: str, tmp_path: Path, arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    places = {"OUT": words, "FILE": str(tmp_path / "file")}
    assert main([places.get(each, each) for each in arguments]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["out", "--taks", "x"]])
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_bug_is_code_1(words: str, monkeypatch: Any, capfd: pytest.CaptureFixture[str]) -> None:
    from pipeline.evaluation import run

    monkeypatch.setattr(run, "evaluate", lambda *_, **__: 1 / 0)
    assert main([words]) == 1
    assert "failed: ZeroDivisionError" in capfd.readouterr().err


def test_options_may_stand_in_a_file(words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scores.yaml").write_text("reference: key\ntask: transcribe\n")
    arguments = [words, "--config", str(tmp_path / "scores.yaml")]
    assert main(arguments) == 0
    assert "references: column key" in capfd.readouterr().out
    assert main([*arguments, "--reference", "id"]) == 0
    assert "references: column id" in capfd.readouterr().out


def test_text_that_looks_like_markup_is_printed_as_it_is(table: Any, row: Any, capfd: Any) -> None:
    output = table("transcribe", [row("a.wav", {"text": "[red] a | b :smile:"}, "x")])
    assert main([output]) == 0
    assert "[red] a \\| b :smile:" in capfd.readouterr().out


def test_a_table_and_its_scores_may_be_in_a_bucket(table: Any, row: Any, s3_server: Any, capfd: Any) -> None:
    output = table("transcribe", [row("a.wav", {"text": "one"}, "two")], output=f"{s3_server.uri}/out")
    checked = f"{s3_server.uri}/checked.jsonl"
    put(checked, b'{"id": "a", "text": "one"}')
    assert main([output, "--reference", checked]) == 0
    assert "0.0 % (0 of 1)" in capfd.readouterr().out
    assert json.loads(read_bytes(f"{output}/_scores/transcribe/scores.json"))["scores"]["words"]["rate"] == 0.0
    assert main([output, "--reference", f"{s3_server.uri}/none.jsonl"]) == 2


def test_a_wrong_endpoint_is_said_in_seconds(monkeypatch: Any, capfd: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "yyyyyyyy")
    before = time.monotonic()
    # The store may only be away for a moment; what is wrong with the address the words tell.
    assert main(["s3://bucket/out"]) == 4
    assert time.monotonic() - before < 30
    assert "AWS_ENDPOINT_URL" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["jobs/evaluate.py", "-m pipeline.table status", "-m pipeline.table errors"])
def test_a_reader_that_goes_away_is_not_missed(words: str, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, *command.split(), words], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_job_is_the_same_command(words: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "jobs/evaluate.py", words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "| word error rate " in done.stdout
