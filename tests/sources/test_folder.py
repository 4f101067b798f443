import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import Problem, entries
from pipeline.sources.folder import Files, with_sidecars
from pipeline.storage.listing import Entry

Audio = Callable[..., bytes]
Fill = Callable[[str, dict[str, bytes]], str]

_NAMES = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from(["a", "-", "é", "x y"]), max_size=2), st.sampled_from(
        ["wav", "flac", "txt", "json", "md", "tar"]
    )),
    unique_by=str,
    max_size=30,
)  # fmt: skip


@given(_NAMES)
def test_sidecars_find_their_audio_in_one_pass(names: list[tuple[str, list[str], str]]) -> None:
    uris = sorted({f"f://{folder}/{'.'.join(['r', *parts])}.{last}" for folder, parts, last in names})
    found = list(with_sidecars((Entry(uri, 1, "1") for uri in uris), apart=lambda entry: entry.uri.endswith(".tar")))
    shards = [each.uri for each in found if isinstance(each, Entry)]
    files = [each for each in found if isinstance(each, Files)]
    assert shards == [uri for uri in uris if uri.endswith(".tar")]
    assert sorted(each.uri for file in files for each in file.audio) == [u for u in uris if u.endswith(("wav", "flac"))]
    for file in files:
        assert file.text == (file.stem + ".txt" if file.stem + ".txt" in uris else None)
        assert file.json == (file.stem + ".json" if file.stem + ".json" in uris else None)


def test_memory_is_for_a_few_names() -> None:
    seen = []

    def listing() -> Any:
        for number in range(1000):
            seen.append(number)
            yield Entry(f"f:///rec.{number:04}.wav", 1, "1")

    for number, _ in enumerate(with_sidecars(listing(), apart=lambda _: False)):
        assert len(seen) <= number + 2


def test_a_folder_of_audio(folder: str, fill: Fill, audio: Audio) -> None:
    clip = audio(0.25)
    files = {
        "a.wav": clip,
        "a.flac": audio(0.25, "FLAC"),
        "a.txt": b"one two\n",
        "a.json": b'{"speaker": "ann"}',
        "sub folder/ü #%20.WAV": clip,
        "sub folder/語?.ogg": audio(1.0, "OGG", rate=44100),
        "talk.m4a": b"x",
        "a.flac.gz": b"x",
        "code.ts": b"x",
        "readme.txt": b"x",
        "list.jsonl": b"{}",
        "empty.wav": b"",
        "notes.wav": b"This is text.\n" * 10,
    }
    fill(folder, files)
    found = list(entries([folder]))
    problems = [item for item in found if isinstance(item, Problem)]
    recordings = {item[0].id.removeprefix(folder + "/"): item[0] for item in found if not isinstance(item, Problem)}
    assert set(recordings) == {name for name in files if name.lower().endswith(("wav", "flac", "ogg"))}
    assert [(each.uri, each.message[:18]) for each in problems] == [
        (f"{folder}/a.flac.gz", "audio within gz is"),
        (f"{folder}/talk.m4a", "m4a cannot be read"),
    ]
    for name in ("a.wav", "a.flac"):
        first = recordings[name]
        assert (first.key, first.reference, first.metadata) == ("a", "one two", '{"speaker": "ann"}')
        assert (first.seconds, first.seconds_from, first.sample_rate) == (0.25, "header", 16000)
    assert recordings["sub folder/ü #%20.WAV"].format == "wav"
    assert recordings["sub folder/ü #%20.WAV"].key == "sub folder/ü #%20"
    assert recordings["sub folder/語?.ogg"].seconds_from == "bitrate"
    assert (recordings["empty.wav"].seconds, recordings["empty.wav"].seconds_from) == (0.0, "estimate")
    assert recordings["notes.wav"].seconds_from == "estimate"


def test_sidecars_of_a_file_that_is_named(folder: str, fill: Fill, audio: Audio) -> None:
    fill(folder, {"x/a.wav": audio(), "x/a.txt": b"one", "x/b.wav": audio()})
    ((recording,),) = [item for item in entries([f"{folder}/x/a.wav"]) if not isinstance(item, Problem)]
    assert (recording.id, recording.reference) == (f"{folder}/x/a.wav", "one")
    assert [item[0].reference for item in entries([f"{folder}/x/*.wav"]) if not isinstance(item, Problem)] == [
        "one",
        None,
    ]


