"""Options that have no meaning are refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

import pipeline
from pipeline.errors import UserError
from pipeline.evaluation.options import Options
from pipeline.evaluation.run import JUDGES
from pipeline.options import make


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"segments": True},
            r"out/transcribe: --segments is no option of transcribe; it is one of embed; leave it out",
        ),
        ({"trials": "t.txt"}, "--trials is no option of transcribe"),
        ({"threshold": 0.5}, "--threshold is no option of transcribe; it is one of classify"),
        ({"threshold": 4}, "--threshold must be between 0 and 1, got 4"),
        ({"threshold": "high"}, "--threshold: 'high' is no share; write it as 0.05 or 5%"),
        ({"bootstrap": -1}, "--bootstrap: -1 is no whole number from 0 up"),
        ({"trials": "t.txt", "segments": True}, "leave one out"),
        ({"refrence": "x"}, "there is no option 'refrence'; did you mean reference?"),
    ],
)
def test_options_that_do_not_fit(words: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        pipeline.evaluate(words, **options)


def test_keywords_become_options() -> None:
    found = make(Options, {"task": "embed", "segments": True, "threshold": "40%"})
    assert found == Options(task="embed", segments=True, threshold=0.4)


def test_every_option_says_what_it_means_and_whose_it_is() -> None:
    served = {each.name: each.metadata["of"] for each in fields(Options)}
    assert set(served) - {name for name, of in served.items() if of} == {"task", "reference", "label_field"}
    assert {task for of in served.values() for task in of or ()} <= set(JUDGES)
    assert all(len(each.metadata["help"]) > 15 for each in fields(Options))
