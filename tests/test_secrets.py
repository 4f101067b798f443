"""No credential is ever printed or written: not when all goes well, and not when a store quotes it in an error."""

from __future__ import annotations

import json
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import cli
from pipeline.errors import UserError, VoxmillError
from pipeline.plan.store import load_unit, units
from pipeline.sources import entries
from pipeline.storage.lines import numbered
from pipeline.storage.listing import walk
from pipeline.storage.put import probe_write, put
from pipeline.storage.read import read_bytes
from pipeline.storage.uploads import unfinished
from tests.chaos.quiet import at_hand
from tests.jobs.corpora import MODEL, clips, encoded

KEY = "AKIAVOXMILLTESTKEY01"
SECRET = "geheim/wJalrXUtnFEMI+K7MDENGbPxRfiCYEXAMPLE"
TOKEN = "FwoGZXIvYXdzEBYaDHgeheimes+Token/abcdefghijklmnop=="
SECRETS = (KEY, SECRET, TOKEN, "hunter2secret")


@pytest.fixture
def source(s3_server: Any) -> str:
    put(f"{s3_server.uri}/in/a.flac", encoded(clips()[0].samples))
    return f"{s3_server.uri}/in"


class Job:
    """The command as a user runs it, but in this process, all that it prints and writes kept."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, screen: pytest.CaptureFixture[str]) -> None:
        self.folder, self.screen, self.monkeypatch = folder, screen, monkeypatch
        self.printed = ""
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def run(self, source: str, output: str, endpoint: str, *, debug: bool = False, **more: str) -> int:
        variables = {
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN, **more,
        }  # fmt: skip
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)
            if not value:
                self.monkeypatch.delenv(name)
        words = ["transcribe", source, output, "--model", MODEL, "--device", "cpu", *(["--debug"] if debug else [])]
        with at_hand():
            code = cli.main(words)
        self.printed += "".join(self.screen.readouterr())
        return code

    def leaks(self) -> list[str]:
        """Where a secret stands."""
        found = [f"printed: {line}" for line in self.printed.splitlines() if _secret(line)]
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name != "credentials":
                lines = path.read_bytes().decode("latin-1").splitlines()
                found += [f"{path.name}: {line}" for line in lines if _secret(line)]
        return found


def _secret(text: str) -> bool:
    return any(each in text for each in SECRETS)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Job]:
    job = Job(tmp_path / "home", monkeypatch, capfd)
    yield job
    assert job.printed
    assert job.leaks() == []


def test_a_run_that_goes_well_writes_no_secret(job: Job, source: str, s3_server: Any) -> None:
    output = f"{s3_server.uri}/out"
    assert job.run(source, output, s3_server.endpoint) == 0, job.printed
    written = [entry.uri for entry in walk(output)]
    assert len(written) >= 4
    assert [uri for uri in written if _secret(read_bytes(uri).decode("latin-1"))] == []


REFUSALS = [
    ("^PUT .*/_probe", 403, "SignatureDoesNotMatch", 2),
    ("^PUT .*/_probe", 403, "InvalidAccessKeyId", 2),
    ("^GET .*list-type=2&prefix=in", 403, "AccessDenied", 2),
    ("^PUT .*/transcribe/[0-9a-f]{32}.parquet", 400, f"Odd{KEY}", 4),
    ("^GET .*/a.flac", 501, "NotImplemented", 4),
]


@pytest.mark.parametrize(("pattern", "status", "code", "ends"), REFUSALS)
def test_a_store_that_quotes_secrets_is_not_repeated(
    pattern: str, status: int, code: str, ends: int, job: Job, source: str, s3_proxy: Any
) -> None:
    quoted = f"key {KEY} token {TOKEN} of http://{KEY}:{SECRET}@host/x?X-Amz-Security-Token={TOKEN}"
    s3_proxy.refuse(pattern, status=status, code=code, message=quoted)
    for debug in (False, True):
        code = job.run(source, f"{s3_proxy.bucket.uri}/out", s3_proxy.endpoint, debug=debug)
        assert code == ends, job.printed


def test_credentials_of_a_profile_are_as_secret(job: Job, source: str, s3_proxy: Any) -> None:
    file = job.folder / "credentials"
    file.write_text(
        f"[night]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    )
    unset = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""}
    s3_proxy.refuse("^PUT .*/transcribe/[0-9a-f]{32}", status=400, code="Odd", message=f"{KEY} {TOKEN}")
    code = job.run(
        source, f"{s3_proxy.bucket.uri}/out", s3_proxy.endpoint,
        AWS_PROFILE="night", AWS_SHARED_CREDENTIALS_FILE=str(file), **unset,
    )  # fmt: skip
    assert code == 4, job.printed


def test_credentials_in_an_endpoint_or_a_source_are_not_shown(job: Job, source: str, s3_server: Any) -> None:
    output, host = f"{s3_server.uri}/out", s3_server.endpoint.partition("://")[2]
    for endpoint in (f"http://user:hunter2secret@{host}", f"http://user:hunter2secret/{SECRET}@{host}"):
        assert job.run(source, output, endpoint) in (2, 4), job.printed
    for uri in (f"s3://{KEY}:{SECRET}@bucket/in", "s3://key:hunter2secret@bucket/in"):
        assert job.run(uri, output, s3_server.endpoint) == 2, job.printed


@pytest.mark.parametrize(
    "line",
    [
        {"path": "http://host/a.flac?X-Amz-Credential=AKIA/x&X-Amz-Signature=hunter2secret", "duration": 1},
        {"path": "http://user:hunter2secret@host/a.flac", "duration": 1},
        {"path": "a.flac", "id": "http://host/a.flac?sig=hunter2secret"},
        {"path": "https://host/a.flac?access_token=hunter2secret", "duration": 1},
        {"path": "https://host/a.flac?X-Goog-Credential=x&X-Goog-Signature=hunter2secret", "duration": 1},
        "https://user:hunter2secret@host/a.flac",
        {"path": ["https://user:hunter2secret@host/a.flac"]},
    ],
)
def test_credentials_in_a_line_of_a_manifest_are_refused_and_not_kept(
    line: Any, job: Job, source: str, s3_server: Any
) -> None:
    output, manifest = f"{s3_server.uri}/out", f"{source}/m.jsonl"
    put(manifest, f'{{"path": "a.flac"}}\n\n{json.dumps(line)}\n'.encode())
    assert job.run(manifest, output, s3_server.endpoint) == 2, job.printed
    assert "in/m.jsonl, line 3: " in job.printed
    assert "credentials do not belong" in job.printed or "***" in job.printed
    assert [entry.uri for entry in walk(output) if _secret(read_bytes(entry.uri).decode("latin-1"))] == []


def test_credentials_beside_a_path_are_masked_in_plan_and_table(job: Job, source: str, s3_server: Any) -> None:
    output, manifest = f"{s3_server.uri}/out", f"{source}/m.jsonl"
    url = "https://user:hunter2secret@host/a?access_token=hunter2secret&b=1"
    put(manifest, json.dumps({"path": "a.flac", "id": "1", "text": f"of {url}", "url": url, "more": [url]}).encode())
    put(f"{source}/a.txt", url.encode())
    put(f"{source}/a.json", json.dumps({"url": url}).encode())
    for named in (manifest, f"{source}/a.flac"):
        assert job.run(named, output, s3_server.endpoint) == 0, job.printed
    hidden = "https://***@host/a?access_token=***&b=1"
    planned = [recording for unit in units(output) for recording in load_unit(output, unit).recordings]
    assert sorted((each.reference, each.metadata) for each in planned) == [
        (hidden, json.dumps({"url": hidden})),
        (f"of {hidden}", json.dumps({"url": hidden, "more": [hidden]})),
    ]
    assert [entry.uri for entry in walk(output) if _secret(read_bytes(entry.uri).decode("latin-1"))] == []


@pytest.mark.parametrize(
    "option",
    ["model=https://user:hunter2secret@host/m", "corpus=https://user:hunter2secret@host/x",
     "corpus=radio?access_token=hunter2secret", "address=ray://user:hunter2secret@host:10001",
     "background=https://host/?api_key=hunter2secret", "columns=https://user:hunter2secret@host/x",
     "columns=x?token=hunter2secret:string", "speech=https://user:hunter2secret@host/s"],
)  # fmt: skip
def test_credentials_in_an_option_are_refused_and_not_repeated(option: str, tmp_path: Path) -> None:
    name, _, text = option.partition("=")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.flac").write_bytes(encoded(clips()[0].samples))
    call = (
        pipeline.embed if name == "speech" else pipeline.label_frames if name == "background" else pipeline.transcribe
    )
    with pytest.raises(UserError, match=rf"^--{name}: .*\*\*\*") as caught:
        call(tmp_path / "in", tmp_path / "out", **{"model": MODEL, name: text})
    assert not _secret("".join(traceback.format_exception(caught.value)))
    assert not (tmp_path / "out").exists()


READS: dict[str, Callable[[str], Any]] = {
    "read": read_bytes, "listing": lambda uri: list(walk(uri)), "put": lambda uri: put(uri, b"x"),
    "probe": probe_write, "lines": lambda uri: list(numbered(uri)), "source": lambda uri: list(entries([uri])),
    "table": pipeline.read_table, "uploads": unfinished,
}  # fmt: skip


@pytest.mark.parametrize("call", READS)
@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (403, "InvalidAccessKeyId"), (400, "Odd")])
def test_a_traceback_in_python_has_no_secret_that_a_store_quotes(
    call: str, status: int, code: str, s3_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    s3_proxy.refuse("^", status=status, code=code, message=f"of {KEY}, {SECRET} and {TOKEN}")
    trace = ""
    try:
        READS[call](f"{s3_proxy.bucket.uri}/in")
    except (VoxmillError, OSError):
        trace = traceback.format_exc()
    assert not _secret(trace)
    # Of a HEAD, which the others begin with, the answer is a status alone.
    assert "***" in trace or status != 403
