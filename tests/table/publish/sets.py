"""A published set as readers see it, beside the table that it must agree with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.table import read_table
from pipeline.table.publish import manifest, publish, read_published
from pipeline.table.publish.checking import WHOLE, contradictions
from tests.table.conftest import Made

TASK = "transcribe"

FOUND = Path(__file__).parents[2] / "fuzz/regressions/unit"
"""Files that once broke what reads them."""


def shown(output: str) -> dict[str, tuple[Any, ...]]:
    found = read_published(output).to_table(columns=["id", "version", "text", "unit"]).to_pylist()
    rows = {row["id"]: (row["version"], row["text"], row["unit"]) for row in found}
    assert len(rows) == len(found)
    return rows


def expected(output: str) -> dict[str, tuple[Any, ...]]:
    found = read_table(output).to_table(columns=["id", "version", "text", "unit"]).to_pylist()
    return {row["id"]: (row["version"], row["text"], row["unit"]) for row in found}


def holds(made: Made, **options: Any) -> Any:
    """Publish, and check the set against the table and its manifest against its files."""
    done = publish(made.output, TASK, **options)
    assert shown(made.output) == expected(made.output)
    assert list(contradictions(made.output, (), WHOLE)) == []
    return done


def folder(made: Made) -> Path:
    return Path(made.output, "_published", TASK)


def as_the_release_before(file: Path) -> None:
    """Rewrite a manifest without what only newer releases tell."""
    rows = pq.read_table(file).select(["unit", "size", "hidden", "files"])
    told = json.loads(rows.schema.metadata[manifest._KEY])
    del told["digests"]
    pq.write_table(rows.replace_schema_metadata({manifest._KEY: json.dumps(told)}), file, write_page_checksum=True)
