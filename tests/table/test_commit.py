"""A unit is committed once, whole or not at all, however many try and however they die."""

from __future__ import annotations

import glob
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.table.commit import contradiction
from pipeline.table.encode import encode

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts committers, and ends those that still run."""
    running: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("committer.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def ask(process: subprocess.Popen[str], *words: object) -> None:
    assert process.stdin is not None
    process.stdin.write(" ".join(map(str, words)) + "\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def unit_name(number: int) -> str:
    return f"{number:032x}"


def test_footer_tells_about_the_attempt(made: Any) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    assert made.commit(broken=["c/b.wav"]) == ["won"]
    metadata = pq.read_metadata(made.file(0)).metadata
    assert metadata[b"voxmill.rows"] == b"2"
    assert metadata[b"voxmill.errors"] == b"1"
    assert metadata[b"voxmill.device"] == b"cpu"
    assert len(metadata[b"voxmill.attempt"]) == 32


def test_the_second_finds_the_name_taken_and_changes_nothing(made: Any) -> None:
    made.plan("a.wav")
    assert made.commit(text="first") == ["won"]
    before = made.file(0).read_bytes()
    assert made.commit(text="second") == ["taken"]
    assert made.file(0).read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.slice(1), "1 rows for 2 planned recordings"),
        (lambda t: t.take([1, 0]), "row 0 has the id 'c/b.wav' where the plan has 'c/a.wav'"),
        (lambda t: t.take([0, 0]), "row 1 has the id 'c/a.wav' where the plan has 'c/b.wav'"),
        (lambda t: t.replace_schema_metadata(None), "the rows have no schema version"),
        (
            lambda t: t.set_column(t.column_names.index("unit"), "unit", [["0" * 32] * 2]),
            "rows name another unit, '0000",
        ),
    ],
)
def test_rows_that_are_not_the_units_are_refused(made: Any, rows: Any, spoil: Any, message: str) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    unit = made.unit(0)
    ids = [each.id for each in unit.recordings]
    assert contradiction(unit.name, rows(unit), ids) is None
    with pytest.raises(ValueError, match=message):
        made.put(unit, spoil(rows(unit)))
    assert not made.file(0).exists()


def test_encoding_is_whole_parquet(made: Any, rows: Any, tmp_path: Path) -> None:
    made.plan("a.wav")
    (tmp_path / "x.parquet").write_bytes(encode(rows(made.unit(0)), {"device": "cpu"}))
    assert pq.read_table(tmp_path / "x.parquet").equals(rows(made.unit(0)))


def test_four_committers_of_one_unit_200_times(tmp_path: Path, start: Start) -> None:
    committers = [start() for _ in range(4)]
    assert [answer(each) for each in committers] == ["ready"] * 4
    winners = []
    for number in range(200):
        for mark, each in enumerate(committers):
            ask(each, tmp_path, unit_name(number), 20, f"mark{mark}")
        answers = [answer(each) for each in committers]
        assert sorted(answers) == ["taken", "taken", "taken", "won"]
        winners.append(answers.index("won"))
        file = tmp_path / "transcribe" / f"{unit_name(number)}.parquet"
        assert set(pq.read_table(file).column("text").to_pylist()) == {f"mark{winners[-1]}"}
        assert pq.read_metadata(file).metadata[b"voxmill.attempt"] == f"mark{winners[-1]}".encode()
    assert len(set(winners)) > 1, "one process always won: they did not race"
    assert len(os.listdir(tmp_path / "transcribe")) == 200


def test_a_kill_leaves_no_visible_part_of_a_file(tmp_path: Path, start: Start) -> None:
    rng = random.Random(4)
    killed = 0
    folder = tmp_path / "transcribe"
    for number in range(12):
        process = start()
        assert answer(process) == "ready"
        ask(process, tmp_path, unit_name(number), 20_000, "mark")
        # From the first sign of the file being written on, so that kills fall into the writing.
        begin = time.monotonic()
        while time.monotonic() - begin < 20 and not list(folder.glob(f".{unit_name(number)}*")):
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        file = folder / f"{unit_name(number)}.parquet"
        if file.exists():
            assert pq.read_table(file).num_rows == 20_000
        else:
            killed += 1
        if killed == 3:
            break
    assert killed > 0, "every kill came too late"
    for left_over in set(os.listdir(folder)) - {os.path.basename(each) for each in glob.glob(f"{folder}/*.parquet")}:
        assert left_over.startswith(".")
    again = start()
    assert answer(again) == "ready"
    for each in range(number + 1):
        ask(again, tmp_path, unit_name(each), 5, "mark")
        assert answer(again) in ("won", "taken")
    assert len(glob.glob(f"{folder}/*.parquet")) == number + 1


def test_a_glob_in_the_middle_reads_whole_files_only(tmp_path: Path, start: Start) -> None:
    committers = [start() for _ in range(3)]
    assert [answer(each) for each in committers] == ["ready"] * 3
    rows, units = 100, 40

    def drive() -> None:
        for number in range(units):
            for mark, each in enumerate(committers):
                ask(each, tmp_path, unit_name(number), rows, f"mark{mark}")
            for each in committers:
                answer(each)

    driver = threading.Thread(target=drive)
    driver.start()
    in_the_middle = 0
    while driver.is_alive():
        files = sorted(glob.glob(f"{tmp_path}/transcribe/*.parquet"))
        in_the_middle += 0 < len(files) < units
        for file in files[-3:]:
            assert pq.read_table(file, columns=["text"]).num_rows == rows
    driver.join()
    assert in_the_middle > 5, "nothing was read in the middle of the commits"
    files = glob.glob(f"{tmp_path}/transcribe/*.parquet")
    assert sum(pq.read_metadata(file).num_rows for file in files) == units * rows
