"""Long audio is measured where a hostile file ends or keeps only the process that measures it."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from pipeline import overdue, timing
from pipeline.corpus import Recording
from pipeline.errors import StorageFault
from pipeline.isolation import Lengths, Limits, handle, lengths
from pipeline.isolation.handle import Handle
from pipeline.sources import Group, Problem, Unchanged, entries
from tests.isolation.test_process import LIMITS, POISON


@pytest.fixture(autouse=True)
def poisonous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that measure know the hostile files; a second is long."""
    monkeypatch.syspath_prepend(str(POISON))
    monkeypatch.setattr(lengths, "WHOLE_SECONDS", 1.0)


def ogg(file: Path, seconds: float = 3.0) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * 44100))
    sf.write(file, noise, 44100, format="OGG")


def hostile(file: Path, kind: str) -> None:
    with file.open("wb") as opened:
        opened.write(f"POISON:{kind}".encode() + b"\0")
        opened.truncate(5 * 3600 * 12_000)


def measured(folder: Path, limits: Limits = LIMITS) -> dict[str, Recording]:
    with Lengths(limits) as decoders:
        groups = list(decoders.exact(entries([str(folder)], corpus="c")))
    assert not any(isinstance(group, Problem) for group in groups)
    return {each.id: each for group in groups for each in group}


def test_long_audio_without_a_length_is_measured_exactly_and_so_are_stretches_of_it(tmp_path: Path) -> None:
    ogg(tmp_path / "a.ogg")
    lines = [{"path": "a.ogg"}, {"path": "a.ogg", "offset": 1.0}, {"path": "a.ogg", "offset": 0.5, "duration": 1e6}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Lengths(LIMITS) as decoders:
        (group,) = decoders.exact(entries([str(tmp_path / "m.jsonl")]))
    assert [(each.seconds, each.seconds_from, each.sample_rate) for each in group] == [
        (3.0, "header", 44100), (2.0, "header", 44100), (2.5, "header", 44100),
    ]  # fmt: skip


def test_a_picture_before_an_mp3_that_does_not_count_its_frames_is_no_audio(tmp_path: Path) -> None:
    file, noise = io.BytesIO(), np.random.default_rng(0).normal(0, 0.1, 16000 * 10)
    sf.write(file, noise, 16000, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5)
    # Without its first frame, which holds the count.
    frames = file.getvalue()[file.getvalue().find(b"\xff\xf3", 4) :]
    picture = b"ID3\3\0\0\0\6\x0c\x10" + bytes(6 << 14 | 12 << 7 | 16)
    (tmp_path / "a.mp3").write_bytes(picture + frames)
    (planned,) = next(iter(entries([str(tmp_path)], corpus="c")))
    (found,) = measured(tmp_path).values()
    assert planned.seconds == pytest.approx(10.0, abs=0.2)
    assert (found.seconds, found.seconds_from) == (pytest.approx(planned.seconds, abs=0.1), "header")


def test_no_process_is_started_where_no_file_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ogg(tmp_path / "short.ogg", 0.2)
    sf.write(tmp_path / "says.wav", np.zeros(16000 * 2), 16000)
    monkeypatch.setattr(Handle, "start", None)
    assert len(measured(tmp_path)) == 2


def test_hostile_files_keep_their_estimate_and_their_neighbours_are_measured(tmp_path: Path) -> None:
    for name, kind in (("1", "crash"), ("3", "loop")):
        hostile(tmp_path / f"{name}.mp3", kind)
    for name in "24":
        ogg(tmp_path / f"{name}.ogg")
    groups = list(entries([str(tmp_path)], corpus="c"))
    moves = overdue._last_step
    with Lengths(Limits(seconds=2.0, num_bytes=LIMITS.num_bytes)) as decoders:
        found = {each.id: each for group in decoders.exact(groups) for each in group}
    # Whoever waits sees after each try that this goes on.
    assert overdue._last_step - moves >= 4
    assert {id: each.seconds_from for id, each in found.items()} == {
        "c/1.mp3": "estimate", "c/2.ogg": "header", "c/3.mp3": "estimate", "c/4.ogg": "header",
    }  # fmt: skip
    assert list(found) == sorted(found)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_storage_keeps_who_measures_waiting_for_is_a_problem_alone(tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, make in (("a.ogg", ogg), ("b.mp3", partial(hostile, kind="sleep")), ("c.ogg", ogg)):
        make(tmp_path / name if packed else folder / name)
    if packed:
        with tarfile.open(folder / "x.tar", "w") as tar:
            for name in ("a.ogg", "b.mp3", "c.ogg"):
                tar.add(tmp_path / name, name)
    with Lengths(Limits(seconds=2.0, num_bytes=LIMITS.num_bytes)) as decoders:
        first, problem, last = decoders.exact(entries([str(folder)], corpus="c"))
    assert isinstance(first, tuple)
    assert isinstance(last, tuple)
    assert [each.seconds_from for each in (*first, *last)] == ["header", "header"]
    assert isinstance(problem, Problem)
    assert problem.uri == f"file://{folder}/{'x.tar' if packed else 'b.mp3'}"
    assert problem.message.startswith("not planned: storage did not let it be measured within 2.0 s. The next run does")
    # Else a tar of which the rest is planned would not be opened again.
    assert problem.again == (("c/x.tar::",) if packed else ())


def test_a_file_keeps_its_estimate_where_no_system_tells_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile(tmp_path / "a.mp3", "sleep")
    monkeypatch.setattr(timing, "PROCESSES", tmp_path / "nowhere")
    found = measured(tmp_path, Limits(seconds=2.0, num_bytes=LIMITS.num_bytes))
    assert found["c/a.mp3"].seconds_from == "estimate"


def test_a_process_that_cannot_start_plans_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ogg(tmp_path / "a.ogg")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StorageFault, match="does not start"):
        measured(tmp_path)


def test_a_process_that_is_late_to_start_plans_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ogg(tmp_path / "a.ogg")
    monkeypatch.setattr(handle, "START", 0.001)
    with pytest.raises(StorageFault, match="does not start within"):
        measured(tmp_path)


def test_processes_end_with_whoever_asked(tmp_path: Path) -> None:
    hostile(tmp_path / "a.mp3", "loop")
    ogg(tmp_path / "b.ogg")
    asked: list[Handle] = []

    def failing() -> Iterator[Group | Problem | Unchanged]:
        yield from entries([str(tmp_path)])
        asked.extend(decoders._asked.values())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Lengths(LIMITS) as decoders:
        list(decoders.exact(failing()))
    assert len(asked) == 2
    assert all(each.process.returncode is not None for each in asked)
