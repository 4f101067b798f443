"""Fuzz the doors: foreign bytes of every kind, cut, flipped, spliced and made to measure.

    python tests/fuzz/run.py [--doors tar,plan] [--cases 100000] [--seed 1] [--first 0] [--folder found/]

Inputs are numbered: the same seed and number is the same input, so a run goes on where another ended (`--first`), and
what was found is made once more by its name. Fails where anything was found; its input is kept in the folder.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.chaos.promise import Broken  # noqa: E402
from tests.fuzz.door import Door  # noqa: E402
from tests.fuzz.session import session  # noqa: E402

ROOMS = ("archives", "audio", "lines", "checkpoints", "tables", "kept", "options")
SLICES = range(50, 4001)
"""Inputs of one door after which it is another's turn: few at first, so that a short run has some of each."""
PAST = " past header"


def doors(names: Sequence[str] = ()) -> list[Door]:
    """Doors by their names, or all."""
    every = [door for room in ROOMS for door in importlib.import_module(f"tests.fuzz.doors.{room}").DOORS]
    unknown = set(names) - {door.name for door in every}
    if unknown:
        raise SystemExit(f"no door {', '.join(sorted(unknown))}; there are {', '.join(door.name for door in every)}")
    return [door for door in every if not names or door.name in names]


def run(seed: int, deadline: float, folder: Path, before: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """Put inputs through all doors until a moment of `time.monotonic`; the counts of each.

    The door with the fewest is next, so that all reach a number of inputs together.

    Args:
        seed: of the inputs.
        deadline: when to stop.
        folder: for the inputs that something is wrong with.
        before: counts of earlier runs with this seed, behind whose inputs this one goes on.

    Raises:
        Broken: something came of an input that must not; its file lies in the folder.
    """
    every = {f"fuzz: {door.name}": door for door in doors()}
    counts: Counter[str] = Counter()
    while time.monotonic() < deadline:
        name = min(every, key=lambda each: before.get(each, 0) + counts[each])
        first = before.get(name, 0) + counts[name]
        numbers = range(first, first + min(max(first, SLICES.start), SLICES.stop - 1))
        found = session(every[name], seed, numbers, deadline=deadline, folder=folder)
        counts[name] += found.cases
        counts[name + PAST] += found.past
        if found.findings:
            raise Broken("; ".join(found.findings))
    return dict(counts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--doors", default="", help="names, with commas; default: all")
    parser.add_argument("--cases", type=int, default=100_000, help="inputs of each door")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--folder", type=Path, help="where inputs that something is wrong with are kept")
    parser.add_argument("--minutes", type=float, default=1e6, help="for each door")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fuzz-found-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for door in doors(tuple(filter(None, given.doors.split(",")))):
        deadline = time.monotonic() + 60 * given.minutes
        numbers = range(given.first, given.first + given.cases)
        found = session(door, given.seed, numbers, deadline=deadline, folder=folder)
        rate, share = found.cases / max(found.seconds, 1e-9), found.past / max(found.cases, 1)
        print(
            f"{door.name:17} seed {given.seed}, from {given.first}: {found.cases:>8,} inputs, "
            f"{share:4.0%} past the header, {rate:7,.0f}/s, {len(found.findings)} findings",
            flush=True,
        )
        for each in found.findings:
            print(f"  {each}", flush=True)
        failed += bool(found.findings)
    print(f"inputs of findings are in {folder}" if failed else "nothing was found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
