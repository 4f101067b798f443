import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.corpus import Recording, Unit
from pipeline.errors import UserError
from pipeline.sources import Group, Problem, Unchanged, entries, jsonl, labels, read
from pipeline.storage import put

Audio = Callable[..., bytes]


def _lines(*lines: dict[str, Any]) -> bytes:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def _groups(source: str, **options: Any) -> list[Group]:
    found = list(entries([source], **options))
    assert not [item for item in found if isinstance(item, Problem)]
    return [item for item in found if not isinstance(item, Problem)]


@pytest.fixture
def clips(folder: str, audio: Audio) -> str:
    put.put(f"{folder}/clips/a b#.wav", audio(2.0, seed=1))
    put.put(f"{folder}/clips/b.flac", audio(1.0, "FLAC", seed=2))
    return folder


def test_a_line_is_a_recording(clips: str, audio: Audio) -> None:
    manifest = _lines(
        {"audio_filepath": "clips/a b#.wav", "text": "four é", "speaker": "ann", "year": 2026, "tags": ["x"]},
        {"path": "clips/b.flac", "id": "my id/1", "path2": None},
    )
    put.put(f"{clips}/m.jsonl", b"\xef\xbb\xbf \n" + manifest + b"\r\n  \n")
    ((first,), (second,)) = _groups(f"{clips}/m.jsonl")
    assert first == Recording(
        id=f"{clips}/clips/a b#.wav",
        source=f"{clips}/clips/a b#.wav",
        key="clips/a b#",
        version=first.version,
        recording=f"{clips}/clips/a b#.wav",
        format="wav",
        seconds=2.0,
        seconds_from="header",
        size=64044,
        sample_rate=16000,
        reference="four é",
        metadata='{"speaker": "ann", "year": 2026, "tags": ["x"]}',
    )
    assert (second.id, second.recording) == ("my id/1", f"{clips}/clips/b.flac")
    assert second.metadata == '{"path2": null}'


def test_lines_of_one_file_are_one_group_and_one_slice(clips: str, audio: Audio) -> None:
    manifest = _lines(
        {"audio_filepath": "clips/a b#.wav", "offset": 0.5, "duration": 0.25},
        {"audio_filepath": "clips/b.flac", "duration": 0.125},
        {"audio_filepath": "clips/a b#.wav", "offset": 1},
        {"audio_filepath": "./clips/../clips/a b#.wav", "offset": 1.0000001, "duration": 0.1},
    )
    put.put(f"{clips}/m.json", manifest)
    groups = _groups(f"{clips}/m.json", corpus="radio")
    assert [[each.id for each in group] for group in groups] == [
        ["radio/clips/a b#.wav@0.5-0.75", "radio/clips/a b#.wav@1-"],
        ["radio/clips/b.flac@0-0.125"],
        ["radio/clips/a b#.wav@1-1.1"],
    ]
    first, open_end = groups[0]
    assert (first.start, first.end, first.seconds, first.seconds_from) == (0.5, 0.75, 0.25, "header")
    assert (open_end.start, open_end.end, open_end.seconds) == (1.0, None, 1.0)
    assert first.recording == open_end.recording == "radio/clips/a b#.wav"
    encoded = read(Unit("u", groups[0]))
    assert encoded.slices == ((0, 64044), (0, 64044))
    assert bytes(encoded.payload) == audio(2.0, seed=1)


def test_paths_start_at_the_manifest_and_may_climb_or_be_absolute(clips: str) -> None:
    absolute = f"{clips}/clips/b.flac".removeprefix("file://")
    manifest = _lines({"path": "../clips/b.flac"}, {"path": absolute, "id": "x"})
    put.put(f"{clips}/lists/m.jsonl", manifest)
    recordings = [each for group in _groups(f"{clips}/lists/m.jsonl", corpus="radio") for each in group]
    assert [each.source for each in recordings] == [f"{clips}/clips/b.flac"] * 2
    assert recordings[0].id == "radio/../clips/b.flac"
    assert recordings[1].recording == f"radio/{clips}/clips/b.flac"


