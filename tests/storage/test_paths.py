from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.storage import paths

ODD = ["a b", "a#b", "a%20b", "a?b", "a\nb", "ünïcødé 語", "a::b", "x=1&y", "[a]{b}*"]


@pytest.mark.parametrize("name", ODD)
def test_names_are_taken_literally(name: str, tmp_path: Path) -> None:
    for uri in (f"{tmp_path}/{name}", f"file://{tmp_path}/{name}"):
        fs, path = paths.filesystem(uri)
        assert path == f"{tmp_path}/{name}"
        assert paths.uri_of(fs, path) == f"file://{tmp_path}/{name}"


@pytest.mark.parametrize("name", [name for name in ODD if "\n" not in name])
def test_keys_are_taken_literally(name: str) -> None:
    fs, path = paths.filesystem(f"s3://bucket/{name}/x.wav")
    assert path == f"bucket/{name}/x.wav"
    assert paths.uri_of(fs, path) == f"s3://bucket/{name}/x.wav"


def test_local_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert paths.canonical("recordings/") == f"file://{tmp_path}/recordings"
    assert paths.canonical("./a/../b") == f"file://{tmp_path}/b"
    assert paths.canonical("~/audio") == f"file://{tmp_path}/home/audio"
    assert paths.canonical("s3a://bucket/a/") == "s3://bucket/a"


@pytest.mark.parametrize(
    ("uri", "above"),
    [
        ("s3://bucket/a/b", "s3://bucket/a"),
        ("s3://bucket/a", "s3://bucket"),
        ("s3://bucket", "s3://bucket"),
        ("/a/b", "file:///a"),
        ("/a", "file:///"),
    ],
)
def test_parent(uri: str, above: str) -> None:
    assert paths.parent(uri) == above


@pytest.mark.parametrize("part", ["..", "a/../b", "/etc", "s3://other", ""])
def test_join_refuses_what_leaves_the_folder(part: str) -> None:
    assert paths.join("s3://b/out/", "a b", "c#d") == "s3://b/out/a b/c#d"
    with pytest.raises(UserError, match="must be relative"):
        paths.join("s3://b/out", part)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("nothing://x", "cannot be opened: Protocol not known"),
        ("file://relative/x", "a file URI is absolute"),
        ("a\0b", "NUL"),
        ("s3://", "a bucket must be named"),
        ("s3:///x", "a bucket must be named"),
    ],
)
def test_what_no_file_system_is_behind(uri: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        paths.filesystem(uri)


def test_one_client_for_all_threads_and_a_new_one_for_new_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = paths.filesystem("s3://bucket/a")[0]
    assert paths.filesystem("s3://other/b")[0] is first
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert paths.filesystem("s3://bucket/a")[0] is not first


def test_redact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abc/very+secret")
    text = paths.redact("https://me:pw@host/x?X-Amz-Signature=00ff&a=1 failed with abc/very+secret")
    assert text == "https://***@host/x?X-Amz-Signature=***&a=1 failed with ***"
    assert paths.redact("s3://key:se/cret@bucket/x") == "s3://***@bucket/x"
    assert paths.redact("http://host:9000/a@b") == "http://host:9000/a@b"
    assert paths.redact("s3://bucket/a:b@c") == "s3://bucket/a:b@c"
    assert paths.redact("s3://bucket/key=a b") == "s3://bucket/key=a b"


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05.678Z", "Fri, 02 Jan 2026 03:04:05 GMT", "1767323045"])
def test_times_in_answers_are_those_that_botocore_reads(text: str) -> None:
    from botocore.utils import parse_timestamp

    assert paths._timestamp(text) == parse_timestamp(text)
    assert paths._timestamp(text).tzinfo is not None
