import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageFault, UserError
from pipeline.sources import Problem, entries, probe
from pipeline.storage import put, s3
from tests.hurry import hurry

Audio = Callable[..., bytes]
MakeTar = Callable[..., bytes]
Fill = Callable[[str, dict[str, bytes]], str]


def _ids(found: Any) -> list[str]:
    return [each.id for item in found if not isinstance(item, Problem) for each in item]


def test_a_folder_may_hold_audio_and_tars(folder: str, fill: Fill, audio: Audio, make_tar: MakeTar) -> None:
    fill(folder, {
        "a.json": b"{}", "a.tar": make_tar([("k.wav", audio())]), "a.wav": audio(), "m.jsonl": b"not a manifest here",
        "z/b.tar.gz": make_tar([("k.wav", audio()), ("l.wav", audio())], "w:gz"),
    })  # fmt: skip
    assert sorted(_ids(entries([folder]))) == [
        f"{folder}/a.tar::k.wav",
        f"{folder}/a.wav",
        f"{folder}/z/b.tar.gz::k.wav",
        f"{folder}/z/b.tar.gz::l.wav",
    ]


def test_a_pipe_or_a_socket_in_a_folder_is_told_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audio: Audio
) -> None:
    monkeypatch.chdir(tmp_path)  # an address of a socket is short
    for name in ("b.wav", "c.tar", "notes"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "a.wav").write_bytes(audio())
    (tmp_path / "d.wav").write_bytes(audio())
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("e.flac")
        probe([str(tmp_path)])
        found = list(entries([str(tmp_path)]))
    assert _ids(found) == [f"file://{tmp_path}/a.wav", f"file://{tmp_path}/d.wav"]
    told = [(item.uri, item.message) for item in found if isinstance(item, Problem)]
    says = "neither a file nor a folder, and never followed"
    assert told == [(f"file://{tmp_path}/{name}", says) for name in ("b.wav", "c.tar", "e.flac")]


def test_several_sources_in_the_order_given(folder: str, fill: Fill, audio: Audio, make_tar: MakeTar) -> None:
    fill(
        folder,
        {"b/1.wav": audio(), "a.tar": make_tar([("k.wav", audio())]), "m.jsonl": b'{"path": "b/1.wav", "id": "x"}'},
    )
    sources = [f"{folder}/m.jsonl", f"{folder}/b", f"{folder}/a.tar"]
    assert _ids(entries(sources)) == ["x", f"{folder}/b/1.wav", f"{folder}/a.tar::k.wav"]
    assert _ids(entries(sources[1:], corpus="radio/")) == ["radio/1.wav", "radio/a.tar::k.wav"]


def test_local_paths_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audio: Audio) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec/a.wav").write_bytes(audio())
    monkeypatch.chdir(tmp_path)
    assert _ids(entries(["rec/"])) == [f"file://{tmp_path}/rec/a.wav"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("nix", "corpus/nix: no such file or folder"),
        ("empty/*.wav", r"empty/\*.wav: nothing matches this pattern"),
        ("empty", "corpus/empty: no audio found. Sources are audio files .*wav.*tar shards.*manifests"),
        ("only", r"corpus/only: no audio found .*only/x.m4a: m4a cannot be read; convert it"),
        ("notes.pdf", "notes.pdf: not a format that is read"),
        ("packed/a.wav.gz", r"a.wav.gz: no audio found .*a.wav.gz: audio within gz is not opened; decompress it"),
        ("*/*.m*", r"\*/\*.m\*: no audio found .*only/x.m4a: m4a cannot"),
        ("empty.tar", "empty.tar: no audio found"),
    ],
)
def test_nothing_found_is_an_error_at_once(source: str, says: str, folder: str, fill: Fill, make_tar: MakeTar) -> None:
    fill(
        folder,
        {
            "empty/readme.md": b"x",
            "notes.pdf": b"x",
            "only/x.m4a": b"x",
            "packed/a.wav.gz": b"",
            "empty.tar": make_tar([("a", b"")]),
        },
    )
    with pytest.raises(UserError, match=says):
        list(entries([f"{folder}/{source}"]))


def test_a_wrong_source_is_found_before_the_others_are_listed(folder: str, fill: Fill, audio: Audio) -> None:
    fill(folder, {"a/1.wav": audio()})
    with pytest.raises(UserError, match="nix: no such"):
        next(entries([f"{folder}/a", f"{folder}/nix"]))


def test_an_empty_source_between_others_is_an_error(folder: str, fill: Fill, audio: Audio) -> None:
    fill(folder, {"a/1.wav": audio(), "b/x.md": b"", "c/1.wav": audio()})
    with pytest.raises(UserError, match="corpus/b: no audio found"):
        list(entries([f"{folder}/{name}" for name in "abc"]))


