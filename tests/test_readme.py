"""The README shows what there is: code and table commands run; jobs are parsed, make targets looked up."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

import pipeline
from pipeline import cli, tuning
from pipeline.demo import CHECKPOINTS, checkpoint_folder
from pipeline.evaluation.__main__ import main as evaluate_main
from pipeline.table.__main__ import main as table_main

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMANDS = [
    line.strip().split("   ")[0]
    for line in TEXT.splitlines()
    if re.match(r"    (python|ray|voxmill|make|export) ", line)
]
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory, ray_cluster):
    """A folder as a clone in which `make demo` was run: a table of several tasks, and one of transcripts alone."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "pipeline").symlink_to(ROOT / "pipeline")
    model = checkpoint_folder(CHECKPOINTS["transcribe"])
    pipeline.transcribe(ROOT / "pipeline/demo", folder / "out", model=model, corpus="demo")
    # The same rows under a second name: what a reader sees of them is not asked here.
    shutil.copytree(folder / "out", folder / "demo-output")
    shutil.copytree(folder / "out/transcribe", folder / "demo-output/classify")
    return folder


SCRIPTS = {
    f"jobs/{script.name}": kind
    for script in (ROOT / "jobs").glob("*.py")
    for kind in re.findall(r'run_job\("(\w+)"', script.read_text())
}
"""Script of each job -> its kind."""


def job_arguments(command: str) -> tuple[str, list[str]] | None:
    """Kind of a job, and what is given to it; None where another command is shown."""
    words = shlex.split(command, comments=True)
    named = {f"voxmill {job.command}": job.kind for job in cli.JOBS.values()}
    for end in range(1, len(words) + 1):
        kind = SCRIPTS.get(words[end - 1]) or named.get(" ".join(words[max(0, end - 2) : end]))
        if kind:
            return kind, words[end:]
    return None


@pytest.mark.parametrize("command", [each for each in COMMANDS if job_arguments(each)])
def test_the_job_takes_the_options_that_are_shown(command):
    kind, arguments = job_arguments(command)
    given = cli._parser(cli.JOBS[kind], "job").parse_args(arguments)
    assert len(given.paths) >= 2
    assert given.task if kind == "label" else given.model


@pytest.mark.parametrize("command", [each for each in COMMANDS if "finetune" in each])
def test_the_training_takes_the_options_that_are_shown(command):
    words = shlex.split(command, comments=True)
    start = next(number for number, word in enumerate(words) if "finetune" in word)
    given = tuning._parser("finetune").parse_args(words[start + 1 :])
    assert len(given.paths) == 2
    assert given.model
    assert given.task in ("transcribe", "classify", "frames", "embed")


def test_every_job_has_a_script():
    assert sorted(SCRIPTS.values()) == sorted(cli.JOBS)


@pytest.mark.parametrize("command", [each for each in COMMANDS if "pipeline.table" in each])
def test_the_table_commands_run(command, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    words = shlex.split(command, comments=True)
    assert table_main(words[words.index("pipeline.table") + 1 :]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", [each for each in COMMANDS if "evaluate" in each])
def test_the_scoring_commands_run(command, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    (place / "checked.jsonl").write_text('{"id": "ann-000", "text": "two four one"}\n')
    words = shlex.split(command, comments=True)
    start = next(i for i, word in enumerate(words) if word in ("jobs/evaluate.py", "evaluate"))
    assert evaluate_main(words[start + 1 :]) == 0
    assert "| word error rate" in capsys.readouterr().out


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("make")])
def test_make_has_the_targets(command):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert command.split()[1] in targets


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("python -c")])
def test_lines_of_python_run(command, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    exec(shlex.split(command)[2], {})
    assert "demo/digits-000000.tar::ann-000.flac" in capsys.readouterr().out


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block-{n}" for n in range(len(BLOCKS))])
def test_the_python_blocks_run(block, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_there_is_something_to_test():
    assert len(COMMANDS) >= 10
    assert len(BLOCKS) >= 2
