"""A table on an object store keeps the same promise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.errors import StorageFault, UserError
from pipeline.storage import uploads
from pipeline.storage.listing import list_names
from pipeline.storage.paths import filesystem
from pipeline.storage.put import put
from pipeline.storage.read import read_bytes
from pipeline.table import layout, pending, read_table, write_run
from pipeline.table.__main__ import main
from pipeline.table.vacuum import vacuum
from tests.hurry import hurry
from tests.table.conftest import mark_success


@pytest.fixture
def remote(made: Any, s3_server: Any) -> Any:
    """Output in a bucket, nothing in it."""
    made.output = f"{s3_server.uri}/labels/2026"
    return made


def test_plan_commit_read_verify(remote: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="there is no table here"):
        read_table(remote.output)
    remote.plan("a.wav", "b.wav", "c#1 é.wav", seconds=30.0)
    remote.declare()
    assert len(read_table(remote.output).to_pandas()) == 0
    assert remote.commit(0) == ["won"]
    assert remote.commit(0, text="again") == ["taken"]
    assert len(pending(remote.output, "transcribe", remote.units)) == 1
    assert main(["verify", remote.output]) == 4
    remote.commit(1, broken=["c/c#1 é.wav"])
    assert mark_success(remote.output, ["transcribe"])
    assert main(["verify", remote.output]) == 0
    remote.plan("a.wav", version="2-2")
    assert "_SUCCESS" not in list_names(remote.output)
    remote.commit(2, text="new")
    write_run(remote.output, "r", {"exit_code": 0})
    found = read_table(remote.output).to_table(columns=["id", "text"]).to_pydict()
    texts = dict(zip(found["id"], found["text"], strict=True))
    assert texts == {"c/a.wav": "new", "c/b.wav": "one two", "c/c#1 é.wav": None}
    assert read_table(remote.output).to_table(columns=["id"]).num_rows == 3
    assert main(["status", remote.output]) == 0
    assert main(["errors", remote.output]) == 0
    out = capsys.readouterr().out
    assert "planned 3 units, 3 recordings, 100.0 s (1 row superseded)" in out
    assert "decode.decode  1" in out


def test_a_damaged_file_is_found(remote: Any, capsys: pytest.CaptureFixture[str]) -> None:
    remote.plan("a.wav", "b.wav")
    remote.commit()
    file = layout.unit_file(remote.output, "transcribe", remote.units[1].name)
    put(file, read_bytes(file)[:-7])
    assert main(["verify", remote.output]) == 1
    assert f"  {file}: cannot be read as Parquet" in capsys.readouterr().out


def test_vacuum_removes_old_probes(remote: Any, capsys: pytest.CaptureFixture[str]) -> None:
    remote.plan("a.wav")
    remote.commit()
    put(f"{remote.output}/_probe-{'a' * 32}", b"probe")
    assert main(["vacuum", remote.output]) == 0
    assert "0 left-over files" in capsys.readouterr().out
    assert main(["vacuum", remote.output, "--min-age", "0s", "--delete"]) == 0
    assert "removed 1 left-over file" in capsys.readouterr().out
    assert len(list_names(layout.task_folder(remote.output, "transcribe"))) == 2


def test_vacuum_aborts_what_a_killed_publish_has_not_uploaded_whole(
    remote: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PAGE", 1)
    remote.plan("a.wav")
    remote.commit()
    fs, path = filesystem(remote.output)
    bucket, _, folder = path.partition("/")
    mine = [f"{folder}/_published/transcribe/{number * 32}.parquet" for number in "ab"]
    for key in (*mine, f"{folder}/elsewhere"):
        begun = fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
        fs.call_s3("upload_part", Bucket=bucket, Key=key, PartNumber=1, UploadId=begun["UploadId"], Body=b"x")
    found = uploads.unfinished(f"{remote.output}/_published")
    assert [each.uri for each in found] == [f"s3://{bucket}/{key}" for key in mine]
    assert vacuum(remote.output, min_age=max(each.age for each in found) + 60.0).uploads == ()
    assert main(["vacuum", remote.output, "--min-age", "0s"]) == 0
    said = capsys.readouterr().out
    assert f"s3://{bucket}/{mine[1]}  unfinished upload, " in said
    assert "0 left-over files, 2 unfinished uploads; add --delete to remove" in said
    assert main(["vacuum", remote.output, "--min-age", "0s", "--delete"]) == 0
    uploads.abort(found[0])
    assert [each.uri for each in uploads.unfinished(remote.output)] == [f"s3://{bucket}/{folder}/elsewhere"]


def test_several_committers_and_one_object(remote: Any, rows: Any) -> None:
    remote.plan("a.wav")
    remote.declare()
    unit = remote.unit(0)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda n: remote.put(unit, rows(unit, text=f"mark{n}")), range(4)))
    assert any(outcomes)
    assert read_table(remote.output).count_rows() == 1


def test_a_lost_answer_is_a_commit(made: Any, s3_proxy: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a.wav")
    made.declare()
    s3_proxy.lose_answer(r"^PUT .*/transcribe/[0-9a-f]{32}\.parquet", times=1)
    assert made.commit() == ["taken"]
    assert main(["verify", made.output]) == 0


def test_a_store_that_fails_leaves_the_unit_pending(made: Any, s3_proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a.wav")
    made.declare()
    hurry(monkeypatch)
    s3_proxy.refuse(r"^PUT .*/transcribe/[0-9a-f]{32}\.parquet", status=503, code="SlowDown")
    with pytest.raises(StorageFault, match=r"transcribe/[0-9a-f]{32}\.parquet: .* while writing"):
        made.commit()
    assert len(pending(made.output, "transcribe", made.units)) == 1


def test_a_plan_that_may_not_be_read_is_the_users_to_mend(made: Any, s3_proxy: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a.wav")
    s3_proxy.refuse(r"^GET .*000001\.parquet", status=403, code="AccessDenied")
    with pytest.raises(UserError, match=r"000001\.parquet: access denied \(403\) while reading\. Check AWS_PROFILE"):
        _ = made.units
