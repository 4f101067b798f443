import io
import os
import re
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpus import Recording, Unit
from pipeline.errors import UserError
from pipeline.sources import Problem, entries, read
from pipeline.storage import put

MakeTar = Callable[..., bytes]
Audio = Callable[..., bytes]


def _split(found: Any) -> tuple[list[Recording], list[Problem]]:
    items = list(found)
    recordings = [each for item in items if not isinstance(item, Problem) for each in item]
    return recordings, [item for item in items if isinstance(item, Problem)]


def test_members_are_recordings_with_their_sidecars(folder: str, make_tar: MakeTar, audio: Audio) -> None:
    one, two = audio(0.5, "WAV"), audio(0.25, "FLAC", rate=8000)
    members = [
        ("d/utt 1.json", b'{"speaker": "ann", "text": "not this"}'),
        ("d/utt 1.txt", "four één\n".encode()),
        ("d/utt 1.wav", one),
        ("d/utt 2.left.flac", two),
        ("d/utt 2.right.FLAC", two),
        ("d/utt 3.txt", b"no audio"),
        ("d/._utt 4.wav", one),
    ]
    put.put(f"{folder}/s #1.tar", make_tar(members))
    recordings, problems = _split(entries([folder]))
    assert not problems
    first, left, right = recordings
    version = first.version
    assert first == Recording(
        id=f"{folder}/s #1.tar::d/utt 1.wav",
        source=f"{folder}/s #1.tar",
        key="d/utt 1",
        version=version,
        recording=f"{folder}/s #1.tar::d/utt 1.wav",
        format="wav",
        seconds=0.5,
        seconds_from="header",
        size=len(one),
        offset=first.offset,
        member="d/utt 1.wav",
        sample_rate=16000,
        reference="four één",
        metadata='{"speaker": "ann", "text": "not this"}',
    )
    assert [(left.key, left.member, left.seconds, left.sample_rate) for left in (left, right)] == [
        ("d/utt 2", "d/utt 2.left.flac", 0.25, 8000),
        ("d/utt 2", "d/utt 2.right.FLAC", 0.25, 8000),
    ]
    assert right.format == "flac"
    encoded = read(Unit("u", (first, left, right)))
    assert not encoded.errors
    assert [bytes(encoded.payload[a : a + n]) for a, n in filter(None, encoded.slices)] == [one, two, two]


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz", "zst"])
def test_compressed_tars_are_one_group_each(mode: str, folder: str, make_tar: MakeTar, audio: Audio) -> None:
    contents = [audio(0.1, "WAV", seed=number) for number in range(5)]
    members = [(f"./{number}.wav", content) for number, content in enumerate(contents)]
    put.put(f"{folder}/a.tar.{mode}", _compressed(mode, make_tar(members)))
    (group,) = entries([f"{folder}/a.tar.{mode}"])
    assert not isinstance(group, Problem)
    assert [each.member for each in group] == [f"{number}.wav" for number in range(5)]
    assert all(each.streamed and each.seconds == 0.1 for each in group)
    encoded = read(Unit("u", (group[3], group[0])))
    assert not encoded.errors
    assert [bytes(encoded.payload[a : a + n]) for a, n in filter(None, encoded.slices)] == [contents[3], contents[0]]


def _compressed(mode: str, data: bytes) -> bytes:
    import bz2
    import gzip
    import lzma
    from functools import partial

    import pyarrow as pa

    if mode == "zst":
        return pa.Codec("zstd").compress(data, asbytes=True)
    return {"gz": gzip.compress, "bz2": partial(bz2.compress, compresslevel=1), "xz": lzma.compress}[mode](data)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_key_that_comes_back_is_refused(name: str, folder: str, make_tar: MakeTar, audio: Audio) -> None:
    data = make_tar([("k/a.wav", audio()), ("k/b.wav", audio()), ("k/a.txt", b"late")], "w:gz" if "gz" in name else "w")
    put.put(f"{folder}/{name}", data)
    with pytest.raises(UserError, match=rf"{name}: members of one key must stand together, but 'k/a' comes back"):
        list(entries([folder]))


def test_other_files_may_come_back(folder: str, make_tar: MakeTar, audio: Audio) -> None:
    put.put(f"{folder}/a.tar", make_tar([("x.md", b""), ("b.wav", audio()), ("x.cfg", b"")]))
    recordings, _ = _split(entries([folder]))
    assert [each.key for each in recordings] == ["b"]


def test_a_name_that_comes_twice_is_refused(folder: str, make_tar: MakeTar, audio: Audio) -> None:
    put.put(f"{folder}/a.tar", make_tar([("a.wav", audio()), ("./a.wav", audio())]))
    with pytest.raises(UserError, match="a.tar: 'a.wav' comes twice"):
        list(entries([folder]))


