"""The reliability table of README.md: what was broken on purpose at one commit, how often, and what held.

python tests/chaos/summary.py [--commit HASH]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.quantities import counted  # noqa: E402
from tests import faultproxy  # noqa: E402
from tests.chaos import places, poison  # noqa: E402
from tests.chaos.protocol import SPLIT  # noqa: E402
from tests.chaos.run import PARTS  # noqa: E402

RESULTS = Path(__file__).with_name("results.jsonl")


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the table."""

    says: str
    """What is done, and what must hold then."""
    goal: dict[str, int]
    """Name of a count -> the figure to reach."""
    each: int = 0
    """The figure that every other count is to reach, where there is one."""
    some: tuple[str, ...] = ()
    """Names of other counts of which none may be 0."""
    called: str = ""
    """What those are."""


PROMISES = {
    "kills": Promise(
        "drivers, workers, actors, decoders and nodes are killed at random moments, or drained as before a spot node "
        "goes; output on a disk, on moto and on a Ceph gateway. Run again, every planned recording is one row, and "
        "none has an error",
        {"kills": 200, "runs": 40},
        some=tuple(f"runs on {place}" for place in places.NAMES),
        called="places",
    ),
    "faults": Promise(
        "an object store fails in every way known of it. Every planned recording is one row, which has an error only "
        "where the file is no audio",
        {"storage faults": 2000},
        some=faultproxy.KINDS,
        called="kinds",
    ),
    "races": Promise(
        "several drivers work on one output at once. Every planned recording is one row, which has an error only "
        "where the file is no audio",
        {"races": 20},
    ),
    "protocol": Promise(
        "planning and committing as a pure model: three runs die before and after every operation, answers are lost, "
        "listings stale. No state loses or doubles a recording",
        {"schedules": 1_000_000},
    ),
    "poison": Promise(
        "recordings crash, keep or overfill what decodes them, in six ways, or the process of the model, in five. Each "
        "ends as an error row of its own, and every neighbour is heard",
        {poison.DECODER: 180, poison.MODEL: 150},
        some=poison.KINDS,
        called="kinds",
    ),
    "fuzz": Promise(
        "hostile inputs at every place where foreign bytes come in. None ends in a traceback, takes over 10 s of CPU "
        "time, waits two minutes or takes more than 256 MB of memory, 512 MB for audio and sizes of a model; of what "
        "gets past the parsers a part is read as a run would, 1 of 4 to 16 where that takes long",
        {},
        each=100_000,
    ),
}
BESIDE = " past header"
"""End of the name of a count that says more of another one."""
LARGEST = ("states", "moves", "ends", SPLIT)
"""Counts that runs have in common, so that they do not add up."""


@dataclass
class Sum:
    """All runs of one part at one commit."""

    runs: int = 0
    minutes: float = 0.0
    broken: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    seeds: set[int] = field(default_factory=set)

    def add(self, line: dict[str, Any]) -> None:
        """Add a run; a seed that was counted before has nothing new, where the part does not go on behind it."""
        self.runs += 1
        self.minutes += line["minutes"]
        self.broken += "broken" in line
        if line["seed"] in self.seeds and not PARTS[line["part"]].goes_on:
            return
        self.seeds.add(line["seed"])
        for name, count in line["counts"].items():
            self.counts[name] = max(self.counts[name], count) if name in LARGEST else self.counts[name] + count


def read(results: Path) -> list[dict[str, Any]]:
    """Lines of a results file that were counted on a commit as it is; none where there is no file."""
    lines = map(json.loads, results.read_text().splitlines()) if results.exists() else ()
    return [line for line in lines if not line["dirty"]]


def page(lines: Sequence[dict[str, Any]], commit: str) -> str:
    """The table, in Markdown."""
    sums: dict[str, Sum] = {}
    # Of runs with one seed the longest is what counts.
    for line in sorted(lines, key=lambda each: each["minutes"], reverse=True):
        if line["commit"] == commit:
            sums.setdefault(line["part"], Sum()).add(line)
    rows = [f"| {promise.says} | {_goal(promise)} | {_counted(promise, sums.get(part))} |"
            for part, promise in PROMISES.items()]  # fmt: skip
    return "\n".join(
        [f"| what is done, and what holds | goal | done at commit {commit} |", "| --- | --- | --- |", *rows]
    )


def _goal(promise: Promise) -> str:
    told = [f"{figure:,} {name}" for name, figure in promise.goal.items()]
    told += [f"{promise.each:,} of each"] if promise.each else []
    return ", ".join(told + ([f"all {len(promise.some)} {promise.called}"] if promise.some else []))


def _counted(promise: Promise, found: Sum | None) -> str:
    if found is None:
        return "not run"
    first = [f"{found.counts[name]:,} {name}" for name in promise.goal]
    # A part may put its own name before a count.
    others = {name.rpartition(": ")[2]: count for name, count in found.counts.items() if name not in promise.goal}
    rest = _in_all(others) if promise.each else [f"{name} {count:,}" for name, count in others.items()]
    short = [name for name, figure in promise.goal.items() if found.counts[name] < figure]
    short += [name for name, count in others.items() if count < promise.each and not name.endswith(BESIDE)]
    short += [name for name in promise.some if not others.get(name)]
    if len(short) > 4:
        short = [*short[:3], f"{len(short) - 3} more"]
    told = "; ".join(filter(None, [", ".join(first), ", ".join(rest), f"{found.minutes:.0f} minutes"]))
    verdict = [f"**did not hold in {found.broken} of {counted(found.runs, 'run')}**"] if found.broken else []
    verdict += [f"short of the goal: {', '.join(short)}"] if short else []
    return "; ".join([told, *verdict])


def _in_all(counts: Mapping[str, int]) -> list[str]:
    """Counts of very many names, short: the least one, their sum and, of those, what a count beside them says."""
    plain = {name: count for name, count in counts.items() if not name.endswith(BESIDE)}
    if not plain:
        return []
    least, total = min(plain, key=plain.__getitem__), sum(plain.values())
    shares = {name: counts.get(name + BESIDE, 0) / max(count, 1) for name, count in plain.items()}
    lowest = min(shares, key=shares.__getitem__)
    past = sum(counts.values()) - total
    return [
        f"{len(plain)} kinds, each at least {plain[least]:,} ({least})",
        f"{total:,} in all",
        f"{past / max(total, 1):.0%}{BESIDE}, least {shares[lowest]:.0%} ({lowest})",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", help="default: that of the newest result")
    given = parser.parse_args(argv)
    lines = read(RESULTS)
    if not lines:
        print("no results yet: run `make chaos` on a commit without changes", file=sys.stderr)
        return 1
    print(page(lines, given.commit or lines[-1]["commit"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
