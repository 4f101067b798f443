"""Runs on Ray whose driver, workers, actors, decoders and nodes die at seeded random moments, and are then finished.

    make chaos PARTS=kills

Most runs are on a cluster of three nodes, which outlives them; the others have a Ray of their own each. Stages are
slowed down (`tests.chaos.slow`), so that kills find each at work.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.storage.put import put
from tests import radosgw
from tests.chaos import places, stores
from tests.chaos.nodes import Nodes, cluster
from tests.chaos.places import Place
from tests.chaos.promise import Broken, check, watch
from tests.chaos.strikes import WORKERS, Strikes, stopped
from tests.jobs.corpora import ROOT, driver, encoded, end_group, write_tar
from tests.tones import tone

KILLS, RUNS = 200, 40
"""That are worth the time."""
RECORDINGS = 80
PATIENCE = 300.0
"""Seconds that a run may take on a busy machine."""
STARTS = 4
"""Of one run after its last kill: one that stopped with code 4 is started again."""
PARTIAL, KILLED = 4, -9
ON_NODES = (*WORKERS, *WORKERS, "node", "node", "drain", "driver", "driver")
ALONE = ("driver", "driver", "group", "raylet", "gcs", "commit")
SCENES = ("nodes", "gpus", "alone", "nodes", "gpus", "nodes", "pair", "nodes", "gpus", "zombie", "nodes")
"""What runs are like, in turn: on nodes, with models on simulated GPUs there, on a Ray of their own, two at once on
one output, one that wakes when another has done its work."""
CALLED = {
    "nodes": "of a cluster", "gpus": "of a cluster with GPUs", "alone": "with a Ray of its own",
    "pair": "of two at once", "zombie": "beside a zombie",
}  # fmt: skip
SCREENS = (".log", ".out", ".err", ".txt")
"""Ends of the names of what is written for people to read."""
OF_A_RUN = {"nodes": 7, "gpus": 7, "alone": 2}
"""Kills of a run."""


def run(seed: int, deadline: float, folder: Path) -> dict[str, int]:
    """Kill on each place in turn until there are enough kills, or the time is over; at least one run on each.

    Raises:
        Broken: a promise did not hold.
    """
    total: Counter[str] = Counter(kills=0, runs=0)
    names = places.there_are()
    for number, name in enumerate(names, start=1):
        end = time.monotonic() + (deadline - time.monotonic()) / (len(names) - number + 1)
        with places.opened(name, folder) as place, cluster(2) as nodes:
            tables = Tables(place, nodes, folder, random.Random(f"{seed} {name}"))
            scene = tables.dice.randrange(len(SCENES))
            while True:
                total += tables.one(SCENES[scene % len(SCENES)])
                scene += 1
                enough = total["kills"] * len(names) >= KILLS * number and total["runs"] * len(names) >= RUNS * number
                if enough or time.monotonic() > end:
                    break
            if name in stores.STORES:
                # A disk has no secret; what runs on earlier places wrote is counted already.
                screens = (*folder.glob(f"{name}-*"), nodes.folder)
                total["files of Ray and screens without a secret"] += without_secrets(*screens)
    return dict(total)


def without_secrets(*folders: Path) -> int:
    """Look through what drivers printed and what Ray and its workers wrote beside them; give the number of files.

    Raises:
        Broken: one tells the key of the store.
    """
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in SCREENS]
    for path in files:
        if radosgw.SECRET.encode() in path.read_bytes():
            raise Broken(f"{path} has the secret key of the store")
    return len(files)


@dataclass
class Tables:
    """One table after the other on one place."""

    place: Place
    nodes: Nodes
    folder: Path
    dice: random.Random
    made: int = 0

    def __post_init__(self) -> None:
        self.source = f"{self.place.uri}/source"
        members = {
            f"k{number:03d}.wav": encoded(tone(300.0 + number, 0.5, number), "WAV") for number in range(RECORDINGS)
        }
        put(f"{self.source}/shard.tar", write_tar(self.folder / f"{self.place.name}.tar", members).read_bytes())

    def one(self, scene: str, *, kinds: list[str] | None = None) -> Counter[str]:
        """A table from nothing to its end, through the kills that the dice give.

        Raises:
            Broken: it is not what it must be.
        """
        self.made += 1
        home = self.folder / f"{self.place.name}-{self.made}"
        home.mkdir()
        nodes = None if scene in ("alone", "pair", "zombie") else self.nodes
        table = Table(f"{self.place.uri}/out-{self.made}", self.source, home, nodes, scene == "gpus", self.dice)
        began = time.monotonic()
        try:
            if scene in ("pair", "zombie"):
                {"pair": table.pair, "zombie": table.zombie}[scene]()
            else:
                table.torment(kinds or self.dice.choices(ALONE if nodes is None else ON_NODES, k=OF_A_RUN[scene]))
            check(table.output, ids=[f"c/shard.tar::k{number:03d}.wav" for number in range(RECORDINGS)])
        except Broken as broken:
            if nodes is not None:
                keep_screens(nodes.folder, home / "nodes")
            raise Broken(f"{self.place.name}, {scene}, {table}: {broken}\n{table.last_screen()}") from broken
        print(f"  {self.place.name}, {scene}, {table}, {time.monotonic() - began:.0f} s", flush=True)
        told = Counter({f"runs on {self.place.name}": 1, f"runs {CALLED[scene]}": 1, "runs": 1})
        struck = table.struck.total()
        # One that slept, or ended before its moment came, has survived no kill.
        return table.struck + Counter(kills=struck) + (told if struck else Counter(unharmed=1))


def keep_screens(folder: Path, to: Path) -> None:
    """Copy what Ray has written down below a folder, which goes with its cluster."""
    shutil.copytree(folder, to, ignore=_nothing_to_read, ignore_dangling_symlinks=True)


def _nothing_to_read(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(SCREENS) and not Path(folder, name).is_dir()]


@dataclass
class Table:
    """One output, and everything that is done to the drivers at work on it."""

    output: str
    source: str
    home: Path
    nodes: Nodes | None
    gpus: bool
    dice: random.Random
    struck: Counter[str] = field(default_factory=Counter)
    codes: list[int] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"killed {dict(self.struck)}, codes {self.codes}"

    def torment(self, kinds: list[str]) -> None:
        """Start drivers until one completes the table, while things die."""
        waiting = list(kinds)
        for _ in range(len(kinds) + STARTS):
            process = self._started()
            strikes = Strikes(process, self.nodes, self.dice)
            try:
                while waiting and self._moment(process):
                    kind = waiting.pop()
                    if strikes.strike(kind):
                        self.struck[kind] += 1
                code = self._ended(process)
                if left := strikes.left():
                    raise Broken(f"{len(left)} processes are left behind: {left[:3]}")
            finally:
                end_group(process)
            if code == 0:
                return
        raise Broken("it is not complete")

    def pair(self) -> None:
        """Two drivers at once; one of them is killed."""
        pair = [self._started(), self._started()]
        try:
            if self._moment(pair[0]):
                victim = self.dice.choice(pair)
                if victim.poll() is None:
                    self.struck["one of two"] += 1
                end_group(victim)
            for process in pair:
                self._ended(process)
        finally:
            for process in pair:
                end_group(process)
        self.torment([])

    def zombie(self) -> None:
        """A driver with all its workers sleeps while others do its work, one of which is killed, and then wakes."""
        sleeper = self._started()
        try:
            sleeps = self._moment(sleeper)
            if sleeps:
                wake = stopped(sleeper)
                self.torment(["driver"])
                wake()
            self._ended(sleeper)
        finally:
            end_group(sleeper)
        if not sleeps:
            # It was over before: a kill would be none beside a zombie.
            self.torment([])

    def last_screen(self) -> str:
        """The end of what the last driver said."""
        screen = self.home / f"{len(self.codes) - 1}.log"
        return screen.read_text()[-3000:] if screen.exists() else ""

    def _started(self) -> subprocess.Popen[str]:
        where = ["--address", self.nodes.address] if self.nodes else ["--num-cpus", "2"]
        arguments = [
            self.source, self.output, "--corpus", "c", "--unit-seconds", "1.2", "--device", "cpu",
            "--model-actors", "1", "--feature-actors", "1", *where,
        ]  # fmt: skip
        program = (str(ROOT / "tests/chaos/program.py"), "gpus" if self.gpus else "cpus")
        self.codes.append(KILLED)
        with open(self.home / f"{len(self.codes) - 1}.log", "w") as screen:
            process = driver(arguments, home=self.home, program=program, stdout=screen)
        process.number = len(self.codes) - 1  # type: ignore[attr-defined]
        return process

    def _moment(self, process: subprocess.Popen[str]) -> bool:
        """Wait for a random moment, and read what is committed meanwhile; False where the driver ends before it."""
        aim = len(self.seen) + self.dice.randint(0, 8)
        # A start is a moment too, but most of a run is what comes after it.
        some = self.dice.uniform(0, 15) if self.struck.total() or self.dice.random() < 0.2 else PATIENCE
        deadline = time.monotonic() + some
        while process.poll() is None and time.monotonic() < deadline:
            self.seen |= watch(self.output, "transcribe", self.seen)
            if len(self.seen) > aim:
                return True
            time.sleep(0.2)
        return process.poll() is None

    def _ended(self, process: subprocess.Popen[str]) -> int:
        """How a driver ended; only a kill may end it otherwise than with 0, or with 4."""
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Broken(f"a driver did not end within {PATIENCE:g} s") from None
        self.codes[process.number] = code  # type: ignore[attr-defined]
        if code not in (0, PARTIAL, KILLED):
            raise Broken(f"a driver ended with code {code}")
        return code