def test_progress_ends_with_the_number_of_recordings(folder: str, fill: Fill, audio: Audio) -> None:
    fill(folder, {f"{number}.wav": audio(0.01) for number in range(20)})
    counts: list[int] = []
    list(entries([folder], on_progress=counts.append))
    assert counts[-1] == 20
    assert counts == sorted(counts)


def test_a_listing_that_breaks_off_is_a_fault(s3_proxy: Any, monkeypatch: pytest.MonkeyPatch, audio: Audio) -> None:
    hurry(monkeypatch, tries=2)
    page = s3._page
    monkeypatch.setattr(s3, "_page", lambda *args, **options: page(*args, **{"MaxKeys": 3, **options}))
    for number in range(10):
        put.put(f"{s3_proxy.bucket.uri}/{number}.wav", audio(0.01))
    s3_proxy.refuse("continuation-token", status=503, code="SlowDown")
    with pytest.raises(StorageFault, match="while listing"):
        list(entries([s3_proxy.bucket.uri]))


def test_a_tar_that_is_closed_is_a_problem(s3_proxy: Any, audio: Audio, make_tar: MakeTar) -> None:
    for number in range(3):
        put.put(f"{s3_proxy.bucket.uri}/{number}.tar", make_tar([("a.wav", audio())]))
    s3_proxy.refuse("^GET .*/1.tar", status=403, code="AccessDenied")
    found = list(entries([s3_proxy.bucket.uri]))
    assert [item.uri for item in found if isinstance(item, Problem)] == [f"{s3_proxy.bucket.uri}/1.tar"]
    assert len(found) == 3


class TestProbe:
    def test_passes(self, folder: str, fill: Fill, audio: Audio) -> None:
        fill(folder, {"a/1.wav": audio(), "b.wav": audio()})
        assert probe([folder, f"{folder}/a", f"{folder}/*.wav", f"{folder}/b.wav"]) is None

    def test_names_the_source_that_is_missing(self, folder: str, fill: Fill, audio: Audio) -> None:
        fill(folder, {"a/1.wav": audio()})
        for sources in (["nix", "a"], ["a", "nix"]):
            with pytest.raises(UserError, match="corpus/nix: no such"):
                probe([f"{folder}/{name}" for name in sources])

    def test_denied(self, s3_proxy: Any, fill: Fill, audio: Audio) -> None:
        fill(s3_proxy.bucket.uri, {"a.wav": audio(), "b.wav": audio()})
        s3_proxy.refuse("^GET .*.wav", status=403, code="AccessDenied")
        with pytest.raises(UserError, match=r"a.wav: access denied \(403\) while reading.*s3:GetObject"):
            probe([s3_proxy.bucket.uri])

    def test_nobody_listens(self, monkeypatch: pytest.MonkeyPatch, s3_environment: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(StorageFault, match="Could not connect.*Check AWS_ENDPOINT_URL and the network"):
            probe(["s3://bucket/x"])

    def test_a_name_that_nobody_has(self, monkeypatch: pytest.MonkeyPatch, s3_environment: str) -> None:
        def unknown(*asked: object, **more: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nix.invalid:9000")
        with pytest.raises(UserError, match="Could not connect.*Check AWS_ENDPOINT_URL and the network"):
            probe(["s3://bucket/x"])

    def test_connections_that_break(self, s3_proxy: Any, fill: Fill, audio: Audio) -> None:
        fill(s3_proxy.bucket.uri, {"a.wav": audio()})
        s3_proxy.lose_answer("^(GET|HEAD) ")
        with pytest.raises(StorageFault, match="Check AWS_ENDPOINT_URL and the network"):
            probe([s3_proxy.bucket.uri])

    def test_one_closed_file_is_no_reason_to_stop(self, s3_proxy: Any, fill: Fill, audio: Audio) -> None:
        fill(s3_proxy.bucket.uri, {"a.wav": audio(), "b.wav": audio()})
        s3_proxy.refuse("^GET .*/a.wav", status=403, code="AccessDenied")
        assert probe([s3_proxy.bucket.uri]) is None

    def test_missing_bucket(self, s3_environment: str) -> None:
        with pytest.raises(UserError, match="no such bucket"):
            probe(["s3://no-such-bucket-here/x"])

    def test_an_endpoint_that_is_no_url(self, monkeypatch: pytest.MonkeyPatch, s3_environment: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
        with pytest.raises(UserError, match="AWS_ENDPOINT_URL must be a URL"):
            probe(["s3://bucket/x"])

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch, s3_environment: str, tmp_path: Path) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(UserError, match="no usable credentials .*Set AWS_ACCESS_KEY_ID"):
            probe(["s3://bucket/x"])
