"""Which tasks a run does, each with its checkpoint: what the options say, checked before any work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline import checkpoint, options
from pipeline.checkpoint import Checkpoint
from pipeline.config import PLAIN_NAME, RunConfig, plain_name
from pipeline.corpus import FRAMES_PER_SECOND
from pipeline.errors import UserError
from pipeline.job import TaskJob, groups_of
from pipeline.table import TaskRecord
from pipeline.table.columns import parse_columns
from pipeline.table.schema import schema
from pipeline.tasks import TASKS, Task, embed
from pipeline.tasks.frames import Frames

EVERYTHING: Final = "all"
"""`--speech` where all audio is taken for speech."""
SPEECH: Final = "_speech"
"""Name, which no folder has, of the task that only finds speech."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One task of a run."""

    job: TaskJob
    checkpoint: Checkpoint
    task: Task
    parameters: dict[str, str]
    """What beside the checkpoint makes its rows what they are."""

    @property
    def name(self) -> str:
        """Folder of its rows in the table."""
        return self.job.name

    def record(self, config: RunConfig) -> TaskRecord:
        """What makes these labels what they are; sizes of units, pools and batches are not among it."""
        return TaskRecord(
            task=self.job.kind,
            output_version=TASKS[self.job.kind].output_version,
            model_name=self.checkpoint.name,
            model_hash=self.checkpoint.hash,
            parameters=self.parameters,
            schema=schema(self.task.columns, parse_columns(config.columns), model_hash=self.checkpoint.hash),
        )


def choose(kind: str, config: RunConfig) -> tuple[Choice, ...]:
    """Find the tasks of a run, each behind the one whose labels it looks at.

    Args:
        kind: what the job does: a kind of task, or `label` for all that `--task` names.
        config: the options.

    Raises:
        UserError: a checkpoint is missing or cannot serve its task, or names are taken twice.
    """
    asked = _parse(config.task) if kind == "label" else [(kind, config.name or kind, config.model)]
    names = [name for _, name, _ in asked]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise UserError(f"--task: two tasks would write to {double[0]}; name one of them, as --task KIND:NAME=MODEL")
    order = sorted(asked, key=lambda each: each[0] == "embed")
    chosen: list[Choice] = []
    for task, name, model in order:
        if task == "embed":
            chosen += _embed(name, model, config, chosen)
        else:
            chosen.append(_choice(task, name, checkpoint.choose(model, task), config))
    return tuple(chosen)


def _parse(given: Sequence[str]) -> list[tuple[str, str, str]]:
    """Kind, name and model of each `KIND[:NAME]=MODEL`."""
    if not given:
        raise UserError(
            "--task is needed: KIND=MODEL, such as --task transcribe=path/to/checkpoint, and may be repeated"
        )
    found = []
    for text in given:
        left, equals, model = text.partition("=")
        kind, colon, name = left.partition(":")
        if not equals or not model or kind not in TASKS or (colon and not plain_name(name)):
            raise UserError(
                f"--task {text}: write it as KIND=MODEL or KIND:NAME=MODEL; the kinds are {', '.join(TASKS)}, and "
                f"NAME is {PLAIN_NAME}"
            )
        found.append((kind, name or kind, model))
    return found


def _choice(kind: str, name: str, found: Checkpoint, config: RunConfig) -> Choice:
    job = TaskJob(kind=kind, name=name, model_name=found.name, model_hash=found.hash, encoder=found.encoder)
    return Choice(job, found, TASKS[kind].of(found.path, config), _parameters(kind, config))


def _embed(name: str, model: str, config: RunConfig, others: Sequence[Choice]) -> list[Choice]:
    """The task of embeddings, and before it the one that finds speech where no other does."""
    found = checkpoint.choose(model, "embed")
    _check_segments(found, config)
    chosen = _choice("embed", name, found, config)
    if config.speech == EVERYTHING and _named(EVERYTHING, others) is None:
        kept = {name: value for name, value in chosen.parameters.items() if name not in TASKS["frames"].options}
        return [replace(chosen, parameters=kept | {"speech": EVERYTHING})]
    finder = _speech(config, others)
    speech = finder.task
    assert isinstance(speech, Frames)
    with_speech = replace(
        chosen,
        job=replace(chosen.job, after=finder.name),
        task=embed.of(found.path, config, speech),
        parameters=chosen.parameters | {"speech": finder.checkpoint.hash},
    )
    return [with_speech] if finder in others else [finder, with_speech]


def _speech(config: RunConfig, others: Sequence[Choice]) -> Choice:
    """The task that finds speech: one of the run, or a new one whose rows nobody asked for."""
    if named := _named(config.speech, others):
        return named
    found = checkpoint.choose(config.speech or str(checkpoint.SPEECH_FRAMES), "frames")
    new = _choice("frames", SPEECH, found, config)
    new = replace(new, job=replace(new.job, committed=False))
    same = (each for each in others if each.job.kind == "frames" and each.checkpoint.hash == found.hash)
    return next(same, new)


def _named(name: str, others: Sequence[Choice]) -> Choice | None:
    return next((each for each in others if each.job.kind == "frames" and each.name == name), None)


def _check_segments(found: Checkpoint, config: RunConfig) -> None:
    if round(config.min_segment * FRAMES_PER_SECOND) < found.shortest:
        raise UserError(
            f"--min-segment {config.min_segment:g}s: {found.name} needs {found.shortest / FRAMES_PER_SECOND:g} s "
            "for an embedding"
        )


def _parameters(kind: str, config: RunConfig) -> dict[str, str]:
    names = (*_SHARED, *TASKS[kind].options)
    return {name: options.shown(RunConfig, name, getattr(config, name)) for name in names}


_SHARED: Final = ("window", "context", "features", "dtype")
"""Options that change the rows of every task."""


def needed(choices: Sequence[Choice], names: Collection[str]) -> tuple[Choice, ...]:
    """The tasks of these names, and those whose labels they look at."""
    looked_at = {each.job.after for each in choices if each.name in names}
    return tuple(each for each in choices if each.name in names or each.name in looked_at)


def shared_encoders(choices: Sequence[Choice]) -> list[str]:
    """Say for each encoder that serves several tasks which ones."""
    groups: dict[str, list[Choice]] = {}
    for each in choices:
        groups.setdefault(each.job.encoder, []).append(each)
    return [
        f"one encoder pass for {', '.join(each.name for each in group)} "
        f"(encoder {encoder[:8]}, {group[0].checkpoint.num_bytes / 1e6:,.0f} MB)"
        for encoder, group in groups.items()
        if len(group) > 1
    ]


def model_sizes(choices: Sequence[Choice]) -> dict[str, int]:
    """Hash of each encoder -> bytes of the models on it, in the order in which they run."""
    sizes = {each.job.encoder: each.checkpoint.num_bytes for each in choices}
    return {encoder: sizes[encoder] for encoder in groups_of([each.job for each in choices])}
