import os
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageFault, UserError
from pipeline.storage import listing, put, s3
from pipeline.storage.paths import is_local, local_path
from tests.hurry import hurry

TREE = ["a.wav", "a/1.wav", "a/b/2.wav", "a-b/3.wav", "a0.wav", "ü/é #%20.wav", "z z/語.wav", "c[1]{2}*?.wav"]
HIDDEN = [".hidden.wav", ".cache/4.wav", "a/.git/5.wav", "a/.x"]


def _make(folder: str, names: list[str]) -> None:
    for name in names:
        if is_local(folder):
            os.makedirs(os.path.dirname(local_path(f"{folder}/{name}")), exist_ok=True)
        put.put(f"{folder}/{name}", name.encode())


@pytest.fixture(params=["local", "s3", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return f"file://{tmp_path}/corpus"
    if request.param == "memory":
        return f"memory:///{tmp_path.name}/corpus"
    return f"{request.getfixturevalue('s3_server').uri}/corpus"


def test_walk_lists_everything_once_in_the_order_of_paths(folder: str) -> None:
    _make(folder, TREE + HIDDEN)
    listed = list(listing.walk(folder))
    assert [entry.uri for entry in listed] == sorted(f"{folder}/{name}" for name in TREE)
    assert all(entry.size == len(Path(entry.uri.split("corpus/")[1]).as_posix().encode()) for entry in listed)


def test_stat_and_walk_agree_on_versions(folder: str) -> None:
    _make(folder, ["x.wav", "y/z.wav"])
    for entry in listing.walk(folder):
        assert listing.stat(entry.uri) == entry
    before = listing.stat(f"{folder}/x.wav").version
    time.sleep(0.01)
    put.put(f"{folder}/x.wav", b"other")
    assert listing.stat(f"{folder}/x.wav").version != before


def test_walk_of_one_file_is_that_file(folder: str) -> None:
    _make(folder, ["x.wav", "x.wavy"])
    assert list(listing.walk(f"{folder}/x.wav")) == [listing.stat(f"{folder}/x.wav")]


def test_nothing_there(folder: str) -> None:
    with pytest.raises(UserError, match="corpus: no such"):
        list(listing.walk(folder))
    with pytest.raises(FileNotFoundError, match="/corpus/x"):
        listing.stat(f"{folder}/x")
    assert listing.list_names(folder) == []


def test_list_names(folder: str) -> None:
    _make(folder, ["_plan/000001.parquet", "transcribe/a.parquet", "_SUCCESS", ".hidden"])
    assert listing.list_names(folder) == [".hidden", "_SUCCESS", "_plan/", "transcribe/"]
    assert listing.list_names(f"{folder}/transcribe/") == ["a.parquet"]


def test_sizes_come_with_the_names(folder: str) -> None:
    _make(folder, ["t/a.parquet", "t/b/c"])
    put.put(f"{folder}/t/empty", b"")
    assert listing.list_sizes(f"{folder}/t") == {"a.parquet": len("t/a.parquet"), "b/": 0, "empty": 0}
    assert listing.list_sizes(f"{folder}/nowhere") == {}


def test_a_folder_is_no_file(folder: str) -> None:
    _make(folder, ["a/x.wav"])
    with pytest.raises(IsADirectoryError, match="/corpus/a$"):
        listing.stat(f"{folder}/a")


def test_large_s3_folders_are_listed_by_ranges(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = s3._page
    monkeypatch.setattr(s3, "_page", lambda *args, **options: page(*args, **{"MaxKeys": 3, **options}))
    monkeypatch.setattr(s3, "EARLY", 6)
    names = sorted([f"{n:02x}{n}.parquet" for n in range(0, 256, 7)] + ["_task.json", "0", "a", "zzz", "ü"])
    _make(f"{s3_server.uri}/t", [*names, "0b/x", "sub/x", "sub/y/z"])
    assert listing.list_names(f"{s3_server.uri}/t") == sorted([*names, "0b/", "sub/"])
    assert listing.list_sizes(f"{s3_server.uri}/t")["zzz"] == len("zzz")
    walked = [entry.uri.rpartition("/t/")[2] for entry in listing.walk(f"{s3_server.uri}/t")]
    assert walked == sorted([*names, "0b/x", "sub/x", "sub/y/z"])


def test_many_s3_folders_are_few_requests(s3_proxy: Any) -> None:
    names = [f"{n:03}/x.wav" for n in range(100)]
    _make(f"{s3_proxy.bucket.uri}/c", names)
    s3_proxy.requests.clear()
    assert len(list(listing.walk(f"{s3_proxy.bucket.uri}/c"))) == 100
    assert len(s3_proxy.requests) == 1


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/x.wav").write_bytes(b"x")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    (tmp_path / "a/self").symlink_to(tmp_path / "a/self")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    listed = {entry.uri.removeprefix(f"file://{tmp_path}/"): entry.size for entry in listing.walk(str(tmp_path))}
    assert listed == {"a/x.wav": 1, "a/self": 0, "gone.wav": 0, "linked/x.wav": 1, "linked/self": 0}
    odd = [entry.uri for entry in listing.walk(str(tmp_path), special=True) if entry.special]
    assert odd == [f"file://{tmp_path}/pipe.wav"]
    assert [entry.uri for entry in listing.children(str(tmp_path))[1]] == [f"file://{tmp_path}/gone.wav"]


def test_names_that_are_no_utf8_are_listed(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff\xfe.wav", "wb"):
        pass
    (entry,) = listing.walk(str(tmp_path))
    assert os.fsencode(entry.uri).endswith(b"/\xff\xfe.wav")


def test_a_long_listing_shows_that_it_is_alive(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.wav").touch()
    counts: list[int] = []
    for entry in listing.walk(str(tmp_path), on_progress=counts.append):
        if entry.uri.endswith("/150.wav"):
            time.sleep(0.25)
    assert counts[-1] == 200
    assert len(counts) >= 2
    assert counts == sorted(counts)


def test_an_unreadable_folder_ends_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(str(tmp_path), ["a/1.wav", "b/2.wav"])
    scandir = os.scandir

    def refusing(path: str) -> Any:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match="/b: permission denied while listing"):
        list(listing.walk(str(tmp_path)))


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (403, "AccessDenied", UserError, r"/c: access denied \(403\) while listing.*s3:ListBucket is needed"),
        (400, "ExpiredToken", UserError, r"credentials refused \(ExpiredToken, 400\) while listing"),
        (404, "NoSuchBucket", UserError, "no such bucket. Check the name"),
        (503, "SlowDown", StorageFault, "while listing"),
    ],
)
def test_a_broken_listing_is_never_a_short_one(
    status: int, code: str, kind: type[Exception], says: str, s3_proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, tries=2)
    page = s3._page
    monkeypatch.setattr(s3, "_page", lambda *args, **options: page(*args, **{"MaxKeys": 3, **options}))
    _make(f"{s3_proxy.bucket.uri}/c", [f"{n}.wav" for n in range(10)])
    s3_proxy.refuse("continuation-token", status=status, code=code)
    with pytest.raises(kind, match=says):
        list(listing.walk(f"{s3_proxy.bucket.uri}/c"))


def test_an_empty_answer_is_not_the_end_of_a_listing(s3_proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    page = s3._page
    monkeypatch.setattr(s3, "_page", lambda *args, **options: page(*args, **{"MaxKeys": 3, **options}))
    _make(f"{s3_proxy.bucket.uri}/c", [f"{n}.wav" for n in range(10)])
    s3_proxy.shorten_body("continuation-token", to=0, times=2)
    assert len(list(listing.walk(f"{s3_proxy.bucket.uri}/c"))) == 10
    s3_proxy.shorten_body("list-type=2", to=0)
    with pytest.raises(StorageFault, match="/c/: ConnectionError while listing"):
        listing.list_names(f"{s3_proxy.bucket.uri}/c")


def test_a_closed_object_is_told_from_expired_credentials(s3_proxy: Any) -> None:
    _make(s3_proxy.bucket.uri, ["x"])
    s3_proxy.refuse("^HEAD ", status=403, code="")
    s3_proxy.refuse("^GET ", status=403, code="AccessDenied", times=1)
    with pytest.raises(PermissionError, match="Forbidden|made up"):
        listing.stat(f"{s3_proxy.bucket.uri}/x")
    s3_proxy.refuse("^GET ", status=400, code="ExpiredToken")
    with pytest.raises(UserError, match="credentials refused"):
        listing.stat(f"{s3_proxy.bucket.uri}/x")


def test_a_file_that_goes_away_while_it_is_listed_takes_no_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.storage import local

    _make(str(tmp_path), ["a/1.wav", "a/2.wav", "a/3.wav"])
    look = local._status
    monkeypatch.setattr(local, "_status", lambda name: None if name.name == "2.wav" else look(name))
    assert [entry.uri[-5:] for entry in listing.walk(str(tmp_path))] == ["1.wav", "3.wav"]
