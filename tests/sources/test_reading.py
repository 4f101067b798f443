import bz2
import contextlib
import dataclasses
import io
import os
import re
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf

from pipeline.corpus import Recording, Unit
from pipeline.errors import RecordingError, StorageFault
from pipeline.sources import Encoded, Problem, entries, open_audio, read, reading
from pipeline.storage import put
from pipeline.storage.read import MEGABYTE
from tests.hurry import hurry

Audio = Callable[..., bytes]
MakeTar = Callable[..., bytes]
Fill = Callable[[str, dict[str, bytes]], str]


def _recordings(source: str) -> tuple[Recording, ...]:
    return tuple(each for item in entries([source]) if not isinstance(item, Problem) for each in item)


def _content(encoded: Encoded, index: int) -> bytes:
    place = encoded.slices[index]
    assert place is not None
    return bytes(encoded.payload[place[0] : place[0] + place[1]])


def test_files_and_members_come_back_whole(folder: str, fill: Fill, audio: Audio, make_tar: MakeTar) -> None:
    clips = [audio(0.05, seed=number) for number in range(30)]
    fill(folder, {f"{number:02}.wav": clip for number, clip in enumerate(clips[:10])})
    put.put(f"{folder}/x.tar", make_tar([(f"{number:02}.wav", clips[number]) for number in range(10, 20)]))
    put.put(f"{folder}/y.tar.gz", make_tar([(f"{number:02}.wav", clips[number]) for number in range(20, 30)], "w:gz"))
    recordings = _recordings(folder)[::-1]
    encoded = read(Unit("u", recordings))
    assert encoded.recordings == recordings
    assert not encoded.errors
    for index, each in enumerate(recordings):
        assert _content(encoded, index) == clips[int(each.key.rpartition("/")[2])]
    assert len(encoded.payload) == sum(map(len, clips))


