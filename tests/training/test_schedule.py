"""Learning rates: up in the warm-up, down to nothing at the end."""

from __future__ import annotations

import pytest

from pipeline.training.schedule import rate


@pytest.mark.parametrize(("decay", "half_way", "end"), [("linear", 0.5, 0.0), ("cosine", 0.5, 0.0), ("constant", 1, 1)])
def test_the_rate_rises_then_falls(decay, half_way: float, end: float) -> None:
    rates = [rate(progress, warmup=0.2, decay=decay) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, half_way, end])


def test_without_a_warm_up_the_rate_starts_at_its_height() -> None:
    assert rate(0.0, warmup=0.0, decay="linear") == 1.0
