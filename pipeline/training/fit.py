"""One training from its sources to its folder, on one worker: find, prepare, train, save. Start here."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch

from pipeline import models
from pipeline.audio import FeatureExtractor
from pipeline.errors import UserError
from pipeline.models import Model, checkpoint
from pipeline.models.wav2vec2_bert.xvector import XVectorModel
from pipeline.quantities import counted
from pipeline.storage.paths import redact
from pipeline.training import checkpoints, covariances, discriminant, examples, groups, start
from pipeline.training.config import TrainConfig
from pipeline.training.curve import CSV, PNG
from pipeline.training.dataset import Dataset, Drawing
from pipeline.training.labels import Space, Words
from pipeline.training.loop import Job, Trainer
from pipeline.training.objectives import OBJECTIVES
from pipeline.training.prepare import Prepared
from pipeline.training.team import Team
from pipeline.training.unusable import unusable
from pipeline.training.waveforms import Room, Waveforms

RECORD = "training.json"
"""What was trained on what, and how well it went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """How a training ended, in plain values that travel."""

    state: Literal["ended", "stopped", "done before"]
    steps: int
    seconds: float
    metric: str
    best: float | None
    """Score of the weights that validated best."""
    best_step: int | None
    examples: int
    """Recordings that were trained on."""
    unusable: int
    """Recordings that could not be read, had no label, were too long or too short."""
    unusable_examples: dict[str, str]
    """Reason -> one of them."""


def fit(prepared: Prepared, output: Path, config: TrainConfig, *, team: Team, device: str, say: Say) -> Fitted:
    """Train what was prepared and leave a Hugging Face folder.

    Args:
        prepared: examples and what their labels mean.
        output: local folder that all workers share.
        config: what is asked; whoever wants to `restart` has called `forget` before, once for all workers.
        team: this worker among others.
        device: of the model.
        say: shows a line.

    Raises:
        UserError: a mistake that the caller can mend.
        StorageFault: audio cannot be read.
    """
    asked = _asked(prepared, config)
    if (before := _ended_before(output, asked)) is not None:
        return before
    output.mkdir(parents=True, exist_ok=True)
    job = _job(prepared, output, config, asked=asked, team=team, device=device, say=say)
    say(_described(job))
    if isinstance(job.model, XVectorModel) and not prepared.keeps_head and not checkpoints.found(output):
        if config.from_scratch:
            heard = (job.train.item(0, index) for index in range(len(job.train)))
            covariances.start(job.model, (item.features for item in heard if item is not None))
        discriminant.start(
            job.model, job.objective, job.train, frame_budget=config.frame_budget, seed=config.seed,
            use_means=not config.from_scratch,
        )  # fmt: skip
    trainer = Trainer(job)
    outcome = trainer.run()
    fitted = _fitted(job, prepared, outcome.state, trainer)
    if outcome.state == "ended" and team.leads:
        job.model.load_state_dict(trainer.result())
        save(job.model, prepared, output, config)
        _record(output, asked, prepared, config, fitted)
        shutil.rmtree(output / checkpoints.FOLDER)
    return fitted


Say = Callable[[str], None]


def forget(output: Path) -> None:
    """Forget what an earlier training left here, so that the next one begins anew."""
    shutil.rmtree(output / checkpoints.FOLDER, ignore_errors=True)
    (output / RECORD).unlink(missing_ok=True)


def save(model: Model, prepared: Prepared, output: Path, config: TrainConfig) -> None:
    """Write config.json, weights, processor and vocabulary, as `models.load` and transformers read them."""
    models.save(model.eval(), output)
    folder = checkpoint.resolve(config.model)
    FeatureExtractor.load(folder, where=config.model).save(output)
    if isinstance(prepared.space, Words):
        prepared.space.tokenizer.save(output)


def _job(
    prepared: Prepared, output: Path, config: TrainConfig, *, asked: str, team: Team, device: str, say: Say
) -> Job:
    if config.threads and device == "cpu":
        torch.set_num_threads(config.threads)
    # Random heads are the same on all workers.
    torch.manual_seed(config.seed)
    model = start.on_device(prepared.make_model(config), torch.device(device))
    if config.freeze_encoder:
        groups.freeze_encoder(model)
    room = Room(config.cache)
    dtype = {"auto": "bfloat16" if device == "cuda" else "float32"}.get(config.dtype, config.dtype)
    drawing = Drawing(
        seed=config.seed, longest=config.longest, speeds=config.speed_list, recipe=config.recipe,
        variants=config.variants,
    )  # fmt: skip
    return Job(
        config=config,
        model=model,
        objective=OBJECTIVES[config.task](config, prepared.space),
        train=_some_readable(_dataset(prepared.train, prepared.space, room, drawing)),
        validation=_dataset(prepared.validation, prepared.validation_space, room, None)
        if prepared.validation
        else None,
        folder=output,
        asked=asked,
        dtype=getattr(torch, dtype),
        loaders=config.loaders if config.loaders is not None else 4 * (device == "cuda"),
        team=team,
        say=say,
    )


