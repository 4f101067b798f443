"""Options that have no meaning are refused."""

from __future__ import annotations

from typing import Any

import pytest

import pipeline
from pipeline.errors import UserError
from pipeline.evaluation.options import ONLY_FOR, Options, make


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segments": True}, r"--segments is for embed, and .*out/transcribe was written by transcribe; leave it out"),
        ({"trials": "t.txt"}, "--trials is for embed"),
        ({"threshold": 0.4}, "--threshold is for classify"),
        ({"threshold": 4}, "--threshold: must be from 0 to 1, was 4"),
        ({"bootstrap": -1}, "--bootstrap: must be 0 or more, was -1"),
        ({"trials": "t.txt", "segments": True}, "leave one out"),
        ({"refrence": "x"}, "refrence: there is no such option; there are background, bootstrap"),
    ],
)
def test_options_that_do_not_fit(words: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        pipeline.evaluate(words, **options)


def test_keywords_become_options() -> None:
    assert make({"task": "embed", "segments": True}) == Options(task="embed", segments=True)
    assert set(ONLY_FOR) <= set(Options.__dataclass_fields__)
