"""What is listed and not there, for a night or for good: no row that is known gives way to it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.corpus import Recording
from pipeline.errors import StorageFault, UserError
from pipeline.isolation import Lengths, Limits
from pipeline.isolation.handle import Handle
from pipeline.plan import PlanReport, extend, format_report, load_unit, superseded, units
from pipeline.plan.forgotten import remember
from pipeline.storage import put
from pipeline.table import pending, read_table
from tests.table.conftest import Made, rows_of

Make = Callable[..., Recording]


def wav(seconds: float = 0.01) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(int(seconds * 16_000), dtype=np.float32), 16_000, format="WAV")
    return file.getvalue()


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """A folder with two files that a node may lack."""
    folder = tmp_path / "mount/talks"
    folder.mkdir(parents=True)
    for name in "ab":
        (folder / f"{name}.wav").write_bytes(wav())
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder that is always there."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "z.wav").write_bytes(wav())
    return folder


@pytest.fixture
def night(tmp_path: Path, output: Path) -> Callable[..., PlanReport]:
    """Plans a manifest of these files or lines, and commits what is new: text, or an error for what is missing."""
    made = Made(str(output))
    made.declare()

    def run(*lines: object, **options: Any) -> PlanReport:
        written = [line if isinstance(line, dict) else {"path": str(line)} for line in lines]
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written))
        return commit(made, [f"{tmp_path}/m.jsonl"], **options)

    return run


def commit(made: Made, sources: list[str], **options: Any) -> PlanReport:
    report = extend(sources, made.output, corpus="c", **options)
    for ref in pending(made.output, "transcribe", units(made.output)):
        unit = load_unit(made.output, ref)
        made.put(unit, rows_of(unit, broken=[each.id for each in unit.recordings if each.missing]))
    return report


def counts(report: PlanReport) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.vanished


def heard(output: Path) -> dict[str, bool]:
    """Last part of the id of each row that is shown, and whether it has a text."""
    table = read_table(str(output)).to_pandas()
    return {id.rpartition("/")[2]: fine for id, fine in zip(table.id, table.text.notna(), strict=True)}


@pytest.mark.parametrize("left", ["no folder", "an empty folder", "a folder with others"])
def test_rows_stay_while_a_mount_lacks(mount: Path, night: Any, output: Path, left: str) -> None:
    files = [mount / "a.wav", mount / "b.wav"]
    assert counts(night(*files)) == (2, 0, 0, 0)
    mount.rename(mount.parent / "away")
    if left != "no folder":
        mount.mkdir()
    if left == "a folder with others":
        (mount / "c.wav").write_bytes(wav())
    report = night(*files)
    assert (counts(report), report.absent, report.recordings, report.generations) == ((0, 0, 0, 2), 2, 0, ())
    assert heard(output) == {"a.wav": True, "b.wav": True}
    (mount / "c.wav").unlink(missing_ok=True)
    if left != "no folder":
        mount.rmdir()
    (mount.parent / "away").rename(mount)
    report = night(*files)
    assert (counts(report), report.unopened) == ((0, 0, 2, 0), 2)
    (mount / "a.wav").write_bytes(wav(0.02))
    assert counts(night(*files)) == (0, 1, 1, 0)
    assert heard(output) == {"a.wav": True, "b.wav": True}


def test_rows_stay_while_storage_refuses_their_audio(s3_proxy: Any, tmp_path: Path, output: Path) -> None:
    made, folder = Made(str(output)), s3_proxy.bucket.uri
    made.declare()
    for name in "ab":
        put.put(f"{folder}/{name}.wav", wav())
    put.put(f"{folder}/m.jsonl", b'{"path": "a.wav"}\n{"path": "b.wav"}\n')
    commit(made, [f"{folder}/m.jsonl"])
    s3_proxy.refuse("^(HEAD|GET) .*/[ab].wav", status=403, code="AccessDenied")
    assert counts(commit(made, [f"{folder}/m.jsonl"])) == (0, 0, 0, 2)
    assert heard(output) == {"a.wav": True, "b.wav": True}


def test_rows_stay_while_links_lead_nowhere(mount: Path, here: Path, output: Path) -> None:
    made = Made(str(output))
    made.declare()
    for name in "ab":
        (here / f"{name}.wav").symlink_to(mount / f"{name}.wav")
    assert commit(made, [str(here)]).new == 3
    mount.rename(mount.parent / "away")
    (here / "new.wav").symlink_to(mount / "new.wav")
    assert counts(commit(made, [str(here)])) == (1, 0, 1, 2)
    assert heard(output) == {"a.wav": True, "b.wav": True, "new.wav": False, "z.wav": True}


def test_stretches_of_one_file_stay_and_neighbours_are_planned(
    mount: Path, here: Path, night: Any, output: Path
) -> None:
    stretches = [{"path": str(mount / "a.wav"), "offset": at / 1000, "duration": 0.001} for at in range(3)]
    night(*stretches, {"path": str(here / "z.wav"), "id": "c/z"}, {"path": str(mount / "gone.wav"), "id": "c/gone"})
    assert heard(output)["gone"] is False
    (mount / "a.wav").unlink()
    (here / "y.wav").write_bytes(wav())
    more = [{"path": str(here / "y.wav"), "id": "c/y"}, {"path": str(mount / "a.wav"), "id": "c/late", "offset": 0.004}]
    known = [{"path": str(here / "z.wav"), "id": "c/z"}, {"path": str(mount / "gone.wav"), "id": "c/gone"}]
    report = night(*stretches, *known, *more)
    assert (counts(report), report.absent) == ((2, 0, 2, 3), 3)
    shown = heard(output)
    assert [shown[id] for id in ("a.wav@0-0.001", "a.wav@0.001-0.002", "a.wav@0.002-0.003")] == [True] * 3
    assert (shown["z"], shown["y"], shown["late"], shown["gone"]) == (True, True, False, False)


def test_spans_stay(plan: Any, make: Make) -> None:
    day = make("day.wav", seconds=86_400.0, size=24_000_000)
    plan([day])
    for version in ("missing", "0-missing"):
        report = plan([make("day.wav", version=version, seconds=0.0, seconds_from="estimate", size=0)])
        assert (counts(report), report.absent) == ((0, 0, 0, 24), 24)
    assert superseded(plan.output) == []
    assert counts(plan([day])) == (0, 0, 24, 0)
    assert counts(plan([make("day.wav", seconds=86_400.0, size=24_000_000, version="9-9")])) == (0, 24, 0, 0)


def test_what_was_missing_is_planned_when_it_comes(mount: Path, night: Any, output: Path) -> None:
    files = [mount / "a.wav", mount / "late.wav"]
    assert counts(night(*files)) == (2, 0, 0, 0)
    assert heard(output) == {"a.wav": True, "late.wav": False}
    assert counts(night(*files)) == (0, 0, 2, 0)
    (mount / "late.wav").write_bytes(wav())
    assert counts(night(*files)) == (0, 1, 1, 0)
    assert heard(output) == {"a.wav": True, "late.wav": True}


def test_what_is_absent_is_counted_whatever_else_was_listed_with_it(plan: Any, make: Make) -> None:
    plan([make("a.wav"), make("b.wav")])
    plan.scope = type(plan.scope)("c", ("file:///elsewhere",))
    report = plan([make("a.wav", version="missing", source="file:///elsewhere/a.wav")])
    assert (counts(report), report.absent) == ((0, 0, 0, 1), 1)


def test_an_id_is_still_refused_where_one_of_its_files_is_gone(plan: Any, make: Make) -> None:
    plan([make("a.wav")])
    with pytest.raises(UserError, match=r"two recordings have the id c/a\.wav"):
        plan([make("a.wav"), make("a.wav", version="missing", source="file:///d/a.wav")])


@pytest.mark.parametrize("left", ["no folder", "an empty folder"])
@pytest.mark.parametrize("known", [True, False])
def test_new_lines_of_a_folder_out_of_reach_plan_nothing(
    mount: Path, here: Path, night: Any, output: Path, left: str, known: bool
) -> None:
    files = [mount / "a.wav", mount / "b.wav"] if known else []
    night(here / "z.wav", *files)
    mount.rename(mount.parent / "away")
    if left != "no folder":
        mount.mkdir()
    before = units(str(output))
    (here / "y.wav").write_bytes(wav())
    new = [mount / "c.wav"] if known else [mount / "c.wav", mount / "d.wav"]
    words = rf"^file://{mount}: not there, empty or closed for .*, such as file://{mount}/c\.wav: give this node"
    with pytest.raises(StorageFault, match=words):
        night(here / "z.wav", here / "y.wav", *files, *new)
    assert units(str(output)) == before
    assert heard(output) == {"z.wav": True, **{file.name: True for file in files}}


def test_a_manifest_of_a_folder_out_of_reach_plans_nothing(tmp_path: Path, night: Any, output: Path) -> None:
    with pytest.raises(StorageFault, match=rf"^file://{tmp_path}/nix: not there"):
        night(tmp_path / "nix/a.wav")
    assert units(str(output)) == []


def test_new_lines_that_storage_refuses_plan_nothing(s3_proxy: Any, output: Path) -> None:
    folder = s3_proxy.bucket.uri
    put.put(f"{folder}/z.wav", wav())
    lines = [{"path": "z.wav"}, {"path": "x/a.wav"}, {"path": "x/b.wav"}]
    put.put(f"{folder}/m.jsonl", "\n".join(map(json.dumps, lines)).encode())
    for name in "ab":
        put.put(f"{folder}/x/{name}.wav", wav())
    s3_proxy.refuse("^(HEAD|GET) .*/x/", status=403, code="AccessDenied")
    with pytest.raises(StorageFault, match=rf"^{folder}/x: not there, empty or closed .* or take those lines out"):
        extend([f"{folder}/m.jsonl"], str(output))
    put.put(f"{folder}/m.jsonl", "\n".join(map(json.dumps, lines[:2])).encode())
    assert extend([f"{folder}/m.jsonl"], str(output)).new == 2


def test_lines_that_storage_refuses_beside_known_audio_are_rows(s3_proxy: Any, output: Path) -> None:
    folder = s3_proxy.bucket.uri
    for name in ("good", "closed1", "closed2"):
        put.put(f"{folder}/x/{name}.wav", wav())
    lines = [{"path": f"x/{name}.wav"} for name in ("good", "closed1", "closed2")]
    put.put(f"{folder}/m.jsonl", json.dumps(lines[0]).encode())
    made = Made(str(output))
    made.declare()
    commit(made, [f"{folder}/m.jsonl"])
    s3_proxy.refuse("^(HEAD|GET) .*/x/closed", status=403, code="AccessDenied")
    put.put(f"{folder}/m.jsonl", "\n".join(map(json.dumps, lines)).encode())
    assert counts(commit(made, [f"{folder}/m.jsonl"])) == (2, 0, 1, 0)
    assert heard(output) == {"good.wav": True, "closed1.wav": False, "closed2.wav": False}


def test_nothing_is_told_of_what_is_forgotten(mount: Path, night: Any, output: Path) -> None:
    night(mount / "a.wav", mount / "b.wav")
    remember(str(output), [next(id for id in read_table(str(output)).to_pandas().id if id.endswith("/a.wav"))])
    (mount / "a.wav").unlink()
    assert night(mount / "a.wav", mount / "b.wav").absent == 0


@pytest.mark.parametrize("known", [True, False])
def test_one_wrong_line_among_good_ones_is_a_row(
    mount: Path, here: Path, night: Any, output: Path, known: bool
) -> None:
    if known:
        night(here / "z.wav", mount / "a.wav")
    wrong = [here / "0.wav", here / "1.wav", mount / "2.wav", here / "no folder/3.wav", here]
    night(here / "z.wav", mount / "a.wav", *wrong)
    assert heard(output) == {"z.wav": True, "a.wav": True, **{each.name: False for each in wrong}}


def test_the_report_tells_what_is_absent(mount: Path, night: Any) -> None:
    assert "not there" not in format_report(night(mount / "a.wav", mount / "b.wav"))
    (mount / "b.wav").unlink()
    text = format_report(night(mount / "a.wav", mount / "b.wav", dry_run=True))
    assert "vanished 1 (their rows stay)" in text
    assert "  listed, but not there or closed: 1 row, kept as before" in text


def test_nobody_measures_what_is_not_there(mount: Path, night: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handle, "start", None)
    with Lengths(Limits(seconds=1.0, num_bytes=10**9)) as lengths:
        lines = ({"path": str(mount / "nix.wav"), "offset": 20_000.0}, mount / "a.wav")
        assert counts(night(*lines, exact=lengths.exact)) == (2, 0, 0, 0)
