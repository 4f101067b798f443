"""What counts as committed is told by one listing, names and sizes."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.storage.put import put
from pipeline.table import committed, layout, pending


@pytest.mark.parametrize("data", [b"", b"PAR1", b"\0" * 11])
def test_a_file_too_small_for_a_unit_is_no_commit(made: Any, data: bytes) -> None:
    made.plan("a.wav", "b.wav")
    made.commit(0)
    made.file(1).write_bytes(data)
    words = (
        rf"{made.file(1)}: is no unit's file \({len(data)} bytes\)\. Delete it; the next run does that unit again\.$"
    )
    with pytest.raises(UserError, match=words):
        pending(made.output, "transcribe", made.units)
    made.file(1).unlink()
    assert pending(made.output, "transcribe", made.units) == made.units[1:]


def test_the_first_is_named_and_the_others_are_counted(made: Any) -> None:
    made.plan("a.wav", "b.wav", "c.wav")
    made.declare()
    for number in range(3):
        made.file(number).write_bytes(b"")
    first = min(made.file(number) for number in range(3))
    with pytest.raises(UserError, match=rf"^{first}: .* There are 2 more; verify names each\.$"):
        committed(made.output, "transcribe")


def test_names_and_sizes_cost_one_request(made: Any, s3_proxy: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a.wav", "b.wav")
    made.commit(0)
    put(layout.unit_file(made.output, "transcribe", made.units[1].name), b"")
    units = made.units
    s3_proxy.requests.clear()
    with pytest.raises(UserError, match=r"\.parquet: is no unit's file \(0 bytes\)"):
        pending(made.output, "transcribe", units)
    (line,) = s3_proxy.requests
    assert line.startswith(f"GET /{s3_proxy.bucket.name}?list-type=2")
