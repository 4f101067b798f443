"""The demo's table: what it shows of each recording, and whose voice is nearest."""

from __future__ import annotations

import io

from rich.console import Console

from pipeline.demo.__main__ import Heard, _side_by_side, nearest_speakers


def shown(*rows: Heard) -> list[str]:
    screen = io.StringIO()
    _side_by_side(rows, Console(file=screen, width=140))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def heard(**given: object) -> Heard:
    fields = {
        "key": "ann-000", "reference": "two one", "text": "two one", "keyword": "one", "speech": 0.625,
        "speaker": "ann", "nearest": "ann", "error": None,
    }  # fmt: skip
    return Heard(**{**fields, **given})  # type: ignore[arg-type]


def test_the_nearest_speaker_is_judged_without_the_recording_itself() -> None:
    embeddings = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [0.8, 0.2]]
    assert nearest_speakers(embeddings, ["ann", "ann", "bob", "bob", "bob"]) == ["ann", "ann", "bob", "bob", "ann"]


def test_a_recording_without_an_embedding_has_no_nearest_speaker_and_is_none() -> None:
    assert nearest_speakers([[1.0, 0.0], None, [0.0, 1.0]], ["ann", "ann", "bob"]) == ["bob", None, "ann"]
    assert nearest_speakers([[1.0, 0.0]], ["ann"]) == [None]


def test_what_every_task_says_stands_in_one_line() -> None:
    assert shown(heard())[1].split() == ["ann-000", "two", "one", "two", "one", "one", "62%", "ann"]


def test_what_is_wrong_or_missing_is_said() -> None:
    lines = shown(
        heard(text="two five", nearest="bob"),
        heard(key="ann-001", nearest=None, speech=None),
        heard(key="broken-000", error="decode: not an audio file"),
    )
    assert "two five   <- differs" in lines[1]
    assert lines[1].endswith("bob   <- ann")
    assert lines[2].endswith("too little speech")
    assert "decode: not an audio file" in lines[3]
