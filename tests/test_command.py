"""How any command ends."""

from __future__ import annotations

import pytest

from pipeline import command
from pipeline.errors import StorageFault, UserError
from pipeline.noise import kept_off, removed
from pipeline.stopping import Stopped


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (UserError("out: is a file"), 2, "out: is a file"),
        (StorageFault("s3://b: 503"), 4, "s3://b: 503"),
        (Stopped("by SIGTERM"), 4, "stopped by SIGTERM: what is committed stays, the same command goes on from there"),
        (SystemExit(15), 4, "stopped by a signal: what is committed stays"),
        (ZeroDivisionError("a bug"), 1, "failed: ZeroDivisionError: a bug"),
    ],
)
def test_every_end_has_its_code(raised, code, message, capfd):
    def work():
        raise raised

    with kept_off(show=False) as (_, aside):
        assert command.guarded(work, aside.errors, debug=False) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    removed(aside.log)
