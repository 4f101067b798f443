"""Runs in several processes at once on one output, while files arrive; one of them sleeps until the others are done.

    python tests/chaos/races.py [--minutes 5] [--seed 1]

On a local disk and on every store that can be had here. The sleeper is a zombie: it wakes up with a unit in its hands
that somebody else has committed, and its put must change nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import select
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipeline.errors import UserError  # noqa: E402
from pipeline.storage.listing import walk  # noqa: E402
from pipeline.storage.put import probe_write, put  # noqa: E402
from tests.chaos import pieces, stores  # noqa: E402
from tests.chaos.faults import OPTIONS  # noqa: E402
from tests.chaos.promise import Broken, check, watch  # noqa: E402
from tests.chaos.quiet import at_hand, labelled  # noqa: E402

MOST = 4
"""Racers at once."""
CONTENDED = ("plan taken", "unit taken", "zombie taken")
"""Counts of what one run wanted to put and another had put before."""
PATIENCE = 240.0
"""Seconds in which a racer must have answered."""


@dataclass
class Race:
    """One output, and what was seen of it."""

    place: str
    endpoint: str
    files: dict[str, bytes]
    versions: dict[str, str] = field(default_factory=dict)
    """Committed files as they were first seen."""

    @property
    def source(self) -> str:
        return f"{self.place}/in"

    @property
    def output(self) -> str:
        return f"{self.place}/out"

    def run(self, racers: list[subprocess.Popen[str]], dice: random.Random, wake: Path) -> Counter[str]:
        """Let them run, the last of them asleep from its first commit on until the others are done."""
        arriving = dice.sample(sorted(self.files), 3)
        for name in set(self.files) - set(arriving):
            put(f"{self.source}/{name}", self.files[name])
        *_, zombie = racers
        for racer in racers:
            order = {
                "source": self.source, "output": self.output, "endpoint": self.endpoint,
                "seed": dice.getrandbits(32), "wake": str(wake) if racer is zombie else None,
            }  # fmt: skip
            _tell(racer, order)
        answers, left = [], list(racers)
        deadline = time.monotonic() + PATIENCE
        while left and time.monotonic() < deadline:
            ready, _, _ = select.select([racer.stdout for racer in left], [], [], dice.uniform(0.02, 0.3))
            for racer in [racer for racer in left if racer.stdout in ready]:
                answers.append(_answer(racer))
                left.remove(racer)
            if arriving:
                name = arriving.pop()
                put(f"{self.source}/{name}", self.files[name])
            self.look()
            if left == [zombie]:
                wake.touch()
        if left:
            raise Broken(f"{self.output}: {len(left)} runs did not end within {PATIENCE:.0f} s")
        return self.judged(answers)

    def look(self) -> None:
        """Look at what is committed as any reader may, at any moment."""
        watch(self.output, "transcribe", {uri.rpartition("/")[2] for uri in self.versions})
        try:
            found = {each.uri: each.version for each in walk(f"{self.output}/transcribe")}
        except UserError:
            return
        for uri, version in self.versions.items():
            if found.get(uri) != version:
                raise Broken(f"{uri}: was {version}, is now {found.get(uri)}")
        self.versions = {uri: version for uri, version in found.items() if uri.endswith(".parquet")}

    def judged(self, answers: list[dict[str, Any]]) -> Counter[str]:
        """Finish the table and hold it against the corpus."""
        counts: Counter[str] = Counter()
        for answer in answers:
            if answer.get("code") != 0:
                raise Broken(f"{self.output}: a run ended with {answer}")
            counts.update(answer["counts"])
        code, said = labelled([self.source], self.output, **OPTIONS)
        if code:
            raise Broken(f"{self.output}: the last run ended with code {code}: {said}")
        self.look()
        check(self.output, ids=pieces.ids(self.files), errors=1)
        pieces.compare(self.output)
        return counts


def run(seed: int, deadline: float, folder: Path, *, most: int | None = None) -> dict[str, int]:
    """Race until the deadline, on each kind of storage in turn, at least once.

    Args:
        seed: of the corpora and of who dawdles.
        deadline: in monotonic seconds.
        folder: for local tables.
        most: races after which to end sooner.

    Raises:
        Broken: a promise did not hold.
    """
    counts, number = Counter(races=0), 0
    with contextlib.ExitStack() as stack:
        places = _places(stack, folder, seconds=deadline - time.monotonic())
        racers = stack.enter_context(_racers())
        stack.enter_context(at_hand())
        pieces.said()
        while number == 0 or (time.monotonic() < deadline and number != most):
            number += 1
            dice = random.Random(f"{seed} {number}")
            kind, (base, endpoint) = sorted(places.items())[number % len(places)]
            race = Race(f"{base}/{number}", endpoint, pieces.corpus(dice))
            try:
                with stores.reached_at(endpoint) if endpoint else contextlib.nullcontext():
                    if not endpoint:
                        probe_write(race.source)
                    found = race.run(racers[: dice.randint(2, MOST)], dice, folder / f"wake-{number}")
            except Broken as broken:
                raise Broken(f"seed {seed}, race {number} on {kind}: {broken}") from broken
            counts.update(counted(kind, found))
    return dict(counts)


def counted(kind: str, found: Counter[str]) -> Counter[str]:
    """What is counted of runs at once on a kind of storage: where none came second to anything, it was no race."""
    told = Counter({f"races: {name}": count for name, count in found.items()})
    contended = any(found[name] for name in CONTENDED)
    return told + (Counter({"races": 1, f"races: {kind}": 1}) if contended else Counter({"races: idle": 1}))


def _places(stack: contextlib.ExitStack, folder: Path, *, seconds: float) -> dict[str, tuple[str, str]]:
    """Kind of storage -> where tables lie, and the address of the store."""
    bucket = f"races-{uuid.uuid4().hex[:12]}"
    places = {"local": (str(folder / "races"), "")}
    for name, endpoint in stores.opened(stack, seconds=seconds).items():
        stores.make_bucket(endpoint, bucket)
        places[name] = (f"s3://{bucket}", endpoint)
    return places


@contextlib.contextmanager
def _racers() -> Iterator[list[subprocess.Popen[str]]]:
    program = [sys.executable, str(Path(__file__).with_name("racer.py"))]
    started = [
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT)
        for _ in range(MOST)
    ]
    try:
        for racer in started:
            assert racer.stdout is not None
            racer.stdout.readline()
        yield started
    finally:
        for racer in started:
            racer.kill()
            racer.wait()
            for end in (racer.stdin, racer.stdout):
                if end is not None:
                    end.close()


def _tell(racer: subprocess.Popen[str], order: dict[str, Any]) -> None:
    assert racer.stdin is not None
    racer.stdin.write(json.dumps(order) + "\n")
    racer.stdin.flush()


def _answer(racer: subprocess.Popen[str]) -> dict[str, Any]:
    assert racer.stdout is not None
    line = racer.stdout.readline()
    if not line:
        raise Broken("a racer died")
    return dict(json.loads(line))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(options.seed, time.monotonic() + 60 * options.minutes, Path(folder))
    print(" ".join(f"{name.replace(' ', '_')}={count}" for name, count in sorted(counts.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
