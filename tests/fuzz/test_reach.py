"""The inputs of the fuzzer reach nearly all of our own parsers, and no parser is left out by a name that is wrong."""

from __future__ import annotations

import pytest

from tests.fuzz import reach

FEW = 200


def test_every_function_that_is_named_is_there() -> None:
    assert all(reach.wanted().values())


@pytest.mark.parametrize(
    ("module", "says"),
    [("pipeline.documents", "pipeline.documents has no function gone"), ("pipeline.cli", "no module with doors")],
)
def test_a_name_that_is_wrong_fails(module: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reach.READS, module, ("gone",))
    with pytest.raises(LookupError, match=says):
        reach.wanted()


@pytest.mark.slow
def test_few_inputs_reach_nearly_all_of_every_parser() -> None:
    found = reach.reach(FEW, seed=1)
    assert {module: found[module].missed for module in reach.short(found)} == {}
