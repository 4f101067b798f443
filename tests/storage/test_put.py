import errno
import multiprocessing
import os
import stat as stat_module
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageFault, UserError
from pipeline.storage import patience, put
from pipeline.storage.listing import list_names
from pipeline.storage.read import read_bytes
from tests.hurry import hurry


def _race(folder: str, races: int, racer: int, start: Any, wins: Any) -> None:
    for number in range(races):
        start.wait()
        if put.put_if_absent(f"{folder}/{number}", str(racer).encode() * 1000):
            wins.put((number, racer))


def test_four_processes_race_for_200_local_names(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, wins = context.Barrier(4), context.Queue()
    racers = [context.Process(target=_race, args=(str(tmp_path), 200, i, start, wins)) for i in range(4)]
    for racer in racers:
        racer.start()
    won = dict(wins.get(timeout=60) for _ in range(200))
    for racer in racers:
        racer.join()
    assert wins.empty()
    assert sorted(won) == list(range(200))
    for number, winner in won.items():
        assert (tmp_path / str(number)).read_bytes() == str(winner).encode() * 1000
    assert list_names(str(tmp_path)) == sorted(str(n) for n in range(200)), "no draft is left behind"


def test_races_on_s3_have_one_winner(s3_server: Any) -> None:
    def one(number: int) -> None:
        start, wins = threading.Barrier(4), []

        def racer(name: int) -> None:
            start.wait()
            if put.put_if_absent(f"{s3_server.uri}/t/{number}", str(name).encode()):
                wins.append(str(name).encode())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(racer, range(4)))
        assert [read_bytes(f"{s3_server.uri}/t/{number}")] == wins

    for number in range(20):
        one(number)


