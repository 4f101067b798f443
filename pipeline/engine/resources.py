"""How many actors of which size: pool sizes from what the cluster has. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import UserError

READ_CPUS = 0.25
"""A read waits for storage most of the time."""
COMMIT_CPUS = 0.25
"""A commit builds one small Parquet file and waits for one PUT."""
MODEL_MEMORY_FACTOR = 1.3
"""Weights plus what loading and activations add, of the checkpoint's size."""
MODEL_MEMORY_FLOOR = 1 << 30
"""Bytes a model actor takes whatever its checkpoint: the interpreter, torch, one unit's features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What there is to be used."""

    cpus: float
    gpus: float = 0.0
    memory: int = 24 << 30
    """Bytes for all workers together."""


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
    commit_tasks: int
    commit_cpus: float

    @property
    def cpus(self) -> float:
        """CPUs that all stages ask for together."""
        return (
            self.read_tasks * self.read_cpus
            + self.feature_actors * self.feature_cpus
            + self.model_actors * self.model_cpus
            + self.commit_tasks * self.commit_cpus
        )

    def describe(self) -> str:
        """One line for the start of a run."""
        device = f"{self.model_gpus:g} GPU + {self.model_cpus:g} CPU" if self.model_gpus else f"{self.model_cpus:g} CPU"
        return (
            f"{self.read_tasks} read x {self.read_cpus:g} CPU, "
            f"{self.feature_actors} features x {self.feature_cpus:g} CPU, "
            f"{self.model_actors} model x {device}, {self.commit_tasks} commit x {self.commit_cpus:g} CPU"
        )


def choose(
    cluster: Cluster,
    *,
    gpus_per_actor: float | None,
    model_bytes: int,
    model_actors: int | None = None,
    feature_actors: int | None = None,
    read_tasks: int | None = None,
) -> Pools:
    """Pool sizes for a cluster; the overrides stand as they are given.

    Args:
        cluster: what there is.
        gpus_per_actor: share of a GPU for each model actor, or None to run the model on CPUs.
        model_bytes: size of the checkpoint's weights.
        model_actors: override.
        feature_actors: override.
        read_tasks: override.

    Raises:
        UserError: a stage would have no place; a pipeline that lacks one CPU for one stage would wait for ever.
    """
    if gpus_per_actor is None:
        pools = _on_cpus(cluster, model_bytes, model_actors, feature_actors, read_tasks)
    else:
        pools = _on_gpus(cluster, gpus_per_actor, model_actors, feature_actors, read_tasks)
    _check(pools, cluster)
    return pools


def _on_cpus(
    cluster: Cluster,
    model_bytes: int,
    model_actors: int | None,
    feature_actors: int | None,
    read_tasks: int | None,
) -> Pools:
    if cluster.cpus < 2:
        shares = (0.15, 0.25, 0.5, 0.1)
    elif cluster.cpus < 4:
        shares = (READ_CPUS, 0.5, 1.0, COMMIT_CPUS)
    else:
        shares = (READ_CPUS, 1.0, 1.0, COMMIT_CPUS)
    read_cpus, feature_cpus, model_cpus, commit_cpus = shares
    reads = read_tasks or (2 if cluster.cpus >= 4 else 1)
    commits = 2 if cluster.cpus >= 4 else 1
    rest = cluster.cpus - reads * read_cpus - commits * commit_cpus
    features = feature_actors or max(1, int(rest / 10))
    room = max(1, int((rest - features * feature_cpus) / model_cpus))
    per_actor = MODEL_MEMORY_FLOOR + MODEL_MEMORY_FACTOR * model_bytes
    models = model_actors or max(1, min(room, int(cluster.memory / per_actor)))
    threads = max(1, int((rest - features * feature_cpus) / models)) if cluster.cpus >= 4 else model_cpus
    return Pools(
        read_tasks=reads, read_cpus=read_cpus, feature_actors=features, feature_cpus=feature_cpus,
        model_actors=models, model_cpus=threads, model_gpus=0.0, commit_tasks=commits, commit_cpus=commit_cpus,
    )  # fmt: skip


def _on_gpus(
    cluster: Cluster,
    gpus_per_actor: float,
    model_actors: int | None,
    feature_actors: int | None,
    read_tasks: int | None,
) -> Pools:
    models = model_actors or int(cluster.gpus / gpus_per_actor + 1e-9)
    small = cluster.cpus < 4 * models
    model_cpus = 0.5 if small else 1.0
    reads = read_tasks or max(1, min(2 * models, int(cluster.cpus / 8)))
    commits = max(1, min(models, int(cluster.cpus / 16)))
    rest = cluster.cpus - models * model_cpus - reads * READ_CPUS - commits * COMMIT_CPUS
    feature_cpus = 1.0 if rest >= 1 else 0.5
    features = feature_actors or max(1, int(rest / feature_cpus))
    return Pools(
        read_tasks=reads, read_cpus=READ_CPUS, feature_actors=features, feature_cpus=feature_cpus,
        model_actors=models, model_cpus=model_cpus, model_gpus=gpus_per_actor, commit_tasks=commits,
        commit_cpus=COMMIT_CPUS,
    )  # fmt: skip


def _check(pools: Pools, cluster: Cluster) -> None:
    gpus = pools.model_actors * pools.model_gpus
    if pools.model_actors < 1 or gpus > cluster.gpus + 1e-9:
        raise UserError(
            f"{pools.model_actors} model actors with {pools.model_gpus:g} GPU each need "
            f"{max(gpus, pools.model_gpus):g} GPUs, the cluster has {cluster.gpus:g}; "
            "use fewer --model-actors or a smaller --gpus-per-actor"
        )
    if pools.cpus > cluster.cpus + 1e-9:
        raise UserError(
            f"the stages ask for {pools.cpus:g} CPUs ({pools.describe()}), the cluster has {cluster.cpus:g}, "
            "and a stage without a place would wait for ever; "
            "use fewer --model-actors, --feature-actors or --read-tasks, or a larger cluster"
        )
