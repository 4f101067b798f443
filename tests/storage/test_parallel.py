import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.storage.parallel import in_order


def _job(number: int) -> list[int]:
    time.sleep(0.002 * (number % 3))
    return [number] * (number % 4)


def test_items_come_in_the_order_of_jobs() -> None:
    jobs = [lambda number=number: _job(number) for number in range(50)]
    assert list(in_order(jobs, workers=7)) == [number for number in range(50) for _ in range(number % 4)]


def test_no_jobs() -> None:
    assert list(in_order([], workers=3)) == []


def test_an_error_comes_at_its_place() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("third job")

    results = in_order([lambda: [7], lambda: [8], broken, lambda: [9]], workers=4)
    assert [next(results), next(results)] == [7, 8]
    with pytest.raises(LookupError, match="third job"):
        next(results)
    assert list(results) == []


def test_jobs_run_at_once_and_no_further_ahead_than_allowed() -> None:
    together = threading.Barrier(3)
    started = []

    def job(number: int) -> list[int]:
        started.append(number)
        if number < 3:
            together.wait(timeout=10)
        return [number]

    results = in_order((lambda n=n: job(n) for n in range(30)), workers=3)
    assert next(results) == 0
    assert max(started) <= 3
    assert list(results) == list(range(1, 30))


def test_buffers_are_bounded_and_an_early_end_stops_the_jobs() -> None:
    made = [0]

    def endless() -> Iterator[int]:
        while True:
            made[0] += 1
            yield made[0]

    results = in_order([endless], workers=1, batches=2)
    assert next(results) == 1
    time.sleep(0.3)
    assert made[0] <= 256 * 5
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("in-order")]
