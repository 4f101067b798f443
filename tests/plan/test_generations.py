"""Which generations there are: what is looked for by name counts, whatever a listing leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.plan import generations, units


@pytest.mark.parametrize("unseen", [{2}, {3}, {2, 3}, {1, 2, 3}])
def test_a_listing_that_lacks_what_was_put_a_moment_ago_hides_no_generation(
    unseen: set[int], plan: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        plan([make(f"{name}.wav")])
    whole = generations.list_names
    hidden = {f"{number:06d}.parquet" for number in unseen}
    monkeypatch.setattr(generations, "list_names", lambda uri: [n for n in whole(uri) if n not in hidden])
    assert generations.numbers(plan.output) == [1, 2, 3]
    assert len(units(plan.output)) == 3
    report = plan([make(f"{name}.wav") for name in "abcd"])
    assert (report.new, report.unchanged, report.generations) == (1, 3, (4,))
    assert plan.listings == 4, "nobody came second to itself"


def test_one_that_may_not_be_looked_at_is_the_users_to_open(
    plan: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan([make("a.wav")])

    def closed(uri: str) -> Any:
        raise PermissionError(13, "Permission denied", uri)

    monkeypatch.setattr(generations, "stat", closed)
    with pytest.raises(UserError, match=r"000001\.parquet: permission denied while reading\. Check owner and mode"):
        generations.open_generation(plan.output, 1)
