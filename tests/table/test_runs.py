"""Manifests of runs: written whole, the newest found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.table import write_run
from pipeline.table.runs import newest_run, newest_runs, read_run, runs


def test_the_newest_is_the_last_by_name(tmp_path: Path) -> None:
    output = str(tmp_path)
    assert newest_run(output) is None
    write_run(output, "20261120T021400-7f3a", {"exit_code": 0, "name": "späť"})
    write_run(output, "20261121T021400-0001", {"exit_code": 4})
    write_run(output, "20261119T021400-ffff", {"exit_code": 2})
    assert newest_run(output) == {"exit_code": 4}
    assert read_run(output, "20261120T021400-7f3a")["name"] == "späť"
    assert [each["exit_code"] for each in newest_runs(output, 2)] == [4, 0]
    (tmp_path / "_runs/20261120T021400-7f3a.json").write_text("[")
    assert [each["exit_code"] for each in newest_runs(output, 3)] == [4, 2]
    assert len(runs(output)) == 3


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"_runs/x\.json: there is no such run"):
        read_run(str(tmp_path), "x")
    write_run(str(tmp_path), "x", {})
    for damaged in ("{", "[]"):
        Path(tmp_path, "_runs/x.json").write_text(damaged)
        with pytest.raises(UserError, match=r"_runs/x\.json: the manifest is damaged\. Delete it"):
            newest_run(str(tmp_path))


def test_what_json_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_run(str(tmp_path), "x", {"speed": float("inf")})
