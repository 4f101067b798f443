"""Manifests that tell of a recording are cleaned, whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.table.traces import REPLACED, Names, clean_runs


def test_a_manifest_keeps_what_tells_of_others(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"task": "c/a", "faults": {"u": "c/a: closed", "v": "c/ab: closed"}}))
    clean_runs([f"{tmp_path}/r.json", f"{tmp_path}/gone.json"], Names(["c/a"]))
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["faults"] == {"u": REPLACED, "v": "c/ab: closed"}


@pytest.mark.parametrize("text", ['["c/a"]', '"c/a"', "c/a", "[" * 200_000 + '"c/a"'])
def test_what_is_no_manifest_goes(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    clean_runs([f"{tmp_path}/r.json"], Names(["c/a"]))
    assert not (tmp_path / "r.json").exists()
