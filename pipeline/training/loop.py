"""The loop: batches to losses to steps, validation and checkpoints on the way.

Letters: N packed frames, M that the head sees.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pipeline.corpus import Seconds
from pipeline.errors import UserError
from pipeline.models import Model
from pipeline.models.wav2vec2_bert.heads import seen_by_head
from pipeline.training import checkpoints, groups, schedule
from pipeline.training.batches import epoch_batches, share
from pipeline.training.checkpoints import Position
from pipeline.training.config import TrainConfig
from pipeline.training.curve import Curve, Row
from pipeline.training.dataset import Dataset, Item
from pipeline.training.loading import Batch, load
from pipeline.training.objectives import Objective
from pipeline.training.progress import Progress
from pipeline.training.team import Team
from pipeline.training.validation import packed, validate

MOST_LOST_STEPS = 20
"""Steps without a finite gradient, one after the other, after which a training is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is trained on what."""

    config: TrainConfig
    model: Model
    """On its device."""
    objective: Objective
    train: Dataset
    validation: Dataset | None
    folder: Path
    asked: str
    """Hash of all of this, which a checkpoint must share."""
    dtype: torch.dtype
    loaders: int
    team: Team
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    position: Position
    state: Literal["ended", "stopped"]


class Trainer:
    """A training on one worker."""

    def __init__(self, job: Job) -> None:
        self.job = job
        config = job.config
        self._device = job.model.encoder.device
        groups.mode(job.model, frozen=config.freeze_encoder)
        self._optimizer = torch.optim.AdamW(
            groups.parameter_groups(
                job.model, learning_rate=config.learning_rate, layer_decay=config.layer_decay,
                weight_decay=config.weight_decay,
            )
        )  # fmt: skip
        self._learning = [p for group in self._optimizer.param_groups for p in group["params"]]
        state = job.model.state_dict()
        self._average = {name: tensor.clone() for name, tensor in state.items()} if config.average else None
        self._checkpoints = job.folder / checkpoints.FOLDER
        found = checkpoints.resume(
            self._checkpoints, job.model, self._optimizer, average=self._average, asked=job.asked
        )
        self.position = found or Position()
        steps = self.position.step
        self._curve = Curve(job.folder, metric=job.objective.metric, steps=steps) if job.team.leads else None
        self._lost = 0
        self._started = time.monotonic()
        self._earlier = self.position.seconds

    def run(self) -> Outcome:
        """Train from where it stands to the end, or to the time at which it shall stop."""
        progress = Progress(self.job.say if self.job.team.leads else _nothing, every=self.job.config.log_every)
        progress.start(self.position, self.job.config.epochs)
        saved = time.monotonic()
        for row in self._steps():
            progress.step(row, self.job.config.epochs)
            if self._curve:
                self._curve.add(row)
                if row.score is not None:
                    self._curve.draw()
            if time.monotonic() - saved >= self.job.config.checkpoint_every:
                self._save()
                saved = time.monotonic()
            if self._must_stop():
                self._save()
                return Outcome(self.position, "stopped")
        self._save()
        if self._curve:
            self._curve.draw()
        return Outcome(self.position, "ended")

    def result(self) -> dict[str, Tensor]:
        """The weights that are kept: those that validated best, or the last."""
        if self.job.config.keep == "best" and self.position.best_step is not None:
            return checkpoints.load_best(self._checkpoints)
        return self._weights()

    def _steps(self) -> Iterator[Row]:
        """Every step that is left, with what it was like."""
        config, epochs = self.job.config, math.ceil(self.job.config.epochs)
        for epoch in range(self.position.epoch, epochs):
            planned = self._planned(epoch)
            # A fraction of an epoch is its first batches.
            stop = math.ceil(len(planned) * min(1.0, config.epochs - epoch))
            start = self.position.batch
            loaded = load(self.job.train, planned[start:stop], epoch=epoch, threads=self.job.loaders)
            with contextlib.closing(loaded):
                for first in range(start, stop, config.accumulate):
                    batches = [next(loaded) for _ in range(min(config.accumulate, stop - first))]
                    done = (epoch + first / len(planned)) / config.epochs
                    row = self._step(batches, done)
                    after = first + len(batches)
                    ends = after >= stop
                    row_epoch = epoch + after / len(planned)
                    self.position = self.position.at(
                        step=row.step, epoch=epoch + ends, batch=0 if ends else after, seconds=self._seconds()
                    )
                    last = ends and epoch + 1 == epochs
                    judged = self._judge(row.step) if ends and self._validates(epoch, last=last) else (None, None)
                    yield Row(
                        step=row.step, epoch=row_epoch, learning_rate=row.learning_rate, loss=row.loss,
                        gradient=row.gradient, validation_loss=judged[0], score=judged[1],
                    )  # fmt: skip

    def _planned(self, epoch: int) -> list[tuple[int, ...]]:
        """This worker's batches of an epoch."""
        planned = epoch_batches(
            self.job.train.lengths(epoch),
            frame_budget=self.job.config.frame_budget,
            seed=self.job.config.seed,
            epoch=epoch,
        )
        if not planned:
            raise UserError("training: no example has a frame that can be trained on; look at the audio")
        return share(planned, rank=self.job.team.rank, workers=self.job.team.size)

    def _step(self, batches: Sequence[Batch], done: float) -> Row:
        config = self.job.config
        rate = schedule.rate(done, warmup=config.warmup, decay=config.decay)
        for group in self._optimizer.param_groups:
            group["lr"] = group["fastest"] * rate
        self._optimizer.zero_grad()
        losses = [self._backward(items, number, done, len(batches)) for number, items in enumerate(batches)]
        loss = torch.tensor(sum(losses), dtype=torch.float64)
        self.job.team.mean([loss, *self._gradients()])
        norm = float(torch.nn.utils.clip_grad_norm_(self._learning, config.clip))
        self._move(norm)
        return Row(
            step=self.position.step + 1, epoch=0.0, learning_rate=config.learning_rate * rate, loss=float(loss),
            gradient=norm,
        )  # fmt: skip

    def _backward(self, items: Batch, number: int, done: float, parts: int) -> float:
        """Gradients of one batch, added to those that are there; its share of the step's loss."""
        # Dropout, masks and segments are drawn from here on, the same after a resumption.
        seeds = [self.job.config.seed, self.position.step, number, self.job.team.rank]
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> 1))
        least = self.job.objective.least(self.job.model)
        usable = [item for item in items if item is not None and len(item.features) >= least]
        if not usable:
            return 0.0
        with torch.autocast(self._device.type, self.job.dtype, enabled=self.job.dtype != torch.float32):
            loss = self._loss(usable, done) / parts
        torch.autograd.backward(loss)
        return float(loss.detach())

    def _loss(self, items: Sequence[Item], done: float) -> Tensor:
        hidden, layout = seen_by_head(self.job.model, *packed(items, self._device))
        return self.job.objective.loss(self.job.model, hidden, layout, [item.target for item in items], done)

    def _gradients(self) -> list[Tensor]:
        if self.job.team.size == 1:
            return []
        # A worker whose batch left a parameter out has a part in its mean all the same.
        for parameter in self._learning:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return [parameter.grad for parameter in self._learning if parameter.grad is not None]

    def _move(self, norm: float) -> None:
        """Take the step, unless its gradient is not finite."""
        if not math.isfinite(norm):
            self._lost += 1
            if self._lost >= MOST_LOST_STEPS:
                raise UserError(
                    f"training: {MOST_LOST_STEPS} steps in a row had no finite gradient, at step {self.position.step}; "
                    "lower --learning-rate, or take --dtype float32"
                )
            return
        self._lost = 0
        self._optimizer.step()
        if self._average is not None:
            # Early on the mean follows faster, or it would keep the weights of the start.
            decay = min(self.job.config.average, (1 + self.position.step) / (10 + self.position.step))
            for name, tensor in self.job.model.state_dict().items():
                self._average[name].lerp_(tensor, 1 - decay)

    def _validates(self, epoch: int, *, last: bool) -> bool:
        due = last or (epoch + 1) % self.job.config.validate_every == 0
        return due and self.job.validation is not None and self.job.team.leads

    def _judge(self, step: int) -> tuple[float, float]:
        """Loss and score of the weights that would be saved now; the best are kept."""
        assert self.job.validation is not None
        with self._swapped():
            loss, score = validate(
                self.job.model, self.job.objective, self.job.validation,
                frame_budget=self.job.config.frame_budget, dtype=self.job.dtype,
            )  # fmt: skip
        groups.mode(self.job.model, frozen=self.job.config.freeze_encoder)
        best = self.position.best
        better = best is None or (score > best if self.job.objective.higher_is_better else score < best)
        if better and not math.isnan(score):
            checkpoints.save_best(self._checkpoints, self._weights())
            self.position = self.position.at(best=score, best_step=step)
        return loss, score

    @contextlib.contextmanager
    def _swapped(self) -> Iterator[None]:
        """The running mean in the model's place."""
        if self._average is None:
            yield
            return
        state = {name: tensor.clone() for name, tensor in self.job.model.state_dict().items()}
        self.job.model.load_state_dict(self._average)
        try:
            yield
        finally:
            self.job.model.load_state_dict(state)

    def _weights(self) -> dict[str, Tensor]:
        return self.job.model.state_dict() if self._average is None else self._average

    def _save(self) -> None:
        if not self.job.team.leads:
            return
        self.position = self.position.at(seconds=self._seconds())
        checkpoints.save(
            self._checkpoints, self.position, self.job.model, self._optimizer, average=self._average,
            asked=self.job.asked,
        )  # fmt: skip

    def _must_stop(self) -> bool:
        limit = self.job.config.stop_after
        if limit is None:
            return False
        # Clocks differ: all workers stop where their mean says so.
        spent = torch.tensor(time.monotonic() - self._started, dtype=torch.float64)
        self.job.team.mean([spent])
        return float(spent) >= limit

    def _seconds(self) -> Seconds:
        return self._earlier + time.monotonic() - self._started


def _nothing(words: str) -> None:
    """What a worker says that does not lead."""