def test_a_missing_file_is_an_error_of_its_line_and_of_no_other(clips: str) -> None:
    manifest = _lines({"path": "clips/nix.wav", "duration": 3}, {"path": "clips/b.flac"}, {"path": "clips"})
    put.put(f"{clips}/m.jsonl", manifest)
    recordings = tuple(each for group in _groups(f"{clips}/m.jsonl") for each in group)
    assert [each.seconds for each in recordings] == [3.0, 1.0, 0.0]
    encoded = read(Unit("u", recordings))
    assert {index: error.type for index, error in encoded.errors.items()} == {0: "missing", 2: "missing"}
    assert encoded.errors[0].message.endswith("clips/nix.wav is no longer there")
    assert encoded.slices[1] is not None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "not JSON"),
        (b"[", "not JSON"),
        (b"7", "one JSON object a line, not 7"),
        (b"\xff", "not JSON"),
        (b"{}", "must name an audio file, not None"),
        (b'{"path": 3}', "must name an audio file, not 3"),
        (b'{"path": ""}', "must name an audio file"),
        (b'{"path": "a\\u0000b"}', "must name an audio file"),
        (b'{"path": "\\ud800"}', "must name an audio file"),
        (b'{"path": "a", "offset": -1}', "offset must be seconds, 0 or more, not -1"),
        (b'{"path": "a", "duration": "3"}', "duration must be seconds, 0 or more, not '3'"),
        (b'{"path": "a", "duration": NaN}', "duration must be seconds"),
        (b'{"path": "a", "offset": true}', "offset must be seconds"),
        (b'{"path": "a", "id": 7}', "id must be text, not 7"),
        (b'{"path": "a", "text": 7}', "text must be text, not 7"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_planned(line: bytes, says: str, clips: str) -> None:
    put.put(f"{clips}/m.jsonl", b'{"path": "clips/b.flac"}\n\n' + line + b"\n")
    with pytest.raises(UserError, match=rf"m.jsonl, line 3: .*{says}"):
        next(entries([f"{clips}/m.jsonl"]))


def test_odd_values_travel_as_json(clips: str) -> None:
    put.put(
        f"{clips}/m.jsonl", b'{"path": "clips/b.flac", "snr": NaN, "t": [Infinity], "text": "a\\ud800", "o": "\\ud800"}'
    )
    ((recording,),) = _groups(f"{clips}/m.jsonl")
    assert recording.reference == "a?"
    assert json.loads(recording.metadata or "") == {"snr": None, "t": [None], "o": "\ud800"}
    (recording.metadata or "").encode()


def test_an_empty_manifest_has_no_audio(clips: str) -> None:
    put.put(f"{clips}/m.jsonl", b"\n\n")
    with pytest.raises(UserError, match="m.jsonl: no audio found"):
        list(entries([f"{clips}/m.jsonl"]))


def test_declared_durations_spare_looking_into_files(s3_proxy: Any, audio: Audio) -> None:
    folder = s3_proxy.bucket.uri
    for number in range(5):
        put.put(f"{folder}/{number}.wav", audio())
    put.put(f"{folder}/m.jsonl", _lines(*({"path": f"{number}.wav", "duration": 0.1} for number in range(5))))
    s3_proxy.requests.clear()
    assert len(_groups(f"{folder}/m.jsonl")) == 5
    assert not [line for line in s3_proxy.requests if line.startswith("GET") and ".wav" in line]


def test_a_known_line_that_has_become_long_enough_to_be_cut_is_looked_at_again(clips: str) -> None:
    lines = [
        {"path": "clips/a b#.wav", "id": "short", "duration": 2.0},
        {"path": "clips/b.flac", "id": "long", "duration": 20_000},
    ]
    put.put(f"{clips}/m.jsonl", _lines(*lines))
    known, planned = entries([f"{clips}/m.jsonl"], known=lambda name, version: 1)
    assert isinstance(known, Unchanged)
    assert known.name == "short"
    assert isinstance(planned, tuple)
    assert [each.id for each in planned] == ["long"]


def test_labels_are_made_once_and_only_of_what_is_planned(clips: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, checked = [], []
    from_fields, refuse_secrets = labels.from_fields, jsonl.refuse_secrets
    monkeypatch.setattr(labels, "from_fields", lambda fields: made.append(fields) or from_fields(fields))
    monkeypatch.setattr(jsonl, "refuse_secrets", lambda text, place: checked.append(text) or refuse_secrets(text))
    put.put(f"{clips}/m.jsonl", _lines({"path": "clips/b.flac", "text": "a"}, {"path": "clips/a b#.wav", "id": "1"}))
    assert len(_groups(f"{clips}/m.jsonl")) == 2
    assert sorted(map(str, made)) == ["{'text': 'a'}", "{}"]
    assert checked == ["clips/b.flac", "clips/a b#.wav", "1"]
    made.clear()
    assert all(isinstance(each, Unchanged) for each in entries([f"{clips}/m.jsonl"], known=lambda *_: 1))
    assert made == []