def test_links_devices_and_climbing_names_are_problems(folder: str, audio: Audio) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, kind in [("../evil.wav", tarfile.REGTYPE), ("/abs.wav", tarfile.REGTYPE), ("l.wav", tarfile.SYMTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("good.wav")
        info.size = len(audio())
        tar.addfile(info, io.BytesIO(audio()))
    put.put(f"{folder}/a.tar", file.getvalue())
    recordings, problems = _split(entries([folder]))
    assert [each.member for each in recordings] == ["good.wav"]
    assert [(each.uri.rpartition("::")[2], each.message.split()[0]) for each in problems] == [
        ("../evil.wav", "a"),
        ("/abs.wav", "a"),
        ("l.wav", "a"),
    ]
    assert "absolute or climb" in problems[0].message
    assert "never followed" in problems[2].message


def test_a_sidecar_that_cannot_be_read_is_a_problem(folder: str, make_tar: MakeTar, audio: Audio) -> None:
    put.put(f"{folder}/a.tar", make_tar([("a.json", b"{"), ("a.wav", audio()), ("b.wav", audio())]))
    recordings, problems = _split(entries([folder]))
    assert [each.key for each in recordings] == ["a", "b"]
    assert problems[0].uri == f"{folder}/a.tar::a"
    assert "not JSON" in problems[0].message


class TestTruncated:
    def _members(self, audio: Audio) -> list[tuple[str, bytes]]:
        return [(f"{number}.wav", audio(1.0, seed=number)) for number in range(4)]

    def test_plain(self, folder: str, make_tar: MakeTar, audio: Audio) -> None:
        members = self._members(audio)
        whole = make_tar(members)
        third = whole.index(members[2][1])
        put.put(f"{folder}/a.tar", whole[: third + 20_000])
        recordings, problems = _split(entries([folder]))
        assert [each.member for each in recordings] == ["0.wav", "1.wav", "2.wav"]
        assert [each.message for each in problems] == [
            f"the tar ends at byte {third + 20_000} inside '2.wav'; what comes after is not planned"
        ]
        assert recordings[2].seconds == pytest.approx((20_000 - 44) / 32_000)
        encoded = read(Unit("u", tuple(recordings)))
        assert not encoded.errors
        assert encoded.slices[2] is not None
        start, length = encoded.slices[2]
        assert bytes(encoded.payload[start : start + length]) == members[2][1][:20_000]

    def test_after_a_header(self, folder: str, make_tar: MakeTar, audio: Audio) -> None:
        members = self._members(audio)
        whole = make_tar(members)
        put.put(f"{folder}/a.tar", whole[: whole.index(members[2][1])])
        recordings, problems = _split(entries([folder]))
        assert len(problems) == 1
        encoded = read(Unit("u", tuple(recordings)))
        assert {index: (error.stage, error.type) for index, error in encoded.errors.items()} == {
            2: ("read", "truncated")
        }
        assert encoded.slices[2] is None
        assert encoded.slices[1] is not None

    @pytest.mark.parametrize(
        ("mode", "reason"),
        [
            ("gz", "Compressed file ended before the end-of-stream marker was reached"),
            ("bz2", "Compressed file ended before the end-of-stream marker was reached"),
            ("xz", "Compressed file ended before the end-of-stream marker was reached"),
            ("zst", "Truncated compressed stream"),
        ],
    )
    def test_compressed(self, mode: str, reason: str, folder: str, make_tar: MakeTar, audio: Audio) -> None:
        whole = _compressed(mode, make_tar([(f"{n}.wav", audio(6.0, seed=n)) for n in range(4)]))
        put.put(f"{folder}/a.tar.{mode}", whole[: len(whole) * 6 // 10])
        recordings, problems = _split(entries([folder]))
        assert len(problems) == 1
        what, _, then = problems[0].message.partition("; ")
        assert re.fullmatch(rf"the tar cannot be decompressed beyond byte \d+ of its content \({reason}\)", what), what
        assert then == "what comes after is not planned"
        assert {"0.wav", "1.wav"} <= {each.member for each in recordings} <= {"0.wav", "1.wav", "2.wav"}
        encoded = read(Unit("u", tuple(recordings)))
        assert set(encoded.errors) <= {2}
        start, length = encoded.slices[0] or (0, 0)
        assert bytes(encoded.payload[start : start + length]) == audio(6.0, seed=0)
        start, length = encoded.slices[1] or (0, 0)
        assert length > 0
        assert audio(6.0, seed=1).startswith(bytes(encoded.payload[start : start + length]))

    def test_not_a_tar(self, folder: str) -> None:
        put.put(f"{folder}/a.tar", b"This is no tar.\n" * 1000)
        with pytest.raises(UserError, match="no audio found .*a.tar: the tar is no tar archive"):
            list(entries([folder]))


def test_scanning_skips_payload_beyond_the_read_ahead(s3_proxy: Any, make_tar: MakeTar, audio: Audio) -> None:
    uri = f"{s3_proxy.bucket.uri}/big.tar"
    put.put(uri, make_tar([(f"{number}.wav", audio(60, seed=number)) for number in range(4)]))
    s3_proxy.requests.clear()
    recordings, _ = _split(entries([uri]))
    assert [each.seconds for each in recordings] == [60.0] * 4
    gets = [line for line in s3_proxy.requests if line.startswith("GET")]
    assert len(gets) <= 6, "one a member of 1.9 MB, and one for the end"


def test_many_tars_are_scanned_at_once(s3_server: Any, make_tar: MakeTar, audio: Audio) -> None:
    for number in range(20):
        put.put(f"{s3_server.uri}/s-{number:03}.tar", make_tar([(f"{number}.wav", audio())]))
    recordings, _ = _split(entries([f"{s3_server.uri}/s-{{000..019}}.tar"], corpus="radio"))
    assert [each.id for each in recordings] == [f"radio/s-{number:03}.tar::{number}.wav" for number in range(20)]


def test_audio_of_a_key_whose_sidecars_stood_elsewhere_is_refused(folder: str, make_tar: MakeTar, audio: Audio) -> None:
    members = [("a.txt", b"one"), ("b.wav", audio()), ("a.wav", audio())]
    put.put(f"{folder}/x.tar", make_tar(members))
    with pytest.raises(UserError, match="members of one key must stand together, but 'a' comes back after others"):
        list(entries([folder]))


@pytest.mark.parametrize("name", ["audio/./a.wav", "./audio/./a.wav", "audio/././a.wav"])
@pytest.mark.parametrize("mode", ["", ".gz"])
def test_a_folder_packed_with_a_dot_is_read(name: str, mode: str, folder: str, make_tar: MakeTar, audio: Audio) -> None:
    tar = make_tar([(name, audio())])
    put.put(f"{folder}/a.tar{mode}", _compressed("gz", tar) if mode else tar)
    recordings, problems = _split(entries([folder]))
    assert ([each.member for each in recordings], problems) == (["audio/a.wav"], [])
    encoded = read(Unit("u", tuple(recordings)))
    assert not encoded.errors
    assert encoded.payload == audio()


def test_members_that_would_be_missed_are_problems(folder: str, make_tar: MakeTar, audio: Audio) -> None:
    members = [
        ("a.m4a", b"aac"), ("b.mp4", b"film"), ("b.wav", audio()), ("c.tar.gz", b"more"), ("d.md", b"words"),
        ("e.wav.gz", b"packed"),
    ]  # fmt: skip
    put.put(f"{folder}/x.tar", make_tar(members))
    recordings, problems = _split(entries([folder]))
    assert [each.member for each in recordings] == ["b.wav"]
    assert [(each.uri.rpartition("::")[2], each.message) for each in problems] == [
        ("a.m4a", "m4a cannot be read; convert it to FLAC or Opus"),
        ("c.tar.gz", "a tar within a tar is not opened; unpack it"),
        ("e.wav.gz", "audio within gz is not opened; decompress it"),
    ]


def test_what_was_joined_behind_a_tar_is_a_problem(folder: str, make_tar: MakeTar, audio: Audio) -> None:
    put.put(f"{folder}/x.tar", make_tar([("a.wav", audio())]) + make_tar([("b.wav", audio())]))
    recordings, problems = _split(entries([folder]))
    assert [each.member for each in recordings] == ["a.wav"]
    (problem,) = problems
    assert (problem.uri, problem.message) == (
        f"{folder}/x.tar",
        "another tar follows its end mark and is not planned; pack both as one",
    )


def test_many_recordings_of_one_key_take_no_longer_each(make_tar: MakeTar, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(make_tar([(f"v1.0-{number:05}.wav", b"") for number in range(8000)]))
    begin = time.process_time()
    recordings, _ = _split(entries([str(tmp_path)]))
    assert len(recordings) == 8000
    # Looking through all names of the key for each took 6 s.
    assert time.process_time() - begin < 4


def test_a_member_whose_name_has_credentials_is_a_problem(make_tar: MakeTar, audio: Audio, tmp_path: Path) -> None:
    members = [("a?token=geheimes.wav", audio()), ("b.wav", audio())]
    (tmp_path / "x.tar").write_bytes(make_tar(members))
    recordings, problems = _split(entries([str(tmp_path)]))
    assert [each.id.rpartition("::")[2] for each in recordings] == ["b.wav"]
    assert [(each.uri.rpartition("::")[2], each.message) for each in problems] == [
        ("a?token=***", "the member's name holds credentials, which would stay in its id; rename it")
    ]


def test_a_tar_whose_name_is_no_text_is_a_problem(make_tar: MakeTar, audio: Audio, tmp_path: Path) -> None:
    for name in (b"\xff.tar", b"good.tar"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(make_tar([("a.wav", audio())]))
    recordings, problems = _split(entries([str(tmp_path)]))
    assert [each.source.rpartition("/")[2] for each in recordings] == ["good.tar"]
    assert [(each.uri.rpartition("/")[2], each.message) for each in problems] == [
        ("\\xff.tar", "the file's name is not UTF-8; rename it")
    ]
