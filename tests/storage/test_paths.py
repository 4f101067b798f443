import time
from pathlib import Path

import pytest
from fsspec.config import conf, set_conf_env

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
    for slashes in ("/", "//", "///", "file:////"):
        assert paths.canonical(f"{slashes}tmp//a") == "file:///tmp/a"
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
        ("nothing://x", "nothing://x: nothing:// cannot be opened: Protocol not known"),
        ("ftp://me:pw@host/x", r"^ftp://\*\*\*@host/x: ftp:// cannot be opened: .*'host'.*FSSPEC_FTP_HOST"),
        ("webhdfs://host/x", "webhdfs:// cannot be opened: .*'host'"),
        ("hdfs://host/x", "hdfs:// cannot be opened: "),
        ("github://org:repo@main/x", "github:// cannot be opened: .*'org'"),
        ("zip://x", "zip:// cannot be opened: .*Is a directory"),
        ("dir://x", "dir:// cannot be opened: "),
        ("generic://x", "generic:// cannot be opened: "),
        ("file://relative/x", "a file URI is absolute"),
        ("a\0b", "NUL"),
        ("s3://", "a bucket must be named"),
        ("s3:///x", "a bucket must be named"),
    ],
)
def test_what_no_file_system_is_behind(uri: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        paths.filesystem(uri)
    assert "\n" not in str(caught.value)


def test_what_a_file_system_needs_beside_a_path_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSSPEC_WEBHDFS_HOST", "127.0.0.1")
    monkeypatch.setitem(conf, "webhdfs", {})
    set_conf_env(conf)
    assert paths.filesystem("webhdfs://host/x")[1] == "/x"


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


@pytest.mark.parametrize(
    "name",
    [
        "X-Goog-Signature", "X-Goog-Credential", "access_token", "accessToken", "api_key", "apikey", "api-key",
        "password", "passwd", "X-OSS-Signature", "x-oss-security-token", "OSSAccessKeyId", "q-signature", "sig",
        "hub.auth", "key", "secret", "client_secret", "credentials", "AWSAccessKeyId", "a.token", "AccountKey", "auth",
    ],
)  # fmt: skip
def test_secrets_in_queries_are_masked(name: str) -> None:
    marks = [("https://h/a.flac?", "&a=1"), ("h/x?a=1&", " ends"), ("GET /bucket/a?", ";n=3")]
    if name != "key":
        marks += [("https://h/x;", ""), ("https://h/a#", "&b"), ("of https://h/a?x;", "#b"), ("a?x=1&", "")]
    for before, after in marks:
        assert paths.redact(f"{before}{name}=geheim{after}") == f"{before}{name}=***{after}"
    inner = f"https://h/?of=https%3A%2F%2Fi%2Fa%3F{name}%3Dgeheim%26b%3D2&a=1"
    assert paths.redact(inner) == inner.replace("geheim", "***")


@pytest.mark.parametrize(
    "name",
    ["monkey", "keyword", "author", "design", "tokens", "token_count", "signal", "oath", "secretary", "keys", "mykey"],
)
def test_what_only_looks_like_a_secret_in_a_query_stays(name: str) -> None:
    for text in (f"https://h/a.flac?{name}=7&a=1", f"a;{name}=7", f"bucket/{name}=7/x", "s3://bucket/token=7/x"):
        assert paths.redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"url":"https://a.com","email":"joe@x.org"}', r'{\"url\":\"https://a.com\",\"email\":\"joe@x.org\"}',
        '<a href="https://a.com">joe@x.org</a>', "<https://a.com>joe@x.org", "https://example.com?email=joe@x.org",
        "https://a.com#joe@x.org", "see https://a.com,joe@x.org", "see https://a.com:80,joe@x.org",
        "https://a.com:80?by=joe@x.org", "bpm=120;key=Am;mode=minor", "bpm=120&key=Am&mode=minor", "C#key=3",
        "https://a.com/C#key=3", "n=1;max_token=512;n=3", "s3://b/x.tar n=1;max_token=512;n=3",
        "'https://a.com';auth=none", "x#token=3",
    ],
)  # fmt: skip
def test_what_only_stands_beside_a_uri_or_is_none_stays(text: str) -> None:
    assert paths.redact(text) == text


def test_only_a_secret_is_masked_of_what_stands_around_it() -> None:
    assert paths.redact("https://h/a;token=geheim;n=3") == "https://h/a;token=***;n=3"
    assert paths.redact("https://h/a?sig=geheim#t=1,2") == "https://h/a?sig=***#t=1,2"
    assert paths.redact("<https://h/a?sig=geheim> and more") == "<https://h/a?sig=***> and more"
    assert paths.redact("https://me:ge,heim@h/a,joe@x.org") == "https://***@h/a,joe@x.org"


