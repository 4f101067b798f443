"""What is no table, and what is one without its plan, is told from a table."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.table import presence, read_table, write_run
from pipeline.table.__main__ import main
from pipeline.table.presence import require_plan, require_table
from pipeline.table.status import status
from pipeline.table.vacuum import vacuum
from pipeline.table.verify import verify


@pytest.mark.parametrize("look", [read_table, status, verify, vacuum, require_table])
def test_a_folder_of_other_things_is_no_table(look: Callable[[str], object], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"there is no table here\. Name the output folder of a run\.$"):
        look(str(tmp_path))
    with pytest.raises(UserError, match=r"notes\.txt: there is no table here, it is a file\. Name"):
        look(str(tmp_path / "notes.txt"))


def test_what_a_run_writes_makes_a_table(made: Any, tmp_path: Path) -> None:
    write_run(str(tmp_path), "r", {})
    require_table(str(tmp_path))
    require_plan(str(tmp_path))
    assert status(str(tmp_path)).units == 0


def test_a_record_without_a_plan_is_no_whole_table(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.plan("a.wav", "b.wav")
    made.commit()
    for file in Path(made.output).rglob("*.parquet"):
        file.unlink()
    told = f"{made.output}/_plan: the plan is gone, and transcribe has a record that was made after it. Restore the"
    assert main(["status", made.output]) == 2
    assert capsys.readouterr().err.startswith(told)
    assert main(["verify", made.output]) == 1
    assert f"  {told}" in capsys.readouterr().out
    shutil.rmtree(Path(made.output, "transcribe"))
    require_plan(made.output)


def test_a_run_that_plans_meanwhile_is_waited_for(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(output: str) -> list[str]:
        made.plan("a.wav")
        made.declare()
        return ["transcribe"]

    with monkeypatch.context() as patch:
        patch.setattr(presence, "tasks", begun)
        require_plan(made.output)


def test_units_without_their_plan_are_no_whole_table(made: Any) -> None:
    made.plan("a.wav", "b.wav")
    made.commit()
    assert verify(made.output).complete
    shutil.rmtree(Path(made.output, "_plan"))
    words = r"/out/_plan: the plan is gone, and transcribe has 2 units of it\. Restore the folder from a backup"
    for look in (read_table, status):
        with pytest.raises(UserError, match=words):
            look(made.output)
    (violation,) = verify(made.output).violations
    assert violation.file == f"{made.output}/_plan"
    assert violation.message.startswith("the plan is gone, and transcribe has 2 units of it")
