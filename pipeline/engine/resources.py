"""How many actors of which size: pool sizes from what the cluster has. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.engine.memory import Needs
from pipeline.engine.teams import Team
from pipeline.errors import UserError

READ_CPUS = 0.25
"""A read waits for storage most of the time."""
COMMIT_CPUS = 0.25
"""A commit builds one small Parquet file and waits for one PUT."""


class NoRoom(UserError):
    """The cluster has too little memory for one worker of each stage; smaller units would take less."""


class Shares(NamedTuple):
    """CPUs of one worker of each stage that comes before or after a model on CPUs; the model has the rest."""

    read: float
    features: float
    commit: float


BESIDE_MODEL = Shares(0.15, 0.25, 0.1)
"""Half a CPU together, so that a single one has room for all stages; they use less, for the model has most to do.

On 2 CPUs one model of one thread left a third of them idle with the demo's checkpoint; a model for each core made
`tests/benchmarks/job.py` 1.2 times as fast, all else being equal.
"""
LEAST_OF_A_CORE = 0.25
"""CPUs of a model actor; where they are not left, the plan is refused. By judgement."""
ENOUGH = 4.0
"""CPUs from which on two units are read and two committed at the same time; by judgement."""
FEATURES_SPEED = 1_300.0
"""Times real time at which a core decodes and featurises FLAC of 8 kHz; measured, `tests/benchmarks/job.py`."""
MODEL_SPEED_BYTES = 1.8e9
"""Times real time at which a core runs a model in fp32, times the bytes of its checkpoint; measured with 7 MB: 265."""

CPUS_A_GPU_ACTOR = 4.0
"""Cores that decoding and features of 16 kHz FLAC take to keep one H200 busy, at 5,000 times real time, by arithmetic
from 2.8 CPU seconds an hour of audio. Where there are fewer, a model actor leaves half of its own to them."""
READS_A_GPU_ACTOR = 2
"""Most reads at the same time: the unit that is next and the one after it; by judgement."""
CPUS_A_READ = 8.0
CPUS_A_COMMIT = 16.0
"""With GPUs, so that reads take 3 % of the CPUs and commits 2 %, and features have the rest; by judgement."""

ROUNDING = 1e-9
"""Sums of fractions may be off by this much: ten shares of 0.1 are one GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What there is to be used."""

    cpus: float
    gpus: float = 0.0
    memory: int = 24 << 30
    """Bytes for all workers together; 0 where no node tells how much it has."""
    nodes: int = 1
    """Machines that these are spread over; a worker has its place on one of them."""
    node_cpus: tuple[float, ...] = ()
    """Of each of them; empty where all have as many."""

    def holds(self, workers: int, share: float, *, beside: float) -> bool:
        """Whether workers of so many CPUs have places beside all others.

        Args:
            workers: of the same size.
            share: CPUs of each.
            beside: CPUs of all others together, each of which takes one of `BESIDE_MODEL`.
        """
        nodes = self.node_cpus or (self.cpus / self.nodes,) * self.nodes
        # The others lie where most is left, on one node or another of these one more.
        most = _level(nodes, beside) - (max(BESIDE_MODEL) if len(nodes) > 1 else 0.0)
        places = sum(int(max(0.0, min(cpus, most)) / share + ROUNDING) for cpus in nodes)
        # Where the others lie as badly as they can, there is a place for one worker at least.
        return places >= workers and sum(max(0.0, cpus - share) for cpus in nodes) + ROUNDING >= beside


def _level(nodes: Sequence[float], taken: float) -> float:
    """What the emptiest nodes have left once so much is taken of whichever is the emptiest."""
    emptiest = sorted(nodes, reverse=True)
    levels = ((sum(emptiest[:count]) - taken) / count for count in range(1, len(nodes) + 1))
    return max(levels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """What each stage gets; `cpus` never exceeds the cluster's."""

    read_tasks: int
    read_cpus: float
    feature_actors: int
    feature_cpus: float
    model_actors: int
    model_cpus: float
    model_gpus: float
    """Of one actor of each team."""
    commit_tasks: int
    commit_cpus: float
    teams: tuple[Team, ...] = (Team(),)
    """Models that share actors; each team has `model_actors` of them."""
    needs: Needs = Needs()
    """Bytes of memory of each worker."""

    @property
    def cpus(self) -> float:
        """CPUs that all stages ask for together."""
        return (
            self.read_tasks * self.read_cpus
            + self.feature_actors * self.feature_cpus
            + self.model_actors * len(self.teams) * self.model_cpus
            + self.commit_tasks * self.commit_cpus
        )

    @property
    def memory(self) -> int:
        """Bytes that all stages ask for together."""
        return (
            self.read_tasks * self.needs.read
            + self.feature_actors * self.needs.features
            + self.model_actors * self.needs.model
            + self.commit_tasks * self.needs.commit
        )

    def cpus_of(self, stage: str) -> float:
        """CPUs of one worker of a stage."""
        return {
            "read": self.read_cpus,
            "features": self.feature_cpus,
            "model": self.model_cpus,
            "commit": self.commit_cpus,
        }[stage]

    def memory_of(self, stage: str) -> float:
        """Bytes of one worker of a stage; of several teams, on the average."""
        needs = self.needs
        return {
            "read": needs.read,
            "features": needs.features,
            "model": needs.model / len(needs.models),
            "commit": needs.commit,
        }[stage]

    def describe(self) -> str:
        """One line for the start of a run."""
        needs = self.needs
        each = zip(self.teams, needs.models, strict=True)
        models = ", ".join(f"{self.model_actors} model x {self._actor(team)}{_and_memory(need)}" for team, need in each)
        return (
            f"{self.read_tasks} read x {self.read_cpus:g} CPU{_and_memory(needs.read)}, "
            f"{self.feature_actors} features x {self.feature_cpus:g} CPU{_and_memory(needs.features)}, "
            f"{models}, {self.commit_tasks} commit x {self.commit_cpus:g} CPU{_and_memory(needs.commit)}"
        )

    def _actor(self, team: Team) -> str:
        """What one actor of a team gets."""
        gpus = self.model_gpus if len(self.teams) == 1 else team.gpus
        holds = f" ({team.num_bytes / 1e6:,.0f} MB)" if len(self.teams) > 1 else ""
        return (f"{gpus:g} GPU + {self.model_cpus:g} CPU" if gpus else f"{self.model_cpus:g} CPU") + holds