def test_the_only_member_of_a_compressed_tar_is_not_held_twice(
    tmp_path: Path, make_tar: MakeTar, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 24 * MEGABYTE
    (tmp_path / "x.tar.gz").write_bytes(make_tar([("a.wav", bytes(size - 1) + b"!")], "w:gz"))
    recordings = _recordings(str(tmp_path / "x.tar.gz"))
    monkeypatch.setattr(reading, "_STEP", MEGABYTE)
    tracemalloc.start()
    try:
        encoded = read(Unit("u", recordings))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(encoded.payload) == size
    assert _content(encoded, 0).endswith(b"!")
    assert peak < 1.5 * size


def test_missing_and_changed_sources_cost_no_neighbour(
    folder: str, fill: Fill, audio: Audio, make_tar: MakeTar
) -> None:
    fill(folder, {f"{name}.wav": audio() for name in "abc"})
    put.put(f"{folder}/x.tar", make_tar([("k.wav", audio()), ("l.wav", audio())]))
    recordings = _recordings(folder)
    put.delete(f"{folder}/a.wav")
    put.put(f"{folder}/c.wav", audio(0.2))
    put.put(f"{folder}/x.tar", make_tar([("k.wav", audio())]))
    encoded = read(Unit("u", recordings))
    assert {index: (each.stage, each.type) for index, each in encoded.errors.items()} == {
        0: ("read", "missing"),
        2: ("read", "changed"),
        3: ("read", "changed"),
        4: ("read", "changed"),
    }
    assert [place is None for place in encoded.slices] == [True, False, True, True, True]
    assert _content(encoded, 1) == audio()
    assert "is not what was planned" in encoded.errors[2].message


def test_a_unit_is_read_in_few_requests(s3_proxy: Any, audio: Audio, make_tar: MakeTar) -> None:
    uri = f"{s3_proxy.bucket.uri}/x.tar"
    put.put(uri, make_tar([(f"{number}.wav", audio(1.0)) for number in range(100)]))
    recordings = _recordings(uri)
    s3_proxy.requests.clear()
    encoded = read(Unit("u", recordings[10:]))
    assert not encoded.errors
    assert sorted(line.split()[0] for line in s3_proxy.requests) == ["GET", "HEAD"]


def test_storage_that_fails_is_never_an_error_of_a_recording(
    s3_proxy: Any, fill: Fill, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    fill(s3_proxy.bucket.uri, {f"{n}.wav": audio(seed=n) for n in range(3)})
    recordings = _recordings(s3_proxy.bucket.uri)
    s3_proxy.refuse("^GET .*/1.wav", status=503, code="SlowDown", times=2)
    s3_proxy.cut_body("^GET .*/2.wav", after=100, times=2)
    beats: list[None] = []
    encoded = read(Unit("u", recordings), lambda: beats.append(None))
    assert not encoded.errors
    assert [_content(encoded, index) for index in range(3)] == [audio(seed=n) for n in range(3)]
    assert len(beats) >= 3 + 3 + 2, "of each look, each read, and each answer that asks for time"
    s3_proxy.refuse("^GET .*/1.wav", status=503, code="SlowDown")
    with pytest.raises(StorageFault, match="/1.wav: .*while reading"):
        read(Unit("u", recordings))


def test_expired_credentials_are_never_an_error_of_a_recording(s3_proxy: Any, fill: Fill, audio: Audio) -> None:
    from pipeline.errors import UserError

    fill(s3_proxy.bucket.uri, {"a.wav": audio()})
    recordings = _recordings(s3_proxy.bucket.uri)
    s3_proxy.refuse("^HEAD", status=403, code="")
    s3_proxy.refuse("^GET", status=400, code="ExpiredToken")
    with pytest.raises(UserError, match="credentials refused"):
        read(Unit("u", recordings))


@pytest.mark.parametrize("names", ["a", "ab"])
@pytest.mark.parametrize("left", ["no folder", "an empty folder"])
def test_a_node_without_the_mount_blames_no_recording(tmp_path, fill: Fill, audio: Audio, names, left) -> None:
    folder = fill(f"file://{tmp_path}/mount", {f"{name}.wav": audio() for name in names})
    recordings = _recordings(folder)
    (tmp_path / "mount").rename(tmp_path / "elsewhere")
    if left == "an empty folder":
        (tmp_path / "mount").mkdir()
    with pytest.raises(StorageFault, match=f"{socket.gethostname()} does not reach {folder} either: give this node"):
        read(Unit("u", recordings))
    with pytest.raises(StorageFault, match="does not reach"), open_audio(recordings[0]):
        pass


def test_a_node_that_is_refused_all_of_a_unit_blames_no_recording(
    folder: str, fill: Fill, audio: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder, {"a.wav": audio(), "b.wav": audio()})
    recordings = _recordings(folder)
    monkeypatch.setattr(reading, "read_range", _refused)
    with pytest.raises(StorageFault, match="access denied, and"):
        read(Unit("u", recordings))
    assert [each.type for each in read(Unit("u", recordings[:1])).errors.values()] == ["unreadable"]


def test_a_bucket_that_is_closed_to_this_node_blames_no_recording(s3_proxy: Any, fill: Fill, audio: Audio) -> None:
    fill(s3_proxy.bucket.uri, {"a.wav": audio()})
    recordings = _recordings(s3_proxy.bucket.uri)
    s3_proxy.refuse("^(GET|HEAD) ", status=403, code="AccessDenied")
    with pytest.raises(StorageFault, match=f"access denied, and .* does not reach {s3_proxy.bucket.uri}"):
        read(Unit("u", recordings))


def test_what_was_deleted_beside_others_is_missing(folder: str, fill: Fill, audio: Audio) -> None:
    fill(folder, {f"{name}.wav": audio() for name in "abc"})
    recordings = _recordings(folder)
    for name in "ab":
        put.delete(f"{folder}/{name}.wav")
    for unit in (recordings, recordings[:2], recordings[:1]):
        encoded = read(Unit("u", unit))
        assert [each.type for each in encoded.errors.values()] == ["missing"] * min(2, len(unit))


def test_what_was_missing_when_it_was_planned_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to("nowhere/a.wav")
    (tmp_path / "m.jsonl").write_text('{"path": "nowhere/b.wav"}')
    encoded = read(Unit("u", (*_recordings(str(tmp_path)), *_recordings(f"{tmp_path}/m.jsonl"))))
    assert [each.type for each in encoded.errors.values()] == ["missing"] * 2


def _refused(uri: str, start: int, length: int) -> bytes:
    raise PermissionError(13, "Permission denied", uri)


def test_spans_are_left_to_seeking(folder: str, fill: Fill, audio: Audio, make_tar: MakeTar) -> None:
    clip = audio(1.0)
    fill(folder, {"a.wav": clip, "b.tar": make_tar([("k.wav", clip)]), "c.tar.gz": make_tar([("k.wav", clip)], "w:gz")})
    for recording in _recordings(folder):
        span = dataclasses.replace(recording, spans=2)
        encoded = read(Unit("u", (span, recording)))
        assert not encoded.errors
        assert encoded.slices == (None, (0, len(clip)))
        with open_audio(span) as file:
            assert sf.info(file).duration == 1.0
            file.seek(-100, io.SEEK_END)
            assert file.read(100) == clip[-100:]


def test_a_stretch_of_a_huge_file_is_left_to_seeking(tmp_path: Path) -> None:
    huge = tmp_path / "huge.wav"
    with huge.open("wb") as file:
        file.truncate(3 * 10**9)
    (recording,) = _recordings(str(huge))
    encoded = read(Unit("u", (dataclasses.replace(recording, start=5.0, end=6.0),)))
    assert (encoded.slices, encoded.errors, len(encoded.payload)) == ((None,), {}, 0)


def test_open_audio_tells_what_is_wrong(folder: str, fill: Fill, audio: Audio) -> None:
    fill(folder, {"a.wav": audio(), "b.wav": audio()})
    recording, _ = _recordings(folder)
    put.put(f"{folder}/a.wav", audio(0.5))
    with pytest.raises(RecordingError, match="is not what was planned") as caught, open_audio(recording):
        pass
    assert caught.value.error.type == "changed"
    put.delete(f"{folder}/a.wav")
    with pytest.raises(RecordingError, match="no longer there") as caught, open_audio(recording):
        pass
    assert caught.value.error.type == "missing"


def test_a_decoder_cannot_swallow_a_storage_fault(s3_proxy: Any, audio: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, tries=2)
    put.put(f"{s3_proxy.bucket.uri}/a.wav", audio(60.0))
    (recording,) = _recordings(f"{s3_proxy.bucket.uri}/a.wav")

    def swallow() -> None:
        with open_audio(recording) as file:
            file.read(10)
            s3_proxy.refuse("^GET ", status=503, code="SlowDown")
            file.seek(1_800_000)
            with contextlib.suppress(StorageFault):
                file.read(10)

    with pytest.raises(StorageFault, match="while reading"):
        swallow()


def test_a_damaged_member_of_a_compressed_tar_is_kept_up_to_the_damage(
    tmp_path: Path, make_tar: MakeTar, audio: Audio
) -> None:
    clips = [audio(5.0, seed=number) for number in range(3)]
    # In blocks of 100 kB; not every zlib takes the same damage for the same.
    data = bytearray(bz2.compress(make_tar([(f"{number}.wav", clip) for number, clip in enumerate(clips)]), 1))
    (tmp_path / "a.tar.bz2").write_bytes(data)
    recordings = _recordings(str(tmp_path))
    middle = len(data) // 2
    data[middle : middle + 100] = b"\xff" * 100
    status = (tmp_path / "a.tar.bz2").stat()
    (tmp_path / "a.tar.bz2").write_bytes(data)
    os.utime(tmp_path / "a.tar.bz2", ns=(status.st_atime_ns, status.st_mtime_ns))
    encoded = read(Unit("u", recordings))
    assert _content(encoded, 0) == clips[0]
    # The damage is in the third block: what bz2 makes of it is given out before its checksum is looked at.
    assert _content(encoded, 1)[:38_000] == clips[1][:38_000]
    assert {index: error.type for index, error in encoded.errors.items()} == {2: "truncated"}
    words = r"a\.tar\.bz2 cannot be decompressed beyond byte \d+ of its content \(Invalid data stream\)$"
    assert re.search(words, encoded.errors[2].message), encoded.errors[2].message


def test_recordings_that_lie_far_apart_are_read_each_from_its_place(
    folder: str, audio: Audio, make_tar: MakeTar, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [audio(0.05, seed=number) for number in range(6)]
    gap = b"x" * (3 * MEGABYTE)
    members = [
        (f"{number}.{part}", content)
        for number, clip in enumerate(clips)
        for part, content in (("wav", clip), ("x", gap))
    ]
    put.put(f"{folder}/x.tar", make_tar(members))
    recordings = _recordings(folder)
    asked: list[int] = []
    whole_range = reading.read_range
    monkeypatch.setattr(
        reading, "read_range", lambda uri, start, length: asked.append(length) or whole_range(uri, start, length)
    )
    encoded = read(Unit("u", recordings))
    assert len(asked) == len(clips)
    assert sum(asked) < MEGABYTE
    assert [_content(encoded, index) for index in range(len(clips))] == clips
