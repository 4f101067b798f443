"""Tables of Markdown."""

from __future__ import annotations

import pytest

from pipeline.evaluation.markdown import Sheet, part, percent, render


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    sheet = Sheet("Labels", ("label", "F1"), (("speech", "0.5"), ("a | b\nc", "1")))
    assert render(sheet).splitlines() == [
        "## Labels",
        "",
        "| label    | F1  |",
        "| -------- | --- |",
        "| speech   | 0.5 |",
        "| a \\| b c | 1   |",
    ]


@pytest.mark.parametrize(
    ("share", "told"), [(0.0527, "5.3 %"), (1.5, "150.0 %"), (0.0, "0.0 %"), (None, "not defined")]
)
def test_percent(share: float | None, told: str) -> None:
    assert percent(share) == told


def test_part() -> None:
    assert part(15, 2850) == "0.5 % (15 of 2,850)"
    assert part(0, 0) == "not defined (0 of 0)"
