"""A training on a Ray cluster: Ray Train starts the workers and joins them, `pipeline.training` does the rest.

The output's own checkpoints are the only ones: a group of workers that Ray starts again goes on from there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.engine import cluster
from pipeline.errors import StorageFault, UserError, VoxmillError
from pipeline.placement import LOCAL, choose_device, ray_address
from pipeline.scratch import scratch
from pipeline.storage.paths import is_local, local_path
from pipeline.training.config import TrainConfig
from pipeline.training.fit import Fitted

PATIENCE = 4 * 3600
"""Seconds that workers wait for the first, which alone validates; that one died, Ray notices without them."""
RETRIES = 3
"""Times that a group of workers is started again after one has died."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What each worker is told."""

    sources: tuple[str, ...]
    output: str
    config: TrainConfig
    device: Literal["cuda", "cpu"]
    log: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """How it went: raised errors of ours travel as words, so that Ray neither retries nor wraps them."""

    fitted: Fitted | None = None
    mistake: str | None = None
    fault: str | None = None


def fit_on_cluster(sources: Sequence[str], output: Path, config: TrainConfig, *, log: Path) -> Fitted:
    """Train on the cluster that is meant; lines about it go to a file that all workers can write.

    Raises:
        UserError: a mistake that the caller can mend.
        StorageFault: audio cannot be read, or the workers died again and again.
    """
    with cluster.joined(config.address, num_cpus=config.num_cpus):
        found = cluster.measure()
        device = choose_device(config, gpus=found.gpus, local=ray_address(config.address) == LOCAL)
        workers = config.workers or (max(1, int(found.gpus)) if device == "cuda" else 1)
        _check_room(workers, device, cpus=found.cpus, gpus=found.gpus)
        if cluster.num_nodes() > 1:
            cluster.check_versions()
        here = replace(config, model=_absolute(config.model), validate=_absolute(config.validate))
        told = tuple(map(_absolute, sources))
        asked = _Asked(told, str(output.resolve()), here, device, str(log.resolve()))
        answer = _run(asked, workers)
    if answer.mistake is not None:
        raise UserError(answer.mistake)
    if answer.fault is not None or answer.fitted is None:
        raise StorageFault(answer.fault or "the workers ended without an answer; run the same command again")
    return answer.fitted


def _absolute(place: str) -> str:
    """A path of this machine from its root, for workers have a working directory of their own; others as they are."""
    if not place or not is_local(place) or (not os.path.lexists(local_path(place)) and not set("*?[{") & set(place)):
        return place
    return os.path.abspath(local_path(place))


def _check_room(workers: int, device: str, *, cpus: float, gpus: float) -> None:
    """Refuse what Ray would wait for in vain."""
    if device == "cuda" and workers > gpus:
        raise UserError(f"--workers {workers}: the cluster has {gpus:g} GPUs, and each worker takes one")
    if workers > cpus:
        raise UserError(f"--workers {workers}: the cluster has {cpus:g} CPUs, and each worker takes one")


def _run(asked: _Asked, workers: int) -> _Answer:
    from ray.exceptions import RayError
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    with scratch("voxmill-train-") as notes:
        trainer = TorchTrainer(
            _work,  # type: ignore[arg-type]  # Ray's annotation knows no answers
            train_loop_config={"asked": asked},
            torch_config=TorchConfig(timeout_s=PATIENCE),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=asked.device == "cuda"),
            # Ray's own notes on the run; nothing of ours is in them.
            run_config=RunConfig(
                name=notes.name, storage_path=str(notes), failure_config=FailureConfig(max_failures=RETRIES)
            ),
        )
        try:
            # Declared as the result of Ray Train's first version, which has no such attribute.
            answer: _Answer = trainer.fit().return_value  # type: ignore[attr-defined]
        except (TrainingFailedError, RayError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise StorageFault(
                f"the training was stopped: {reason}; the same command goes on from its last checkpoint"
            ) from error
    return answer


def _work(told: dict[str, Any]) -> _Answer:
    """One worker: its part of the training."""
    from pipeline.training.fit import fit
    from pipeline.training.log import teller
    from pipeline.training.prepare import prepare

    asked: _Asked = told["asked"]
    team = _team()
    try:
        prepared = prepare(asked.sources, asked.config)
        say = teller(Path(asked.log)) if team.leads else _nothing
        return _Answer(fit(prepared, Path(asked.output), asked.config, team=team, device=asked.device, say=say))
    except UserError as error:
        return _Answer(mistake=str(error))
    except VoxmillError as error:
        return _Answer(fault=str(error))


def _team() -> Any:
    """This worker among the others, joined by torch.distributed."""
    import ray.train
    import torch.distributed

    from pipeline.training.team import Team

    context = ray.train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    if size == 1:
        return Team()

    def mean(tensors: Sequence[Any]) -> None:
        for tensor in tensors:
            # NCCL moves nothing that lies on the CPU.
            moved = tensor if torch.distributed.get_backend() != "nccl" else tensor.cuda()
            torch.distributed.all_reduce(moved)
            tensor.copy_(moved / size)

    return Team(rank, size, mean)


def _nothing(words: str) -> None:
    """What a worker says that does not lead."""
