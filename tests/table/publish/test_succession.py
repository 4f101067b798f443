"""Who publishes beside others, dies or is not answered: the set before it holds, or the new one, whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.errors import StorageFault
from pipeline.table.publish import manifest, publish, read_published, withdraw
from pipeline.table.publish.difference import data_files
from tests.table.conftest import Made
from tests.table.publish.sets import TASK, expected, holds, shown


def test_a_manifest_that_nobody_could_read_is_not_put_and_leaves_nothing(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.plan("a", "b")
    made.commit(0)
    holds(made)
    made.commit(1)
    before = data_files(made.output, TASK)
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "encode", lambda after: b"no manifest at all")
        with pytest.raises(ValueError, match="Parquet"):
            publish(made.output, TASK)
    assert manifest.numbers(made.output, TASK) == [1]
    assert data_files(made.output, TASK) == before
    holds(made)


def test_who_loses_starts_again_and_leaves_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a", "b")
    made.commit(0)
    others = [lambda: made.commit(1), lambda: publish(made.output, TASK)]
    put = manifest.put

    def overtaken(*given: Any) -> bool:
        while others:
            others.pop(0)()
        return put(*given)

    monkeypatch.setattr(manifest, "put", overtaken)
    done = holds(made)
    assert (done.manifest.number, done.new_units) == (1, 0)
    assert data_files(made.output, TASK).keys() == {each.path for each in done.manifest.files}


def test_several_at_once_agree(made: Made) -> None:
    names: list[str] = []
    for round in range(4):
        names += [f"{round}{number}" for number in range(3)]
        made.plan(*names)
        made.commit()
        with ThreadPoolExecutor(3) as pool:
            done = list(pool.map(lambda _: publish(made.output, TASK, file_bytes=1), range(3)))
        assert {each.manifest.rows for each in done} == {len(names)}
        assert shown(made.output) == expected(made.output)
    named = {each.path for each in manifest.newest(made.output, TASK).files}
    assert data_files(made.output, TASK).keys() == named, "those who lost left nothing"


def test_a_crash_at_any_moment_leaves_the_old_set(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a", "b")
    made.commit(0)
    holds(made)
    before = shown(made.output)
    made.commit(1)

    class Killed(BaseException):
        pass

    def dies(*given: Any) -> Any:
        raise Killed

    for name in ("put", "encode"):
        with monkeypatch.context() as patch:
            patch.setattr(manifest, name, dies)
            with pytest.raises(Killed):
                publish(made.output, TASK)
        assert shown(made.output) == before
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.table.publish.splitter.put_file", dies)
        with pytest.raises(Killed):
            publish(made.output, TASK)
    assert shown(made.output) == before
    holds(made)


def test_an_answer_that_is_lost_does_not_lose_the_set(made: Made, s3_proxy: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a", "b")
    made.commit()
    s3_proxy.lose_answer(r"^PUT .*/_manifests/000001\.manifest", times=1)
    assert holds(made).manifest.number == 1
    s3_proxy.requests.clear()
    table = read_published(made.output)
    assert [line.split()[0] for line in s3_proxy.requests] == ["GET", "GET", "GET"]
    read_published(made.output, task=TASK)
    assert len(s3_proxy.requests) == 5
    assert table.count_rows() == 2
    assert withdraw(made.output, ["c/a"]) != []
    assert set(shown(made.output)) == {"c/b"}


def test_storage_that_fails_when_the_manifest_is_put_leaves_its_files(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.plan("a")
    made.commit()

    put = manifest.put_if_absent

    def fails(*given: Any) -> bool:
        assert put(*given)
        raise StorageFault("the answer never came")

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "put_if_absent", fails)
        with pytest.raises(StorageFault):
            publish(made.output, TASK)
    assert shown(made.output) == expected(made.output)