def _and_memory(need: int) -> str:
    return f" + {need / 1e9:.2g} GB" if need else ""


def choose(
    cluster: Cluster,
    *,
    gpus_per_actor: float | None,
    model_bytes: int,
    model_actors: int | None = None,
    feature_actors: int | None = None,
    read_tasks: int | None = None,
    teams: Sequence[Team] = (Team(),),
    needs: Needs | None = None,
) -> Pools:
    """Pool sizes for a cluster; the overrides stand as they are given.

    Args:
        cluster: what there is.
        gpus_per_actor: GPUs for one actor of each team, or None to run models on CPUs.
        model_bytes: size of the weights of all teams.
        model_actors: override.
        feature_actors: override.
        read_tasks: override.
        teams: models that share actors.
        needs: bytes of memory of a worker of each stage; there are no more workers than have room, at least one.

    Raises:
        UserError: a stage would have no place; a pipeline that lacks one CPU for one stage would wait for ever.
        NoRoom: it is memory that is lacking.
    """
    needs = needs if needs and cluster.memory else Needs(models=(0,) * len(teams))
    if gpus_per_actor is None:
        pools = _on_cpus(cluster, model_bytes, len(teams), model_actors, feature_actors, read_tasks, needs)
    else:
        pools = _on_gpus(cluster, gpus_per_actor, len(teams), model_actors, feature_actors, read_tasks, needs)
    pools = replace(pools, teams=tuple(teams), needs=needs)
    _check(pools, cluster)
    return pools


