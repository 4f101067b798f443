"""Plan, label and commit while the storage misbehaves at every turn, and compare the plan with the table.

    python tests/chaos/faults.py [--minutes 5] [--seed 1]

Each corpus is small and its rows are known. Runs over it go through a proxy that delays, cuts, refuses and loses
answers and shows old listings, until they say that they are done or have had their chances; then one more run, which
nothing befalls, must complete the table.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.errors import StorageFault  # noqa: E402
from pipeline.storage import paths  # noqa: E402
from pipeline.storage.listing import walk  # noqa: E402
from pipeline.storage.put import put  # noqa: E402
from pipeline.table.verify import format_verdict, verify  # noqa: E402
from tests import faultproxy  # noqa: E402
from tests.chaos import pieces, stores  # noqa: E402
from tests.chaos.promise import Broken, check, watch  # noqa: E402
from tests.chaos.quiet import at_hand, labelled  # noqa: E402

CHANCES = 5
"""Runs over one corpus that misbehaving storage may spoil."""
RATES = (0.15, 0.3, 0.4, 0.5)
"""Shares of the requests that something happens to."""
ENOUGH = 1000
"""Faults of which each kind must be one: that by chance one lacks of which there is one in sixty is under 1e-7."""
OPTIONS = {"unit_seconds": 2.0, "max_errors": 1.0}


@dataclass
class Torment:
    """One corpus on one store, with a proxy before it."""

    upstream: str
    proxy: faultproxy.Proxy
    place: str
    """Of source and output."""
    files: dict[str, bytes]
    versions: dict[str, str] = field(default_factory=dict)
    """Committed files as they were first seen."""

    @property
    def source(self) -> str:
        return f"{self.place}/in"

    @property
    def output(self) -> str:
        return f"{self.place}/out"

    def run(self, dice: random.Random, chances: faultproxy.Chances) -> int:
        """Number of runs until the table is whole."""
        *early, late = sorted(self.files)
        with stores.reached_at(self.upstream):
            for name in early:
                put(f"{self.source}/{name}", self.files[name])
        self.proxy.begin(chances)
        runs = 0
        for runs in range(1, CHANCES + 1):  # noqa: B007
            with stores.reached_at(self.proxy.endpoint):
                if runs == 2:
                    self.arrive(late)
                code, said = labelled([self.source], self.output, **OPTIONS)
            with stores.reached_at(self.upstream):
                self.look(code, said)
            if code == 0 and runs > 1 and dice.random() < 0.5:
                break
        self.proxy.begin(None)
        with stores.reached_at(self.upstream):
            put(f"{self.source}/{late}", self.files[late])
            code, said = labelled([self.source], self.output, **OPTIONS)
            if code:
                raise Broken(f"{self.output}: a run that nothing befell ended with code {code}: {said}")
            self.look(code, said)
            check(self.output, ids=pieces.ids(self.files), errors=1)
            pieces.compare(self.output)
        return runs + 1

    def arrive(self, name: str) -> None:
        """Put a file by the way that misbehaves, so that listings may not show it yet."""
        try:
            put(f"{self.source}/{name}", self.files[name])
        except StorageFault:
            return

    def look(self, code: int, said: str) -> None:
        """Look at the table after a run, past the proxy."""
        if code not in (0, 4):
            raise Broken(f"{self.output}: a fault of the storage ended with code {code}: {said}")
        watch(self.output, "transcribe", set())
        try:
            found = {each.uri: each.version for each in walk(f"{self.output}/transcribe")}
        except Exception:  # noqa: BLE001
            found = {}
        for uri, version in self.versions.items():
            if found.get(uri) != version:
                raise Broken(f"{uri}: was {version}, is now {found.get(uri)}")
        self.versions = {uri: version for uri, version in found.items() if uri.endswith(".parquet")}
        if code == 0 and not (verdict := verify(self.output)).complete:
            raise Broken(f"{self.output}: a run said that all is done: {format_verdict(self.output, verdict)}; {said}")


def run(seed: int, deadline: float, folder: Path, *, most: int | None = None) -> dict[str, int]:
    """Torment corpora until the deadline.

    Args:
        seed: of the corpora and of all that befalls them.
        deadline: in monotonic seconds.
        folder: unused; everything lies in stores.
        most: corpora after which to end sooner.

    Raises:
        Broken: a promise did not hold, or of many faults none was of some kind.
    """
    counts: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        found = stores.opened(stack, seconds=deadline - time.monotonic())
        for number, (name, upstream) in enumerate(found.items()):
            share = (deadline - time.monotonic()) / (len(found) - number)
            counts.update(_on(upstream, seed, time.monotonic() + share, most))
            counts[f"corpora on {name}"] = counts.pop("corpora")
    if counts["storage faults"] >= ENOUGH and (kinds := lacking(counts)):
        raise Broken(f"seed {seed}: of {counts['storage faults']} faults none was {' or '.join(kinds)}")
    return dict(counts)


def _on(upstream: str, seed: int, deadline: float, most: int | None) -> Counter[str]:
    """Torment corpora on one store; at least one, however late it is."""
    bucket, counts, number = f"faults-{uuid.uuid4().hex[:12]}", Counter[str](), 0
    stores.make_bucket(upstream, bucket)
    with at_hand(), mock.patch.object(paths, "READ_TIMEOUT", 2.0), faultproxy.running(upstream) as proxy:
        pieces.said()
        while number == 0 or (time.monotonic() < deadline and number != most):
            number += 1
            dice = random.Random(f"{seed} {number}")
            chances = faultproxy.Chances(seed=dice.getrandbits(32), rate=dice.choice(RATES), too_late=2.5)
            torment = Torment(upstream, proxy, f"s3://{bucket}/{number}", pieces.corpus(dice))
            try:
                counts["runs"] += torment.run(dice, chances)
            except Broken as broken:
                raise Broken(f"seed {seed}, corpus {number} on {upstream}: {broken}") from broken
        counts["storage faults"] = proxy.counts.total()
        counts.update({f"faults: {kind}": count for kind, count in proxy.counts.items()})
    counts["corpora"] = number
    return counts


def lacking(counts: Mapping[str, int]) -> list[str]:
    """Kinds of fault that did not happen."""
    return [kind for kind in faultproxy.KINDS if not counts.get(f"faults: {kind}")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(options.seed, time.monotonic() + 60 * options.minutes, Path(folder))
    print(" ".join(f"{name.replace(' ', '_')}={count}" for name, count in sorted(counts.items())))
    if kinds := lacking(counts):
        print(f"none of {', '.join(kinds)}")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