def _dataset(chosen: Sequence[examples.Example], space: Space, room: Room, drawing: Drawing | None) -> Dataset:
    waveforms = Waveforms([each.recording for each in chosen], room=room)
    waveforms.fill()
    return Dataset(chosen, space, waveforms, drawing)


def _some_readable(dataset: Dataset) -> Dataset:
    """Refuse data of which nothing can be read."""
    errors = dataset.waveforms.errors
    if len(errors) == len(dataset):
        source = redact(dataset.examples[0].recording.source)
        raise UserError(f"{source}: {errors[0].stage}: {errors[0].message}; no recording of the training can be read")
    return dataset


def _described(job: Job) -> str:
    held = counted(len(job.validation), "example") if job.validation else "nothing"
    size = sum(parameter.numel() for parameter in job.model.parameters())
    learning = sum(parameter.numel() for parameter in job.model.parameters() if parameter.requires_grad)
    return (
        f"{job.config.task}: {counted(len(job.train), 'example')}, validated on {held}; "
        f"{size:,} parameters, {learning:,} of them learn; {job.model.encoder.device}, "
        f"{str(job.dtype).removeprefix('torch.')}"
    )


def _fitted(job: Job, prepared: Prepared, state: Literal["ended", "stopped"], trainer: Trainer) -> Fitted:
    position = trainer.position
    words = prepared.space if isinstance(prepared.space, Words) else None
    untrained = list(unusable(job.train, job.model, job.objective, words=words))
    # Text that is too long for its audio is judged all the same.
    unjudged = list(unusable(job.validation, job.model, job.objective)) if job.validation else []
    reasons = dict(prepared.left_out_examples)
    for reason, example in (*untrained, *unjudged):
        reasons.setdefault(reason, example)
    return Fitted(
        state=state, steps=position.step, seconds=position.seconds, metric=job.objective.metric, best=position.best,
        best_step=position.best_step, examples=len(job.train) - len(untrained),
        unusable=prepared.left_out + len(untrained) + len(unjudged),
        unusable_examples=dict(list(reasons.items())[:5]),
    )  # fmt: skip


_NOT_ASKED = (
    "model", "restart", "checkpoint_every", "device", "dtype", "address", "num_cpus", "without_ray", "threads",
    "loaders", "cache", "stop_after", "max_errors", "log_every", "debug", "validate",
)  # fmt: skip
"""Options that a resumption may change: they change no result, or its rounding only, or are asked for by content."""


def _asked(prepared: Prepared, config: TrainConfig) -> str:
    """Hash of what is trained on what."""
    options = {each.name: getattr(config, each.name) for each in fields(config) if each.name not in _NOT_ASKED}
    data = [examples.fingerprint(part) for part in (prepared.train, prepared.validation)]
    folder = checkpoint.resolve(config.model)
    model = "" if config.from_scratch else checkpoint.fingerprint(folder)
    document = checkpoint.read_config(folder, where=config.model) if config.from_scratch else {}
    return hashlib.sha256(json.dumps([options, data, model, document], sort_keys=True).encode()).hexdigest()


def _ended_before(output: Path, asked: str) -> Fitted | None:
    """What an earlier run of the same training came to.

    Raises:
        UserError: another training ended here.
    """
    try:
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if record["asked"] != asked:
        raise UserError(
            f"{output}: holds the result of another training (other data, model or options); name another OUTPUT, "
            "or replace it with --restart"
        )
    return Fitted(**{**record["result"], "state": "done before"})


def _record(output: Path, asked: str, prepared: Prepared, config: TrainConfig, fitted: Fitted) -> None:
    record: dict[str, Any] = {
        "asked": asked,
        "options": asdict(config),
        "data": {"train": len(prepared.train), "validation": len(prepared.validation)},
        "labels": list(prepared.space.names[:1000]),
        "result": asdict(fitted),
        "files": [CSV, PNG],
    }
    # Whole or not there: half of it could not be read by the next run.
    draft = output / f".{RECORD}"
    draft.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(output / RECORD)