def test_what_is_masked_is_masked_once() -> None:
    masked = paths.redact("https://me:pw@h/x?access_token=geheim%26api_key%3Dgeheim&sig=geheim")
    assert "geheim" not in masked
    assert paths.redact(masked) == masked


VARIABLES = [
    ("AWS_ACCESS_KEY_ID", "{}"), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "{}"), ("FSSPEC_S3_KEY", "{}"),
    ("FSSPEC_S3_SECRET", "{}"), ("FSSPEC_S3_TOKEN", "{}"), ("FSSPEC_GS_TOKEN", "{}"), ("FSSPEC_ABFS_ACCOUNT_KEY", "{}"),
    ("FSSPEC_S3", '{{"secret": "{}"}}'), ("FSSPEC_S3_CLIENT_KWARGS", '{{"aws_session_token": "{}"}}'),
    ("FSSPEC_S3A", '{{"client_kwargs": {{"aws_secret_access_key": "{}"}}}}'), ("HF_TOKEN", "{}"),
    ("HUGGING_FACE_HUB_TOKEN", "{}"), ("AZURE_STORAGE_KEY", "{}"), ("AZURE_STORAGE_ACCOUNT_KEY", "{}"),
    ("AZURE_STORAGE_SAS_TOKEN", "{}"), ("AZURE_CLIENT_SECRET", "{}"), ("AZURE_STORAGE_CONNECTION_STRING", "{}"),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "value"), VARIABLES)
def test_secrets_of_variables_that_clients_read_are_masked(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value.format("geheim/0815+x"))
    assert paths.redact("the store says geheim/0815+x") == "the store says ***"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ENDPOINT_URL", "https://storage.example"), ("AWS_PROFILE", "archive-night"), ("FSSPEC_S3_ANON", "true"),
        ("FSSPEC_S3", '{"endpoint_url": "https://storage.example"}'), ("FSSPEC_S3_CLIENT_KWARGS", "[1, 2, 3, 4]"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/aws/id"), ("HF_HOME", "/models/of/ours"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/keys/of/ours.json"), ("AWS_S3_KEY", "archive/2026"),
        ("HF_DATASET_KEY", "archive/2026"),
    ],
)  # fmt: skip
def test_other_variables_of_clients_are_no_secrets(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert paths.redact(f"{value} and https://storage.example") == f"{value} and https://storage.example"


def test_secrets_are_known_as_soon_as_a_variable_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "first/0815+x second/0815+x third/0815+x"
    monkeypatch.setenv("AWS_S3_TOKEN", "first/0815+x")
    assert paths.redact(text) == "*** second/0815+x third/0815+x"
    monkeypatch.setenv("AWS_S3_TOKEN", "second/0815+x")
    assert paths.redact(text) == "first/0815+x *** third/0815+x"
    monkeypatch.setenv("HF_TOKEN", "third/0815+x")
    assert paths.redact(text) == "first/0815+x *** ***"
    monkeypatch.delenv("AWS_S3_TOKEN")
    assert paths.redact(text) == "first/0815+x second/0815+x ***"
    (tmp_path / "credentials").write_text("[a]\naws_session_token = first/0815+x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert paths.redact(text) == "*** second/0815+x ***"


def test_secrets_of_a_file_that_changes_are_known_a_second_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert paths.redact("of geheim/0815+x") == "of geheim/0815+x"
    file.write_text("[a]\naws_session_token = geheim/0815+x\n")
    time.sleep(1.01)
    assert paths.redact("of geheim/0815+x") == "of ***"


def test_thousands_of_variables_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2000):
        monkeypatch.setenv(f"STORE_{number}_SERVICE_HOST", "10.0.0.1")
    paths.redact("s3://bucket/a.flac")
    begin = time.process_time()
    for _ in range(1000):
        paths.redact("s3://bucket/a.flac")
    assert time.process_time() - begin < 0.2


def test_long_texts_are_masked_in_little_time() -> None:
    begin = time.process_time()
    for odd in ("://a:", "?token", "&-_.", "%26a-", ";x-amz-", "://a:1", "?sig=&", "/a", "://", "?sig=%2"):
        paths.redact(odd * 100_000)
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05.678Z", "Fri, 02 Jan 2026 03:04:05 GMT", "1767323045"])
def test_times_in_answers_are_those_that_botocore_reads(text: str) -> None:
    from botocore.utils import parse_timestamp

    assert paths._timestamp(text) == parse_timestamp(text)
    assert paths._timestamp(text).tzinfo is not None