def _with_room(cluster: Cluster, wanted: int, need: int, *, others: int, largest: int) -> int:
    """As many workers of those wanted as have room for their memory beside the others, at least one.

    Args:
        cluster: what there is.
        wanted: workers.
        need: bytes of each.
        others: bytes of all other workers.
        largest: bytes of the worker of any stage that takes most.
    """
    if not need:
        return wanted
    # What is left of a node may be too little for one more worker.
    left = cluster.memory - others - (cluster.nodes - 1) * largest
    return max(1, min(wanted, left // need))


def _on_cpus(
    cluster: Cluster,
    model_bytes: int,
    num_teams: int,
    model_actors: int | None,
    feature_actors: int | None,
    read_tasks: int | None,
    needs: Needs,
) -> Pools:
    shares = BESIDE_MODEL
    reads = read_tasks or (2 if cluster.cpus >= ENOUGH else 1)
    commits = 2 if cluster.cpus >= ENOUGH else 1
    rest = cluster.cpus - reads * shares.read - commits * shares.commit
    model_speed = MODEL_SPEED_BYTES / max(1, model_bytes)
    # As many as keep up with what the other cores take.
    features = feature_actors or max(1, round(rest * model_speed / (FEATURES_SPEED + model_speed)))
    beside = reads * needs.read + commits * needs.commit
    if not feature_actors:
        features = _with_room(cluster, features, needs.features, others=beside + needs.model, largest=needs.largest)
    rest -= features * shares.features
    beside += features * needs.features
    # One of one thread for each core: a few large products on many threads wait for each other.
    models = model_actors or _with_room(
        cluster, max(1, math.ceil(rest / num_teams)), needs.model, others=beside, largest=needs.largest
    )
    # Each node may have less left than a worker needs: with one such share less on all but one of them, no stage finds
    # every node full, in whatever order workers start or come back.
    rest -= (cluster.nodes - 1) * max(shares)
    small = reads * shares.read + features * shares.features + commits * shares.commit
    model_cpus = _with_places(cluster, models * num_teams, rest / (models * num_teams), beside=small)
    return Pools(
        read_tasks=reads, read_cpus=shares.read, feature_actors=features, feature_cpus=shares.features,
        model_actors=models, model_cpus=model_cpus, model_gpus=0.0, commit_tasks=commits, commit_cpus=shares.commit,
    )  # fmt: skip


def _with_places(cluster: Cluster, workers: int, share: float, *, beside: float) -> float:
    """The largest share of CPUs up to this one with which the workers have places on the cluster's nodes."""
    whole = [float(cpus) for cpus in range(int(share), 0, -1)]
    parts = [percent / 100 for percent in range(min(99, int(100 * share)), int(100 * LEAST_OF_A_CORE), -1)]
    fit = (each for each in (*whole, *parts) if cluster.holds(workers, each, beside=beside))
    return next(fit, LEAST_OF_A_CORE)


def _on_gpus(
    cluster: Cluster,
    gpus_per_actor: float,
    num_teams: int,
    model_actors: int | None,
    feature_actors: int | None,
    read_tasks: int | None,
    needs: Needs,
) -> Pools:
    models = model_actors or int(cluster.gpus / gpus_per_actor + ROUNDING)
    model_cpus = 0.5 if cluster.cpus < CPUS_A_GPU_ACTOR * models * num_teams else 1.0
    reads = read_tasks or max(1, min(READS_A_GPU_ACTOR * models, int(cluster.cpus / CPUS_A_READ)))
    commits = max(1, min(models, int(cluster.cpus / CPUS_A_COMMIT)))
    rest = cluster.cpus - models * num_teams * model_cpus - reads * READ_CPUS - commits * COMMIT_CPUS
    # What is left of a node may be too little for one more worker.
    rest -= cluster.nodes - 1
    feature_cpus = 1.0 if rest >= 1 else 0.5
    others = reads * needs.read + commits * needs.commit + models * needs.model
    features = feature_actors or _with_room(
        cluster, max(1, int(rest / feature_cpus)), needs.features, others=others, largest=needs.largest
    )
    return Pools(
        read_tasks=reads, read_cpus=READ_CPUS, feature_actors=features, feature_cpus=feature_cpus,
        model_actors=models, model_cpus=model_cpus, model_gpus=gpus_per_actor, commit_tasks=commits,
        commit_cpus=COMMIT_CPUS,
    )  # fmt: skip


def _check(pools: Pools, cluster: Cluster) -> None:
    gpus = pools.model_actors * pools.model_gpus
    if pools.model_actors < 1 or gpus > cluster.gpus + ROUNDING:
        told = " + ".join(f"{team.num_bytes / 1e9:.1f} GB" for team in pools.teams)
        apart = f" (models of {told} in actors of their own)" if len(pools.teams) > 1 else ""
        raise UserError(
            f"{pools.model_actors} model actors with {pools.model_gpus:g} GPU each{apart} need "
            f"{max(gpus, pools.model_gpus):g} GPUs, the cluster has {cluster.gpus:g}; "
            "use fewer --model-actors or a smaller --gpus-per-actor"
        )
    if pools.cpus > cluster.cpus + ROUNDING:
        raise UserError(
            f"the stages ask for {pools.cpus:g} CPUs ({pools.describe()}), the cluster has {cluster.cpus:g}, "
            "and a stage without a place would wait for ever; "
            "use fewer --model-actors, --feature-actors or --read-tasks, or a larger cluster"
        )
    if cluster.memory and pools.memory > cluster.memory:
        raise NoRoom(
            f"the stages ask for {pools.memory / 1e9:.1f} GB of memory ({pools.describe()}), the cluster has "
            f"{cluster.memory / 1e9:.1f} GB; use fewer --model-actors, --feature-actors or --read-tasks, a smaller "
            "model, or a larger cluster; what is not planned yet takes less in smaller units (--unit-seconds, "
            "--unit-bytes)"
        )
    room = cluster.memory // cluster.nodes
    if cluster.memory and pools.needs.largest > room:
        raise NoRoom(
            f"one worker asks for {pools.needs.largest / 1e9:.1f} GB of memory ({pools.describe()}), a node has "
            f"{room / 1e9:.1f} GB; use larger nodes; what is not planned yet takes less in smaller units "
            "(--unit-seconds, --unit-bytes)"
        )