def test_sidecars_of_a_file_that_is_named_in_capitals(folder: str, fill: Fill, audio: Audio) -> None:
    both = {"V.WAV": audio(), "V.txt": b"lower", "V.TXT": b"upper"}
    fill(folder, {"U.WAV": audio(), "U.TXT": b"one", "U.JSON": b'{"speaker": "ann"}', **both})
    found = [[*entries([f"{folder}/{name}"])] for name in ("U.WAV", "*.WAV")]
    assert [(item[0].reference, item[0].metadata) for item in itertools.chain(*found) if isinstance(item, tuple)] == [
        ("one", '{"speaker": "ann"}'),
        ("one", '{"speaker": "ann"}'),
        ("lower", None),
    ]


def test_a_store_is_asked_for_no_more_sidecars_than_may_be_there(s3_proxy: Any, fill: Fill, audio: Audio) -> None:
    fill(s3_proxy.bucket.uri, {name: audio() for name in ("a.wav", "B.WAV", "c.Wav")})
    s3_proxy.requests.clear()
    list(entries([f"{s3_proxy.bucket.uri}/*"]))
    asked = (line.split()[1].rpartition("/")[2] for line in s3_proxy.requests)
    assert sorted({name for name in asked if name.lower().endswith(("txt", "json"))}) == [
        "B.JSON", "B.TXT", "B.json", "B.txt", "a.json", "a.txt", "c.json", "c.txt",
    ]  # fmt: skip


def test_sidecars_that_cannot_be_read_do_not_cost_the_recording(folder: str, fill: Fill, audio: Audio) -> None:
    fill(folder, {"a.wav": audio(), "a.txt": b"\xff\xfe", "b.wav": audio()})
    found = list(entries([folder]))
    assert [item.uri for item in found if isinstance(item, Problem)] == [f"{folder}/a"]
    assert len(found) == 3


def test_the_order_is_fixed(folder: str, fill: Fill, audio: Audio) -> None:
    names = [f"{number:03}.wav" for number in range(60)]
    random.Random(0).shuffle(names)
    fill(folder, dict.fromkeys(names, audio(0.01)))
    found = [item[0].key for item in entries([folder]) if not isinstance(item, Problem)]
    assert found == sorted(name.removesuffix(".wav") for name in names)


def test_a_name_that_is_no_utf8_is_a_problem(tmp_path: Any, audio: Audio) -> None:
    import os

    (tmp_path / "ok.wav").write_bytes(audio())
    with open(os.fsencode(tmp_path) + b"/\xff.wav", "wb") as file:
        file.write(audio())
    found = list(entries([str(tmp_path)]))
    assert [item.message for item in found if isinstance(item, Problem)] == ["the file's name is not UTF-8; rename it"]
    assert [item.uri for item in found if isinstance(item, Problem)] == [f"file://{tmp_path}/\\xff.wav"]
    assert len(found) == 2


def test_a_name_with_credentials_is_a_problem(tmp_path: Path, audio: Audio) -> None:
    for name in ("ok.wav", "a.wav?X-Amz-Signature=geheimes.wav"):
        (tmp_path / name).write_bytes(audio())
    found = list(entries([str(tmp_path)]))
    problems = [item for item in found if isinstance(item, Problem)]
    assert [item[0].source for item in found if not isinstance(item, Problem)] == [f"file://{tmp_path}/ok.wav"]
    assert [each.uri for each in problems] == [f"file://{tmp_path}/a.wav?X-Amz-Signature=***"]
    assert problems[0].message == "the file's name holds credentials, which would stay in its id; rename it"


@pytest.mark.parametrize("first", ["HEAD", "GET"])
def test_an_object_that_is_closed_is_planned_and_fails_alone(
    first: str, s3_proxy: Any, fill: Fill, audio: Audio
) -> None:
    from pipeline.corpus import Unit
    from pipeline.sources import read

    fill(s3_proxy.bucket.uri, {f"{n}.wav": audio() for n in range(3)})
    for method in ("HEAD", "GET") if first == "HEAD" else ("GET",):
        s3_proxy.refuse(f"^{method} .*/1.wav", status=403, code="AccessDenied")
    recordings = tuple(item[0] for item in entries([s3_proxy.bucket.uri]) if not isinstance(item, Problem))
    assert len(recordings) == 3
    encoded = read(Unit("u", recordings))
    assert {index: (each.stage, each.type) for index, each in encoded.errors.items()} == {1: ("read", "unreadable")}
    assert encoded.slices[0] is not None
    assert encoded.slices[2] is not None
