"""A run's time on a Ray cluster: what it has, how it is shared out, and the receipts that come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

from pipeline.config import RunConfig
from pipeline.corpus import Seconds
from pipeline.engine import cluster, dataset, faults, memory, resources, room, shipping, standstill
from pipeline.engine.memory import Largest, Needs
from pipeline.engine.pulse import RAYLET_EVERY, RAYLET_GONE, RAYLET_LOST, Pulse
from pipeline.engine.resources import Cluster, Pools
from pipeline.engine.scratch import Scratch
from pipeline.engine.standstill import View
from pipeline.engine.teams import team_up
from pipeline.engine.watchdog import Looks, Lost, Stalled, watched
from pipeline.errors import StorageFault
from pipeline.featurising import ON_DEVICE
from pipeline.job import Checkpoints, Job, Work
from pipeline.overdue import within
from pipeline.placement import LOCAL, choose_device, ray_address
from pipeline.plan import UnitRef
from pipeline.quantities import counted
from pipeline.receipts import Receipt

Watch = Callable[[str], AbstractContextManager[object]]
"""Watches over what this process waits for of storage while a block runs; is told what that is about."""

SMALL = 6 * 10**9
"""Bytes of weights that fit every GPU that anybody would use; asking a worker for its memory takes seconds."""


LOOK: Seconds = 5.0
"""Between two looks at what the workers are at; where a run may stall for less, a fifth of that."""

SAY_AFTER: Seconds = 20.0
SAY_AGAIN: Seconds = 300.0
"""How soon a run that waits for its actors says so, and how often; on a busy machine they take 10 s to start."""

END: Seconds = 20.0
"""In which a cluster must have heard that actors shall end; the run ends without it."""


@dataclass(frozen=True, slots=True)
class Session:
    """A joined cluster and its division among the stages."""

    cluster: Cluster
    pools: Pools
    device: Literal["cuda", "cpu"]
    local: bool
    nodes: int
    stall: Seconds
    """Without any movement, after which a run is ended."""
    say: Callable[[str], None] = print
    watch: Watch = nullcontext
    scratch: Scratch = field(default_factory=Scratch)
    deaths: Counter[str] = field(default_factory=Counter)
    """Stage -> workers that died and came back; counted when the receipts end."""
    without_room: Mapping[str, str] = field(default_factory=dict)
    """Name of each unit that takes more memory than there is -> what it takes, and the remedy."""

    @property
    def workers(self) -> dict[str, int]:
        """Stage -> number of workers."""
        pools = self.pools
        return {
            "read": pools.read_tasks,
            "features": pools.feature_actors,
            "model": pools.model_actors * len(pools.teams),
            "commit": pools.commit_tasks,
        }

    def describe(self) -> str:
        """One line for the start of a run."""
        where = "local Ray" if self.local else f"Ray cluster of {self.nodes} node{'s' * (self.nodes != 1)}"
        gpus = f"{self.cluster.gpus:g} GPUs" if self.cluster.gpus else "no GPU"
        return f"{where}, {self.cluster.cpus:g} CPUs, {gpus}"

    def receipts(self, job: Job, units: Sequence[Work], checkpoints: Checkpoints) -> Generator[Receipt]:
        """Receipts of the units, as they end.

        Raises:
            StorageFault: the cluster failed or made no progress; what is not committed stays pending.
        """
        for name, why in self.without_room.items():
            yield Receipt(name, "fault", fault=why)
        with faults.of_cluster(self._keep_logs):
            yield from self._receipts(job, [each for each in units if each.name not in self.without_room], checkpoints)

    def _receipts(self, job: Job, units: Sequence[Work], checkpoints: Checkpoints) -> Generator[Receipt]:
        from pipeline.engine import actors, ledger

        with self.watch("reading the checkpoint"):
            shipped = [shipping.ship(folder, hash, nodes=self.nodes) for hash, folder in checkpoints.items()]
        running = dataset.Running()
        head = cluster.head_address()
        # A session of the user's own may have seen an earlier run.
        before = actors.deaths() if head else Counter[str]()
        pulses = {
            "the head of the cluster is gone (its GCS does not answer any more)": Pulse(head),
            RAYLET_GONE: Pulse(cluster.raylet_address() if head else None, every=RAYLET_EVERY, lost=RAYLET_LOST),
        }
        looks = Looks(lambda: _look(job.run), every=min(LOOK, self.stall / 5))
        try:
            yield from watched(
                dataset.receipts(job, units, shipped, self.pools, running=running),
                stall=self.stall,
                signs=lambda: looks.seen and looks.seen.entries,
                end=running.stop,
                idle=_Idle(pulses, _Saying(lambda: self._lacks(looks.seen, units), self.say)),
            )
        except Lost as lost:
            self._keep_logs()
            raise StorageFault(str(lost)) from None
        except Stalled:
            self._keep_logs()
            reason = standstill.holds(looks.seen, self._wanted(units), self.stall)
            raise StorageFault(f"the run was ended: {reason}") from None
        finally:
            looks.end()
            gone = any(each.gone for each in pulses.values())
            for each in pulses.values():
                each.end()
            # What is asked of no cluster would start one.
            if head and not gone:
                within(END, lambda: self.deaths.update(actors.deaths() - before))
                within(END, actors.kill_left)
                within(END, lambda: ledger.forget(job.run))

    def _keep_logs(self) -> None:
        _keep_logs(self.scratch, self.say)

    def _lacks(self, view: View | None, units: Sequence[Work]) -> str | None:
        """What the run waits for; on a Ray of its own there is nobody to wait for."""
        return None if self.local else standstill.lacks(view, self.pools, self._wanted(units))

    def _wanted(self, units: Sequence[Work]) -> dict[str, int]:
        """Stage -> number of workers that it has for these units."""
        teams = len(self.pools.teams)
        return {
            stage: teams * min(count // teams, len(units)) if stage == "model" else min(count, len(units))
            for stage, count in self.workers.items()
        }


def _look(run: str) -> View:
    import ray

    from pipeline.engine import actors, ledger

    return View(tuple(ledger.entries(run)), tuple(actors.known()), ray.available_resources(), ray.cluster_resources())


@dataclass(frozen=True, slots=True)
class _Idle:
    """Ends a run that has lost its cluster; else says what it waits for."""

    pulses: Mapping[str, Pulse]
    """What is to be said without it -> whether it is there."""
    saying: _Saying

    def __call__(self, seconds: Seconds) -> None:
        """Nothing has moved for so long."""
        for words, pulse in self.pulses.items():
            if pulse.gone:
                raise Lost(words)
        self.saying(seconds)


class _Saying:
    """Says what a run waits for, soon after nothing moves, and then from time to time."""

    def __init__(self, what: Callable[[], str | None], say: Callable[[str], None]) -> None:
        self._what, self._say = what, say
        self._next = SAY_AFTER

    def __call__(self, seconds: Seconds) -> None:
        """Nothing has moved for so long."""
        if seconds < self._next:
            self._next = SAY_AFTER if seconds < SAY_AFTER else self._next
            return
        if words := self._what():
            self._say(words)
        self._next = seconds + SAY_AGAIN


@contextmanager
def opened(
    config: RunConfig,
    *,
    sizes: Mapping[str, int],
    units: Sequence[Work],
    held: Callable[[UnitRef], int],
    say: Callable[[str], None],
    watch: Watch = nullcontext,
    hung: cluster.Hung = cluster.end,
) -> Generator[Session]:
    """Join or start the cluster, wait for its GPUs, check its versions and share it out.

    Args:
        config: the options.
        sizes: hash of each encoder -> bytes of the models on it, in the order in which they run.
        units: that are to be done; the largest that has room decides what memory a worker needs.
        held: encoded bytes that the read of a unit holds.
        say: shows a line.
        watch: watches over what this process waits for of storage.
        hung: ends this process where Ray hangs as it starts.

    Raises:
        UserError: no cluster, no GPU where one is meant, different versions, or too small for the stages.
        StorageFault: the cluster failed, or did not answer in time.
    """
    with cluster.joined(config.address, num_cpus=config.num_cpus, say=say, hung=hung) as own, ExitStack() as ending:
        with faults.of_cluster(lambda: _keep_logs(own, say)):
            if config.gpus:
                ending.enter_context(cluster.gpus(config.gpus, say=say))
            session = _session(config, sizes, units, held, say, watch, own)
        yield session


def _session(
    config: RunConfig,
    sizes: Mapping[str, int],
    units: Sequence[Work],
    held: Callable[[UnitRef], int],
    say: Callable[[str], None],
    watch: Watch,
    own: Scratch,
) -> Session:
    local = ray_address(config.address) == LOCAL
    found = cluster.measure()
    device = choose_device(config, gpus=found.gpus, local=local)
    nodes = cluster.num_nodes()
    if nodes > 1:
        cluster.check_versions()
    share = config.gpus_per_actor if device == "cuda" else None
    usable = replace(found, gpus=min(found.gpus, config.gpus or found.gpus))
    teams = team_up(sizes, asked=config.share_actor, gpus_per_actor=share, room=_room(device, sizes))
    if len(teams) > 1:
        say("models in actors of their own: " + ", ".join(f"{team.num_bytes / 1e6:,.0f} MB" for team in teams))

    def needs(largest: Largest) -> Needs:
        weights = [team.num_bytes for team in teams]
        return memory.needs(largest, weights, gpu=device == "cuda", on_device=config.features == ON_DEVICE)

    def choose(largest: Largest) -> Pools:
        return resources.choose(
            usable, gpus_per_actor=share and sum(team.gpus for team in teams), model_bytes=sum(sizes.values()),
            model_actors=config.model_actors, feature_actors=config.feature_actors, read_tasks=config.read_tasks,
            teams=teams, needs=needs(largest),
        )  # fmt: skip

    bound = config.recording_memory
    with watch("looking at the plan"):
        take = [memory.extent(each.unit, held=held(each.unit), recording_memory=bound) for each in units]
    fitting = room.fitting(take, choose, lambda each: needs(each).of_unit)
    if fitting.left:
        say(f"no room on this cluster for {counted(len(fitting.left), 'unit')} of {len(units):,}: {fitting.why}")
    left = {units[number].name: f"no room for it on this cluster: {fitting.why}" for number in fitting.left}
    return Session(found, fitting.pools, device, local, nodes, config.stall_timeout, say, watch, own, without_room=left)


def _keep_logs(scratch: Scratch, say: Callable[[str], None]) -> None:
    if logs := scratch.keep():
        say(f"Ray's logs are in {logs}")


def _room(device: str, sizes: Mapping[str, int]) -> int | None:
    """Memory of a GPU, where it matters."""
    return cluster.gpu_memory() if device == "cuda" and sum(sizes.values()) > SMALL else None
