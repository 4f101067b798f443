"""Every door with a few strange inputs, and with each that something was wrong with once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import audio, documents
from pipeline.sources.names import AUDIO
from tests.fuzz.door import Door, Opened, case
from tests.fuzz.doors.audio import CONTAINERS
from tests.fuzz.doors.sounds import sounds
from tests.fuzz.run import doors

ROOT = Path(__file__).resolve().parent / "regressions"
FEW = 40
PAST: dict[str, int] = {}
"""Door -> how many of so many inputs came past the header."""


def test_real_inputs_raise_nothing(opened: tuple[Door, Opened]) -> None:
    _, ready = opened
    for data in ready.seeds:
        ready.check(data)


def test_strange_inputs_are_told_as_they_must_be(opened: tuple[Door, Opened]) -> None:
    door, ready = opened
    PAST[door.name] = sum(ready.check(case(ready, door.name, 0, number)) for number in range(FEW))
    # Of many inputs it is half of them at every door; so few may be a fifth less by chance.
    assert PAST[door.name] >= 0.4 * FEW


def test_what_was_found_once_is_told_as_it_must_be(opened: tuple[Door, Opened]) -> None:
    door, ready = opened
    for file in sorted((ROOT / door.name).glob("*.bin")):
        ready.check(file.read_bytes())


def test_every_input_that_is_kept_is_of_a_door() -> None:
    assert {folder.name for folder in ROOT.iterdir()} <= {door.name for door in doors()}


SAME = {"8svx": "svx", "aif": "aiff", "aifc": "aiff", "bwf": "wav", "mpa": "mp2", "mpga": "mp3", "oga": "ogg",
        "ogx": "ogg", "snd": "au", "sph": "nist", "wave": "wav"}  # fmt: skip
"""Other endings of names -> the kind of sound."""


@pytest.mark.parametrize("ending", sorted(AUDIO))
def test_every_kind_of_audio_has_a_seed_that_is_heard(ending: str) -> None:
    kind = SAME.get(ending, ending)
    assert kind in {each for kinds in CONTAINERS.values() for each in kinds}
    found = audio.decode(sounds()[kind])
    assert 0.09 < found.duration < 0.15
    assert found.samples.std() > 0.01


def test_half_of_the_strange_inputs_come_past_the_header() -> None:
    assert sum(PAST.values()) >= 0.5 * FEW * len(PAST)


@pytest.mark.parametrize("name", ["config", "weights-index"])
def test_every_input_of_a_checkpoint_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (door,) = doors([name])
    check = door.open(tmp_path).check
    read, load = set(), documents.load

    def loaded(file: Path) -> object:
        read.add(file.read_bytes())
        return load(file)

    monkeypatch.setattr(documents, "load", loaded)
    inputs = {b"%d" % number for number in range(100)}
    assert not any([check(data) for data in inputs])
    assert inputs <= read


@pytest.mark.parametrize("name", ["task-record", "run-manifest", "success", "lease", "forgotten"])
def test_text_that_only_begins_as_an_object_is_not_past_the_header(name: str, tmp_path: Path) -> None:
    (door,) = doors([name])
    check = door.open(tmp_path).check
    assert not check(b'{"a": 1')
    assert not check(b'["a", 1]')
    assert check(b'{"a": 1}')
