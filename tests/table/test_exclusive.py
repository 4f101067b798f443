"""Commands that plan or forget keep away from runs where storage does not keep them apart."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import StorageFault, UserError
from pipeline.storage.listing import list_names
from pipeline.storage.put import put
from pipeline.table import lease
from pipeline.table.__main__ import main
from pipeline.table.exclusive import exclusive
from pipeline.table.lease import Lease, Sign, held, signs
from tests.chaos.quiet import at_hand
from tests.jobs.corpora import transcribed

OTHER = Lease("20200101T000000.000-beef", "elsewhere", 7, "2020-01-01T00:00:00+00:00")


@pytest.fixture
def table(made: Any, s3_proxy: Any) -> Any:
    """Two recordings, one with an error."""
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a", "b")
    made.commit(broken=["c/b"])
    return made


def written(table: Any) -> list[list[str]]:
    return [sorted(list_names(f"{table.output}/{name}")) for name in ("_plan", "_forgotten", "_runs", "transcribe")]


@pytest.mark.parametrize("command", [["errors", "{}", "--again"], ["forget", "{}", "c/a", "--yes"]])
def test_a_store_that_ignores_the_condition_lets_none_in_beside_a_run(
    table: Any, s3_proxy: Any, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    s3_proxy.ignored = {"if-none-match"}
    before = written(table)
    arguments = [each.format(table.output) for each in command]
    with held(table.output, OTHER):
        assert main(arguments) == 2
    told = f"run {OTHER.run} is at work, as process 7 on elsewhere, and this storage ignores conditional puts"
    assert told in capsys.readouterr().err
    assert written(table) == before
    assert main(arguments) == 0
    assert signs(table.output) == []


def test_elsewhere_a_run_at_work_keeps_nobody_out(table: Any) -> None:
    with held(table.output, OTHER):
        assert main(["errors", table.output, "--again"]) == 0


def test_where_nobody_can_tell_who_is_at_work_nothing_is_written(
    table: Any, s3_proxy: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_proxy.ignored = {"if-none-match"}
    before = written(table)

    def busy(output: str) -> list[Sign]:
        raise StorageFault("503 SlowDown while listing")

    monkeypatch.setattr(lease, "signs", busy)
    assert main(["errors", table.output, "--again"]) == 4
    told = "whether a run is at work cannot be told, and this storage ignores conditional puts (If-None-Match): 503"
    assert told in capsys.readouterr().err
    assert written(table) == before


def test_with_nothing_to_plan_nobody_needs_the_table(table: Any, s3_proxy: Any) -> None:
    s3_proxy.ignored = {"if-none-match"}
    with held(table.output, OTHER):
        assert main(["errors", table.output, "--again", "--dry-run"]) == 0


def test_others_see_which_command_has_the_table_to_itself_and_keep_away(s3_proxy: Any) -> None:
    s3_proxy.ignored = {"if-none-match"}
    source, output = f"{s3_proxy.bucket.uri}/in", f"{s3_proxy.bucket.uri}/out"
    put(f"{source}/a.wav", b"no audio")
    with exclusive(output, "forget"):
        (sign,) = signs(output)
        assert sign.lease.run.endswith("-forget")
        with at_hand(), pytest.raises(UserError, match=f"run {sign.lease.run} is at work"):
            transcribed([source], output)
    assert signs(output) == []
