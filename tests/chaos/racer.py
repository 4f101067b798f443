"""A run in a process of its own, again and again: one for each line of JSON on standard input.

Run by `races.py`. It dawdles before it writes, so that others are first as often as not; told so, it falls asleep
before its first commit until a file appears. Answers with one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.plan import store  # noqa: E402
from pipeline.table import commit  # noqa: E402
from tests.chaos import stores  # noqa: E402
from tests.chaos.faults import OPTIONS  # noqa: E402
from tests.chaos.promise import Broken  # noqa: E402
from tests.chaos.quiet import at_hand, labelled  # noqa: E402

SLEEP = 120.0
"""Seconds after which a sleeper wakes by itself."""


@contextlib.contextmanager
def dawdling(dice: random.Random, wake: str | None) -> Iterator[Counter[str]]:
    """Wait before plans and units are put; counts what was put first, and what came second."""
    counts: Counter[str] = Counter()

    def slow(what: str, put: Callable[[str, bytes], bool]) -> Callable[[str, bytes], bool]:
        def dawdle(uri: str, data: bytes) -> bool:
            asleep = wake is not None and what == "unit" and not counts["zombie first"] + counts["zombie taken"]
            deadline = time.monotonic() + (SLEEP if asleep else dice.choice((0.0, 0.0, dice.uniform(0, 0.3))))
            while time.monotonic() < deadline and not (asleep and Path(str(wake)).exists()):
                time.sleep(0.02)
            won = put(uri, data)
            counts[f"{what} {'first' if won else 'taken'}"] += 1
            if asleep:
                counts[f"zombie {'first' if won else 'taken'}"] += 1
            return won

        return dawdle

    with (
        mock.patch.object(store, "put_if_absent", slow("plan", store.put_if_absent)),
        mock.patch.object(commit, "put_if_absent", slow("unit", commit.put_if_absent)),
    ):
        yield counts


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        reached = stores.reached_at(order["endpoint"]) if order["endpoint"] else contextlib.nullcontext()
        answer: dict[str, object]
        with at_hand(), reached, dawdling(random.Random(order["seed"]), order["wake"]) as counts:
            try:
                code, said = labelled([order["source"]], order["output"], **OPTIONS)
                answer = {"code": code, "said": said, "counts": counts}
            except Broken as broken:
                answer = {"broken": str(broken)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