def test_a_lost_answer_to_an_own_put_is_a_taken_name(s3_proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    s3_proxy.lose_answer("^PUT .*/unit", times=1)
    assert put.put_if_absent(f"{s3_proxy.bucket.uri}/unit", b"mine") is False
    assert read_bytes(f"{s3_proxy.bucket.uri}/unit") == b"mine"


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (409, "ConditionalRequestConflict")]
)
def test_busy_stores_are_asked_again(status: int, code: str, s3_proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    s3_proxy.refuse("^PUT ", status=status, code=code, times=2)
    assert put.put_if_absent(f"{s3_proxy.bucket.uri}/x", b"1") is True
    assert len([line for line in s3_proxy.requests if line.startswith("PUT")]) == 3


def test_a_store_that_stays_busy_is_a_fault(s3_proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    s3_proxy.refuse("^PUT ", status=503, code="SlowDown")
    with pytest.raises(StorageFault, match=r"s3://.*/x: SlowDown \(503\) while writing"):
        put.put_if_absent(f"{s3_proxy.bucket.uri}/x", b"1")


def test_a_conditional_put_is_one_request_whatever_its_size(s3_proxy: Any) -> None:
    assert put.put_if_absent(f"{s3_proxy.bucket.uri}/big", bytes(101 * 2**20))
    assert [line for line in s3_proxy.requests if not line.startswith("HEAD")] == [f"PUT /{s3_proxy.bucket.name}/big"]


@pytest.mark.parametrize("store", ["local", "s3"])
def test_put_overwrites_and_delete_forgives(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = str(tmp_path / "new folder") if store == "local" else request.getfixturevalue("s3_server").uri
    for data in (b"long before", b"after"):
        put.put(f"{folder}/_run #1.json", data)
        assert read_bytes(f"{folder}/_run #1.json") == data
    put.delete(f"{folder}/_run #1.json")
    put.delete(f"{folder}/_run #1.json")
    assert list_names(folder) == []


@pytest.mark.parametrize("store", ["local", "s3"])
def test_probe_leaves_nothing(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = str(tmp_path / "out") if store == "local" else request.getfixturevalue("s3_server").uri + "/out"
    assert put.probe_write(folder) == put.ProbeResult(folder, conditional=True)
    assert list_names(folder) == []


def test_probe_finds_a_store_that_ignores_the_condition(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.storage.paths import filesystem

    fs = filesystem(s3_server.uri)[0]
    plain = fs.pipe_file
    monkeypatch.setattr(fs, "pipe_file", lambda path, data, mode="overwrite", **rest: plain(path, data, **rest))
    assert put.probe_write(s3_server.uri + "/out").conditional is False


def test_probe_takes_a_client_that_looks_before_it_writes_for_none_that_holds_the_condition(tmp_path: Path) -> None:
    assert put.probe_write(f"memory:///{tmp_path.name}/out").conditional is False


def test_a_store_that_does_not_know_the_condition_is_as_one_that_ignores_it(s3_proxy: Any) -> None:
    for number in (1, 2):
        s3_proxy.refuse("^PUT .*/x$", status=501, code="NotImplemented", times=1)
        assert put.put_if_absent(f"{s3_proxy.bucket.uri}/x", b"%d" % number)
        assert read_bytes(f"{s3_proxy.bucket.uri}/x") == b"%d" % number


def test_probe_explains_denied_access(s3_proxy: Any) -> None:
    s3_proxy.refuse("^PUT ", status=403, code="AccessDenied")
    with pytest.raises(UserError, match=r"access denied \(403\) while writing. Check AWS_PROFILE or .*s3:PutObject"):
        put.probe_write(s3_proxy.bucket.uri)


def test_a_store_that_is_busy_at_the_probe_is_waited_for(s3_proxy: Any) -> None:
    s3_proxy.refuse("^PUT ", status=503, code="SlowDown", times=5)
    assert put.probe_write(s3_proxy.bucket.uri).conditional


def test_a_store_that_stays_busy_at_the_probe_is_no_mistake_of_the_user(
    s3_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LASTING", 0.5)
    s3_proxy.refuse("^PUT ", status=503, code="SlowDown")
    with pytest.raises(StorageFault, match=r"_probe-.*: SlowDown \(503\) while writing: [^.]*$"):
        put.probe_write(s3_proxy.bucket.uri)


def test_connections_that_break_at_the_probe_are_no_mistake_of_the_user(s3_proxy: Any) -> None:
    s3_proxy.lose_answer("^PUT ")
    with pytest.raises(StorageFault, match=r"while writing: .* Check AWS_ENDPOINT_URL and the network\.$"):
        put.probe_write(s3_proxy.bucket.uri)


def test_probe_explains_an_endpoint_that_is_none_of_a_store(s3_proxy: Any) -> None:
    s3_proxy.refuse("^PUT ", status=400, code="BadRequest")
    with pytest.raises(UserError, match=r"BadRequest \(400\).* Check AWS_ENDPOINT_URL"):
        put.probe_write(s3_proxy.bucket.uri)


def test_probe_explains_an_endpoint_that_takes_no_puts(s3_proxy: Any) -> None:
    s3_proxy.refuse("^PUT ", status=405, code="MethodNotAllowed")
    with pytest.raises(UserError, match=r"knows no such request \(405\).* Check AWS_ENDPOINT_URL"):
        put.probe_write(s3_proxy.bucket.uri)


def test_probe_explains_refused_credentials(s3_proxy: Any) -> None:
    s3_proxy.refuse("^PUT ", status=403, code="InvalidAccessKeyId")
    with pytest.raises(UserError, match=r"credentials refused \(InvalidAccessKeyId, 403\).*AWS_ACCESS_KEY_ID"):
        put.probe_write(s3_proxy.bucket.uri)


def test_probe_explains_a_missing_bucket(s3_environment: str) -> None:
    with pytest.raises(UserError, match="s3://no-such-bucket-here: no such bucket"):
        put.probe_write("s3://no-such-bucket-here")


def test_probe_explains_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: str, target: str) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported", source, None, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(UserError, match=f"^{tmp_path}: the file system has no hard links, which a commit needs."):
        put.probe_write(tmp_path.as_uri())
    assert list_names(str(tmp_path)) == []


@pytest.mark.parametrize("there", [True, False])
def test_probe_explains_a_read_only_disk(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As Linux does it: a name that is there is told first, and nothing can be made, opened anew or removed.
    def refuse(path: str, *_: Any, **__: Any) -> None:
        if os.path.isdir(path):
            raise FileExistsError(errno.EEXIST, "File exists", path)
        raise OSError(errno.EROFS, "Read-only file system", path)

    output = tmp_path / "out"
    if there:
        output.mkdir()
    for name in ("mkdir", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(put, "open", refuse, raising=False)
    with pytest.raises(UserError, match=f"^{output}: the disk is read-only. Choose another output folder.$"):
        put.probe_write(output.as_uri())


def test_probe_explains_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(UserError, match="a file is where a folder should be"):
        put.probe_write(str(tmp_path / "out"))


def test_probe_explains_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def makedirs(path: str, exist_ok: bool) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "makedirs", makedirs)
    with pytest.raises(UserError, match="permission denied while writing. Check owner"):
        put.probe_write(str(tmp_path / "out"))


def test_only_the_probe_makes_the_folders_above(tmp_path: Path) -> None:
    output = tmp_path / "labels" / "2026"
    with pytest.raises(StorageFault, match=r"/labels: this folder went away while it was being written to"):
        put.put_if_absent(f"{output}/transcribe/unit.parquet", b"x")
    assert list_names(str(tmp_path)) == []
    put.probe_write(str(output))
    assert put.put_if_absent(f"{output}/transcribe/unit.parquet", b"x")


@pytest.mark.parametrize("write", [put.put, put.put_if_absent])
def test_an_output_that_was_moved_away_does_not_come_back(write: Any, tmp_path: Path) -> None:
    output = tmp_path / "out"
    put.probe_write(str(output))
    write(f"{output}/transcribe/1.parquet", b"x")
    output.rename(tmp_path / "elsewhere")
    with pytest.raises(StorageFault, match=r"/out: this folder went away while it was .*Move it back"):
        write(f"{output}/transcribe/2.parquet", b"x")
    assert list_names(str(tmp_path)) == ["elsewhere/"]


def test_a_full_local_disk_has_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageFault, match=r"_probe-.*: no space left on the disk; make room and run .* again$"):
        put.probe_write(str(tmp_path / "out"))


def test_a_draft_of_a_killed_writer_is_hidden_and_does_not_take_the_name(tmp_path: Path) -> None:
    (tmp_path / ".unit.parquet.0123.tmp").write_bytes(b"half")
    assert put.put_if_absent(f"{tmp_path}/unit.parquet", b"whole")
    assert (tmp_path / "unit.parquet").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["unit.parquet"]


def test_a_local_object_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    order = []
    link, fsync = os.link, os.fsync

    def seen_link(*arguments, **named):
        order.append("link")
        return link(*arguments, **named)

    def seen_fsync(descriptor):
        order.append("folder" if stat_module.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        return fsync(descriptor)

    monkeypatch.setattr(os, "link", seen_link)
    monkeypatch.setattr(os, "fsync", seen_fsync)
    assert put.put_if_absent(f"{tmp_path}/a", b"x")
    assert order == ["file", "link", "folder"]
