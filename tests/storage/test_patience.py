import itertools

from pipeline.storage import patience


def test_waits_for_a_busy_store_grow_to_a_bound_and_are_spread() -> None:
    runs = [list(patience.after_throttling()) for _ in range(200)]
    for waits in runs:
        assert patience.LASTING <= sum(waits) <= patience.LASTING + patience.LONGEST
        assert max(waits) <= patience.LONGEST
    for number in range(6):
        bound = patience.FIRST * 2**number
        waits = [waits[number] for waits in runs]
        assert max(waits) <= bound
        assert max(waits) > 0.7 * bound, "full jitter reaches up to the bound"
        assert min(waits) < 0.3 * bound, "and down to nothing"


def test_waits_after_breaks_are_few() -> None:
    waits = list(patience.after_breaks())
    assert len(waits) == len(patience.DELAYS)
    assert all(0.5 * delay <= wait <= 1.5 * delay for wait, delay in zip(waits, patience.DELAYS, strict=True))
    assert len(list(itertools.islice(patience.in_haste(), 5))) == 1
