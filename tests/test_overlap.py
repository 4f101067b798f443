"""Runs beside each other on storage that does not keep them apart."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.storage.listing import list_names
from pipeline.storage.put import put
from pipeline.table import read_table
from pipeline.table.lease import Lease, held
from tests.chaos.quiet import at_hand, labelled
from tests.jobs.corpora import clips, encoded, transcribed


def test_no_run_starts_beside_another_where_a_store_ignores_the_condition(s3_proxy: Any) -> None:
    s3_proxy.ignored = {"if-none-match"}
    source, output = f"{s3_proxy.bucket.uri}/in", f"{s3_proxy.bucket.uri}/out"
    put(f"{source}/a.flac", encoded(clips()[0].samples))
    with at_hand():
        code, said = labelled([source], output)
    assert code == 0
    assert "ignores conditional puts (If-None-Match), so no run starts beside another; a unit" in said
    assert len(read_table(output).to_pandas()) == 1
    put(f"{source}/b.flac", encoded(clips()[1].samples))
    other = Lease("99990101T000000.000-beef", "elsewhere", 7, "2020-01-01T00:00:00+00:00")
    told = f"out: run {other.run} is at work, .* ignores conditional puts .* Wait for its end"
    with held(output, other), at_hand(), pytest.raises(UserError, match=told):
        transcribed([source], output)
    assert list_names(f"{output}/_plan") == ["000001.parquet"]
