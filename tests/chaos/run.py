"""Chaos for so many minutes, in parts; ends with the first broken promise and tells the seed that replays it.

    make chaos MINUTES=30 SEED=1                   # all parts, which share the minutes
    make chaos MINUTES=5 SEED=7 PARTS=kills,faults

Each part is a function `run(seed, deadline, folder)`, with the deadline on `time.monotonic()` and a folder of its own,
that gives what it counted. One line a part is added to `tests/chaos/results.jsonl`; `tests/chaos/summary.py` adds up
the lines of one commit.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

RESULTS = Path(__file__).with_name("results.jsonl")
Part = Callable[[int, float, Path], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Share:
    """Where a part is, and what it gets of the minutes."""

    module: str
    weight: float
    goes_on: bool = False
    """Whether it is told what earlier runs with its seed have counted at this commit, to go on behind that."""


PARTS = {
    "protocol": Share("tests.chaos.protocol", 15),
    "races": Share("tests.chaos.races", 5),
    "faults": Share("tests.chaos.faults", 15),
    "fuzz": Share("tests.fuzz.run", 25, goes_on=True),
    "poison": Share("tests.chaos.poison", 10),
    "kills": Share("tests.chaos.kills", 30),
}
"""In this order; what one leaves of its time the later ones have."""
_RUNS = ("pipeline", "jobs", "tests", "pyproject.toml", "infra/constraints.txt")
_ASIDE = ("tests/chaos/results.jsonl", "tests/fuzz/results", "tests/benchmarks", "tests/**/test_*.py")
"""What results are of, and what of that no part runs."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: %(default)s")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file that gets a line a part")
    given = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    names = given.parts.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    # All are loaded first: a part that cannot be would be noticed late.
    parts = {name: importlib.import_module(PARTS[name].module).run for name in names}
    for name in filter(lambda each: PARTS[each].goes_on, names):
        parts[name] = functools.partial(parts[name], before=earlier(given.results, name, seed))
    end = time.monotonic() + 60 * given.minutes
    for number, (name, part) in enumerate(parts.items()):
        left = end - time.monotonic()
        share = PARTS[name].weight / sum(PARTS[each].weight for each in names[number:])
        print(f"{name}: seed {seed}, up to {left * share / 60:.1f} minutes", flush=True)
        if not held(name, part, seed, left * share, given.results):
            replay = f"make chaos SEED={seed} PARTS={name} MINUTES={max(1.0, left * share / 60):.0f}"
            print(f"{name}: BROKEN; the same again: {replay}", flush=True)
            return 1
    return 0


def held(name: str, part: Part, seed: int, seconds: float, results: Path) -> bool:
    """Run a part, write down what it counted, and say whether every promise held."""
    began, counts, broken = time.monotonic(), {}, ""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        counts = part(seed, began + seconds, folder)
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        broken = f"{type(error).__name__}: {error}".partition("\n")[0]
        print(f"{name}: what there is to look at is in {folder}", flush=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    minutes = round((time.monotonic() - began) / 60, 2)
    line = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", **revision(), "part": name, "seed": seed}
    line |= {"minutes": minutes, "counts": counts} | ({"broken": broken} if broken else {})
    with open(results, "a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{name}: {counts} in {minutes} minutes", flush=True)
    return not broken


def earlier(results: Path, name: str, seed: int) -> dict[str, int]:
    """Sum of what runs of a part with this seed have counted at the commit that is checked out."""
    commit, counts = revision()["commit"], Counter[str]()
    for line in map(json.loads, results.read_text().splitlines() if results.exists() else ()):
        if (line["part"], line["seed"], line["commit"], line["dirty"]) == (name, seed, commit, False):
            counts.update(line["counts"])
    return dict(counts)


def revision() -> dict[str, object]:
    """Last commit that changed anything that runs here, and whether anything of that differs from it.

    No commit where git does not know it: a shallow clone takes its oldest commit for one that changed everything.
    """
    places = [*_RUNS, *(f":(exclude,glob){place}" for place in _ASIDE)]
    try:
        shallow = _git("rev-parse", "--is-shallow-repository").strip() == "true"
        commit = "" if shallow else _git("rev-list", "-1", "HEAD", "--", *places)[:12]
        changed = _git("status", "--porcelain", "--", *places)
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "", "dirty": True}
    return {"commit": commit, "dirty": not commit or bool(changed.strip())}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    # As Ctrl-C does: the nodes and drivers of a part end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
