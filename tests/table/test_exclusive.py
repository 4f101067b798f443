"""Commands that plan or rewrite keep away from runs where storage does not keep them apart."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.storage.listing import list_names
from pipeline.table import layout
from pipeline.table.__main__ import main
from pipeline.table.exclusive import exclusive
from pipeline.table.lease import Lease, held, signs

OTHER = Lease("20200101T000000.000-beef", "elsewhere", 7, "2020-01-01T00:00:00+00:00")


@pytest.fixture
def table(made: Any, s3_proxy: Any) -> Any:
    """Two recordings, one with an error."""
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a", "b")
    made.commit(broken=["c/b"])
    return made


@pytest.mark.parametrize("command", [["errors", "{}", "--again"], ["forget", "{}", "c/a", "--yes"]])
def test_a_store_that_ignores_the_condition_lets_none_in_beside_a_run(
    table: Any, s3_proxy: Any, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    s3_proxy.ignored = {"if-none-match"}
    before = sorted(list_names(layout.runs_folder(table.output))), sorted(list_names(f"{table.output}/_plan"))
    arguments = [each.format(table.output) for each in command]
    with held(table.output, OTHER):
        assert main(arguments) == 2
    told = f"run {OTHER.run} is at work, as process 7 on elsewhere, and this storage ignores conditional puts"
    assert told in capsys.readouterr().err
    assert before == (sorted(list_names(layout.runs_folder(table.output))), sorted(list_names(f"{table.output}/_plan")))
    assert main(arguments) == 0
    assert signs(table.output) == []


def test_elsewhere_a_run_at_work_keeps_nobody_out(table: Any) -> None:
    with held(table.output, OTHER):
        assert main(["errors", table.output, "--again"]) == 0


def test_others_see_who_has_the_table_to_himself(table: Any, s3_proxy: Any) -> None:
    s3_proxy.ignored = {"if-none-match"}
    with exclusive(table.output):
        assert len(signs(table.output)) == 1
    assert signs(table.output) == []
