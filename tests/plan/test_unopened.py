"""A second planning opens only what is new: counted by every opening in this process, and by requests to S3."""

from __future__ import annotations

import io
import json
import os
import random
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.errors import StorageFault, UserError
from pipeline.plan import PlanReport, extend, format_report, load_unit, publish, store, units
from pipeline.plan.generations import Scope
from pipeline.sources import entries
from pipeline.storage import put

_watch: list[tuple[str, list[str]]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch and event == "open" and isinstance(arguments[0], str):
        folder, found = _watch[-1]
        if arguments[0].startswith(folder):
            found.append(arguments[0].removeprefix(folder + "/"))


@pytest.fixture(scope="session", autouse=True)
def hook() -> None:
    sys.addaudithook(_hook)


@contextmanager
def opened(folder: Path) -> Iterator[list[str]]:
    """Names of the files below a folder that this process opens, each time that it does."""
    found: list[str] = []
    _watch.append((str(folder), found))
    yield found
    _watch.pop()


def wav(seconds: float = 0.01) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(int(seconds * 16_000), dtype=np.float32), 16_000, format="WAV")
    return file.getvalue()


def tar(names: list[str], mode: str = "w", *, seconds: float = 0.01) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(wav(seconds))
            archive.addfile(info, io.BytesIO(wav(seconds)))
    return file.getvalue()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with 4 audio files, one of them with a sidecar, and 2 tars of 3 members."""
    folder = tmp_path / "c"
    folder.mkdir()
    for name in "abde":
        (folder / f"{name}.wav").write_bytes(wav())
    (folder / "a.txt").write_text("hallo")
    (folder / "f.tar").write_bytes(tar(["1.wav", "2.wav", "3.wav"]))
    (folder / "g.tar.gz").write_bytes(tar(["1.wav", "2.wav", "3.wav"], "w:gz"))
    return folder


@pytest.fixture
def plan(corpus: Path, tmp_path: Path) -> Callable[..., PlanReport]:
    def extended(*sources: str, **options: Any) -> PlanReport:
        options = {"corpus": "c", **options}
        return extend([str(corpus / each) for each in sources or ("",)], str(tmp_path / "out"), **options)

    return extended


def rows(output: Path) -> list[str]:
    return [each.id for ref in units(str(output)) for each in load_unit(str(output), ref).recordings]


def counts(report: PlanReport) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.vanished


def test_a_second_planning_opens_nothing_and_one_changed_tar_alone(tmp_path: Path) -> None:
    folder, output = tmp_path / "corpus", str(tmp_path / "out")
    for number in range(1000):
        (folder / f"{number % 10}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 10}/{number}.wav").write_bytes(wav())
        (folder / f"{number % 10}/{number}.txt").write_text("hallo")
    for number in range(5):
        compressed = number >= 3
        (folder / f"{number}.tar{'.gz' * compressed}").write_bytes(
            tar([f"{member}.wav" for member in range(20)], "w:gz" if compressed else "w")
        )
    with opened(folder) as names:
        first = extend([str(folder)], output)
    assert len(set(names)) == 2005
    progress: list[int] = []
    with opened(folder) as names:
        again = extend([str(folder)], output, on_progress=progress.append)
    assert names == []
    assert counts(again) == (0, 0, 1100, 0)
    assert (again.recordings, again.unopened, progress[-1]) == (1100, 1100, 1100)
    assert again.seconds == pytest.approx(first.seconds)
    (folder / "1.tar").write_bytes(tar([f"{member}.wav" for member in range(19)], seconds=0.02))
    (folder / "3/3.wav").unlink()
    with opened(folder) as names:
        report = extend([str(folder)], output)
    assert set(names) == {"1.tar"}
    assert counts(report) == (0, 19, 1080 - 1, 2)
    with opened(folder) as names:
        assert counts(extend([str(folder)], output)) == (0, 0, 1098, 2)
    assert names == []


def test_on_s3_one_listing_is_enough(s3_proxy: Any, tmp_path: Path) -> None:
    folder, output = s3_proxy.bucket.uri, str(tmp_path / "out")
    for number in range(70):
        put.put(f"{folder}/{number}.wav", wav())
    put.put(f"{folder}/x.tar", tar(["1.wav", "2.wav"]))
    put.put(f"{folder}/y.tar.gz", tar(["1.wav", "2.wav"], "w:gz"))
    s3_proxy.requests.clear()
    extend([folder], output)
    assert len([line for line in s3_proxy.requests if line.startswith("GET") and "?" not in line]) >= 72
    s3_proxy.requests.clear()
    assert counts(extend([folder], output)) == (0, 0, 74, 0)
    assert 0 < len(s3_proxy.requests) <= 4
    assert [line for line in s3_proxy.requests if "list-type=2" not in line and not line.startswith("HEAD")] == []
    put.put(f"{folder}/7.wav", wav(0.02))
    s3_proxy.requests.clear()
    assert counts(extend([folder], output)) == (0, 1, 73, 0)
    reads = {line for line in s3_proxy.requests if line.startswith("GET") and "list-type=2" not in line}
    assert len(reads) == 1
    assert "/7.wav" in reads.pop()


def test_lines_of_a_manifest_that_are_planned_open_no_audio(s3_proxy: Any, tmp_path: Path) -> None:
    folder, output = s3_proxy.bucket.uri, str(tmp_path / "out")
    for number in range(9):
        put.put(f"{folder}/{number}.wav", wav(1.0))
    lines = [{"path": f"{number}.wav", "text": "a"} for number in range(9)]
    lines += [{"path": "0.wav", "offset": 0.5}, {"path": "1.wav", "duration": 0.5}, {"path": "nix.wav", "id": "x"}]

    def planned() -> tuple[tuple[int, int, int, int], set[str]]:
        put.put(f"{folder}/m.jsonl", "\n".join(map(json.dumps, lines)).encode())
        s3_proxy.requests.clear()
        found = counts(extend([f"{folder}/m.jsonl"], output))
        reads = (line for line in s3_proxy.requests if line.startswith("GET") and "list-type=2" not in line)
        return found, {line for line in reads if ".wav" in line}

    assert planned()[0] == (12, 0, 0, 0)
    assert planned() == ((0, 0, 12, 0), set())
    lines[3]["text"] = "b"
    lines[-2]["duration"] = 0.25
    lines.append({"path": "2.wav", "offset": 0.75})
    found, reads = planned()
    assert found == (2, 0, 11, 1)
    assert len(reads) == 1
    assert "/2.wav" in reads.pop()
    assert load_unit(output, units(output)[-1]).recordings[-1].seconds == 0.25
    lines.append({"path": "0.wav", "offset": 0.5})
    with pytest.raises(UserError, match=r"0\.wav@0\.5- is listed twice"):
        planned()


def test_another_corpus_is_planned_anew(plan: Callable[..., PlanReport], corpus: Path) -> None:
    plan()
    assert counts(plan(corpus="other")) == (10, 0, 0, 0)
    with opened(corpus) as names:
        assert counts(plan()) == (0, 0, 10, 0)
        assert counts(plan(corpus="other")) == (0, 0, 10, 0)
    assert names == []


def test_a_moved_corpus_is_not_opened(plan: Callable[..., PlanReport], corpus: Path, tmp_path: Path) -> None:
    plan()
    corpus.rename(tmp_path / "moved")
    with opened(tmp_path / "moved") as names:
        report = extend([str(tmp_path / "moved")], str(tmp_path / "out"), corpus="c")
    assert (counts(report)[:3], names) == ((0, 0, 10), [])


def test_a_changed_sidecar_changes_nothing(plan: Callable[..., PlanReport], corpus: Path) -> None:
    plan()
    (corpus / "a.txt").write_text("anders")
    with opened(corpus) as names:
        assert counts(plan()) == (0, 0, 10, 0)
    assert names == []


def test_a_file_beside_a_planned_one_of_its_stem_is_planned(plan: Callable[..., PlanReport], corpus: Path) -> None:
    plan()
    (corpus / "a.flac").write_bytes(wav())
    with opened(corpus) as names:
        assert counts(plan()) == (1, 0, 10, 0)
    assert set(names) == {"a.flac", "a.txt"}


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (("", "f.tar"), r"c/f\.tar::[123]\.wav is listed twice"),
        (("", "g.tar.gz"), r"c/g\.tar\.gz::[123]\.wav is listed twice"),
        (("a.wav", ""), r"c/a\.wav is listed twice"),
    ],
)
def test_sources_that_overlap_are_refused_as_before(
    plan: Callable[..., PlanReport], sources: tuple[str, ...], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        plan(*sources)
    plan()
    with pytest.raises(UserError, match=says):
        plan(*sources)


def test_equal_ids_are_refused_where_one_of_them_is_not_opened(
    plan: Callable[..., PlanReport], corpus: Path, tmp_path: Path
) -> None:
    plan()
    other = tmp_path / "other"
    other.mkdir()
    (other / "f.tar").write_bytes(tar(["0.wav", "2.wav"]))
    both = rf"the id c/f\.tar::2\.wav: file://{corpus}/f\.tar and file://{other}/f\.tar"
    with pytest.raises(UserError, match=both):
        extend([str(corpus), str(other)], str(tmp_path / "out"), corpus="c")
    (other / "f.tar").unlink()
    line = {"path": "z.wav", "id": "c/f.tar::2.wav"}
    (other / "m.jsonl").write_text(json.dumps(line))
    with pytest.raises(UserError, match=r"c/f\.tar::2\.wav"):
        extend([str(corpus), str(other / "m.jsonl")], str(tmp_path / "out"), corpus="c")


def test_what_was_cut_is_looked_at_again_and_said_again(plan: Callable[..., PlanReport], corpus: Path) -> None:
    whole = (corpus / "f.tar").read_bytes()
    (corpus / "f.tar").write_bytes(whole[:1500])
    (corpus / "b.json").write_text("{")
    first = plan()
    for _ in range(2):
        with opened(corpus) as names:
            again = plan()
        assert again.problems == first.problems
        assert set(names) == {"f.tar", "b.wav", "b.json"}
        assert (again.num_problems, again.planned, again.unopened) == (2, 0, 6)
    (corpus / "f.tar").write_bytes(whole)
    assert counts(plan()) == (2, 1, 7, 0)
    with opened(corpus) as names:
        assert plan().num_problems == 1
    assert set(names) == {"b.wav", "b.json"}


def test_a_tar_of_which_a_dead_planner_left_half_is_planned_to_its_end(
    plan: Callable[..., PlanReport], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (corpus / "z.tar").write_bytes(tar([f"{number}.wav" for number in range(9)]))
    monkeypatch.setattr(publish, "ROW_GROUP", 2)
    monkeypatch.setattr(publish, "GENERATION", 2)
    really = store.put_if_absent

    def dies(uri: str, data: bytes) -> bool:
        if "000008" in uri:
            raise StorageFault("s3://b: timeout while writing")
        return really(uri, data)

    with monkeypatch.context() as patch:
        patch.setattr(store, "put_if_absent", dies)
        with pytest.raises(StorageFault, match="while writing"):
            plan(unit_seconds=0.02)
    half = [id for id in rows(tmp_path / "out") if "z.tar" in id]
    assert 0 < len(half) < 9
    assert "c/e.wav" not in rows(tmp_path / "out"), "audio that waits for sidecars comes after the tars behind it"
    with opened(corpus) as names:
        report = plan(unit_seconds=0.02)
    assert set(names) == {"z.tar", "e.wav"}
    assert report.new == 9 - len(half) + 1
    assert len(set(rows(tmp_path / "out"))) == len(rows(tmp_path / "out")) == 19
    with opened(corpus) as names:
        assert counts(plan()) == (0, 0, 19, 0)
    assert names == []


def test_who_comes_second_does_not_open_what_the_first_planned(corpus: Path, tmp_path: Path) -> None:
    output, started = str(tmp_path / "out"), 0

    def listing(known: Any) -> Iterator[Any]:
        nonlocal started
        started += 1
        yield from entries([str(corpus)], corpus="c", known=known)
        if started == 1:
            extend([str(corpus / "f.tar")], output, corpus="c")

    with opened(corpus) as names:
        report = store.extend_from(listing, output, scope=Scope("c", ("x",)))
    assert (started, counts(report)) == (2, (7, 0, 3, 0))
    assert names.count("f.tar") == 2


def test_a_plan_of_before_is_read_and_looked_at(plan: Callable[..., PlanReport], corpus: Path, tmp_path: Path) -> None:
    plan()
    file = tmp_path / "out/_plan/000001.parquet"
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["closing"]), file, write_page_checksum=True)
    with opened(corpus) as names:
        assert counts(plan()) == (0, 0, 10, 0)
    assert {"f.tar", "a.wav"} <= set(names)


def test_the_report_says_what_it_does_not_break_down(plan: Callable[..., PlanReport], corpus: Path) -> None:
    assert "looked at again" not in format_report(plan())
    text = format_report(plan())
    assert "10 recordings, 0.1 s listed" in text
    assert text.endswith("not looked at again: 10 unchanged rows")
    (corpus / "h.wav").write_bytes(wav())
    text = format_report(plan(dry_run=True))
    assert "11 recordings, 0.1 s listed" in text
    assert "not looked at again: 10 unchanged rows; the tables count 1 other recording" in text


def _night(folder: Path, chance: random.Random) -> None:
    """Add, change, take away and bring back files and tars; contents of the same seed have the same version."""
    for name in ("a.wav", "b.wav", "s/c.wav", "d.tar", "s/e.tar", "f.tar.gz", "a.txt", "b.json", "m.jsonl"):
        file, fate, seed = folder / name, chance.random(), chance.randrange(3)
        file.parent.mkdir(exist_ok=True)
        if fate < 0.2:
            file.unlink(missing_ok=True)
        elif fate < 0.6:
            members = [f"{number}.wav" for number in range(4) if (number * 7 + seed) % 3]
            content = {
                "wav": wav(0.01 + seed / 100), "txt": b"x" * seed, "json": b'{"x": %d}' % seed,
                "tar": tar(members, seconds=0.01 + seed / 100), "gz": tar(members, "w:gz", seconds=0.01 + seed / 100),
                "jsonl": b"".join(b'{"path": "a.wav", "offset": %d}\n' % number for number in range(seed)),
            }  # fmt: skip
            file.write_bytes(content[name.rpartition(".")[2]])
            os.utime(file, ns=(seed, seed))
            if name.endswith(".tar") and chance.random() < 0.2:
                os.truncate(file, 2000)
    (folder / "z.wav").write_bytes(wav())
    os.utime(folder / "z.wav", ns=(1, 1))


@pytest.mark.parametrize("seed", range(5))
def test_the_plan_is_the_same_as_if_everything_was_opened(seed: int, tmp_path: Path) -> None:
    chance, folder = random.Random(seed), tmp_path / "c"
    for name in ("c", "quick", "slow"):
        (tmp_path / name).mkdir()
    for _ in range(6):
        _night(folder, chance)
        sources = [str(folder), *([str(folder / "m.jsonl")] if (folder / "m.jsonl").exists() else [])]
        if len(sources) == 2 and not (folder / "m.jsonl").read_bytes():
            sources.pop()
        scope = Scope("c", tuple(sources))
        quick = extend(sources, str(tmp_path / "quick"), corpus="c")
        slow = store.extend_from(lambda _, s=sources: entries(s, corpus="c"), str(tmp_path / "slow"), scope=scope)
        assert counts(quick) == counts(slow)
        assert (quick.recordings, quick.num_problems) == (slow.recordings, slow.num_problems)
        assert quick.seconds == pytest.approx(slow.seconds)
        assert quick.problems == slow.problems
        assert rows(tmp_path / "quick") == rows(tmp_path / "slow")
        assert [ref.name for ref in units(str(tmp_path / "quick"))] == [
            ref.name for ref in units(str(tmp_path / "slow"))
        ]
