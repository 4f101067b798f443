import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpus import Recording
from pipeline.sources import Problem, entries, sidecars
from pipeline.sources.labels import NONE, Labels
from pipeline.sources.sidecars import Sidecars

Audio = Callable[..., bytes]
MakeTar = Callable[..., bytes]


def _told(members: dict[str, bytes], *audio: str) -> tuple[dict[str, Labels], list[tuple[str, str]]]:
    found = Sidecars("s")
    for name, content in members.items():
        found.take(name, len(content), lambda content=content: content)
    return found.of(audio)


def _planned(path: Path) -> tuple[list[Recording], list[Problem]]:
    items = list(entries([str(path)]))
    return [each for item in items if isinstance(item, tuple) for each in item], [
        item for item in items if isinstance(item, Problem)
    ]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("turn", range(0, 24, 5))
def test_a_recording_takes_its_own_sidecars_in_any_order(
    turn: int, mode: str, make_tar: MakeTar, audio: Audio, tmp_path: Path
) -> None:
    members = [
        [("s.take2.txt", b"second"), ("s.take2.wav", audio()), ("s.txt", b"first"), ("s.wav", audio())],
        [("u.v.json", b'{"speaker": "ann"}'), ("u.v.flac", audio(0.1, "FLAC")), ("u.v.txt", b"third")],
    ]
    order = [each for key in members for each in list(itertools.permutations(key))[turn % (6 if len(key) == 3 else 24)]]
    (tmp_path / ("x.tar" if mode == "w" else "x.tar.gz")).write_bytes(make_tar(order, mode))
    recordings, problems = _planned(tmp_path)
    assert problems == []
    assert {each.member: (each.key, each.reference, each.metadata) for each in recordings} == {
        "s.wav": ("s", "first", None),
        "s.take2.wav": ("s", "second", None),
        "u.v.flac": ("u", "third", '{"speaker": "ann"}'),
    }


_STEMS = st.lists(st.sampled_from(["s", "s.a", "s.b", "s.a.b", "s.A"]), unique=True, min_size=1)


@given(_STEMS, _STEMS)
def test_in_a_tar_own_sidecars_are_those_of_a_folder(texts: list[str], sounds: list[str]) -> None:
    told, wrong = _told({f"{stem}.txt": stem.encode() for stem in texts}, *(f"{stem}.wav" for stem in sounds))
    assert wrong == []
    for stem in sounds:
        assert told[stem].reference == (stem if stem in texts else "s" if "s" in texts else None)


def test_what_its_own_sidecars_leave_open_the_keys_say() -> None:
    key = {"s.txt": b"of the key", "s.json": b'{"speaker": "ann"}'}
    names = ("s.wav", "s.left.wav", "s.both.wav", "s.json.wav", "s.said.wav")
    own = {
        "s.left.TXT": b"left",
        "s.both.txt": b"both",
        "s.both.json": b'{"speaker": "bo"}',
        "s.json.json": b'{"speaker": "cy"}',
        "s.said.json": b'{"text": "said"}',
    }
    assert _told({**own, **key}, *names) == (
        {
            "s": Labels("of the key", '{"speaker": "ann"}'),
            "s.left": Labels("left", '{"speaker": "ann"}'),
            "s.both": Labels("both", '{"speaker": "bo"}'),
            "s.json": Labels("of the key", '{"speaker": "cy"}'),
            "s.said": Labels("said", None),
        },
        [],
    )


def test_members_that_are_no_sidecars_of_the_recordings_are_passed_over() -> None:
    members = {"s.meta.json": b"[", "s.left.txt": b"\xff", "s.txt": b"one"}
    assert _told(members, "s.wav") == ({"s": Labels("one", None)}, [])


def test_own_sidecars_that_cannot_be_read_are_not_made_up_for_by_the_keys() -> None:
    members = {"s.a.json": b"[", "s.b.txt": b"b", "s.txt": b"of the key"}
    told, wrong = _told(members, "s.a.wav", "s.a.flac", "s.b.wav", "s.wav")
    assert told == {"s": Labels("of the key", None), "s.a": NONE, "s.b": Labels("b", None)}
    ((name, message),) = wrong
    assert name == "s.a"
    assert "not JSON" in message


def test_what_is_named_after_a_whole_name_is_told_where_there_is_no_label() -> None:
    members = {"s.wav.txt": b"one", "s.a.wav.json": b"{}", "s.b.wav.json": b"{}", "s.b.txt": b"two"}
    told, wrong = _told(members, "s.wav", "s.a.wav", "s.b.wav")
    assert told == {"s": NONE, "s.a": NONE, "s.b": Labels("two", None)}
    assert wrong == [
        ("s.wav.txt", "a sidecar has the name of its audio up to the last dot: s.txt"),
        ("s.a.wav.json", "a sidecar has the name of its audio up to the last dot: s.a.json"),
    ]


def test_so_much_is_held_of_one_key_and_what_is_beyond_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecars, "MOST_HELD", 1000)
    monkeypatch.setattr(sidecars.labels, "MAX_SIDECAR", 600)
    found = Sidecars("s")
    read: list[str] = []
    for name, size in [("s.0.txt", 500), ("s.1.txt", 600), ("s.2.txt", 601), ("s.txt", 600), ("s.3.json", 500)]:
        found.take(name, size, lambda name=name: read.append(name) or name.encode())
    assert read == ["s.0.txt", "s.txt"]
    told, wrong = found.of(["s.0.wav", "s.1.wav", "s.wav", "s.4.wav"])
    assert {stem: each.reference for stem, each in told.items()} == {
        "s": "s.txt", "s.0": "s.0.txt", "s.1": None, "s.4": "s.txt",
    }  # fmt: skip
    assert wrong == [("s.1", "its sidecars are not read: those of one key are more than 1,000 bytes")]


def test_many_sidecars_of_one_key_take_no_longer_each(make_tar: MakeTar, tmp_path: Path) -> None:
    names = [f"v1.0-{number:05}" for number in range(4000)]
    members = [(f"{name}.{kind}", name.encode() if kind == "txt" else b"") for name in names for kind in ("txt", "wav")]
    (tmp_path / "x.tar").write_bytes(make_tar(members))
    begin = time.process_time()
    recordings, _ = _planned(tmp_path)
    assert [each.reference for each in recordings] == names
    assert time.process_time() - begin < 4
