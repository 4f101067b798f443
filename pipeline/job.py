"""What a run does to each unit, in plain values that travel to any process."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import flow
from pipeline.config import RunConfig
from pipeline.errors import StorageFault, VoxmillError
from pipeline.flow import Doing
from pipeline.isolation import Limits
from pipeline.plan import NOWHERE, Moves, UnitRef
from pipeline.receipts import Receipt, Timings, counted_once, receipt_of
from pipeline.storage.secrets import redact, redacted_trace
from pipeline.table.assemble import assemble
from pipeline.table.commit import commit
from pipeline.tasks import TASKS, Task, embed
from pipeline.tasks.frames import Frames
from pipeline.versions import versions

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.models import Model
    from pipeline.models.predict import Predictor

Checkpoints = Mapping[str, Path]
"""Hash of each checkpoint -> its folder on this machine."""


@dataclass(frozen=True, slots=True)
class Work:
    """A unit, and which tasks it lacks."""

    unit: UnitRef
    tasks: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the unit."""
        return self.unit.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskJob:
    """One task of a run."""

    kind: str
    name: str
    """Folder of its rows in the table."""
    model_name: str
    model_hash: str
    encoder: str
    """Hash of the encoder: tasks of equal ones share its pass."""
    after: str | None = None
    """Name of the task whose labels it looks at; that one stands before it."""
    committed: bool = True
    """Whether its rows are wanted, not only its labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is done to each unit."""

    run: str
    output: str
    tasks: tuple[TaskJob, ...]
    device: Literal["cuda", "cpu"]
    dtype: Literal["float32", "bfloat16", "float16", "int8"]
    settings: flow.Settings
    config: RunConfig
    moves: Moves = NOWHERE
    """Where what is planned lies by now."""

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of the checkpoints that it needs."""
        return tuple(dict.fromkeys(each.model_hash for each in self.tasks))

    @property
    def limits(self) -> Limits:
        """What decoding one audio file may take."""
        return Limits(self.config.recording_timeout, self.config.recording_memory)

    def load_tasks(self, checkpoints: Checkpoints) -> dict[str, Task]:
        """Every task by its name, with what its checkpoint says."""
        made: dict[str, Task] = {}
        for each in self.tasks:
            folder = checkpoints[each.model_hash]
            if each.after is None:
                made[each.name] = TASKS[each.kind].of(folder, self.config)
            else:
                speech = made[each.after]
                assert isinstance(speech, Frames)
                made[each.name] = embed.of(folder, self.config, speech)
        return made

    def load_predictors(self, checkpoints: Checkpoints, encoders: Sequence[str] = ()) -> list[Predictor]:
        """The models on this worker's device, those that share an encoder together, ready to run.

        Args:
            checkpoints: of all tasks.
            encoders: hashes of the encoders that are wanted here; none means all.
        """
        from pipeline.models.graphs import CudaRecorder
        from pipeline.models.predict import Predictor

        groups = groups_of(self.tasks)
        first = [groups[encoder] for encoder in encoders or groups]
        record = CudaRecorder() if self.config.compile == "graphs" and self.device == "cuda" else None
        return [
            Predictor(self._load(group, checkpoints), frame_budget=self.config.frame_budget, record=record)
            for group in first
        ]

    def _load(self, group: list[TaskJob], checkpoints: Checkpoints) -> dict[str, Model]:
        import torch

        from pipeline import models

        dtype = torch.float32 if self.dtype == "int8" else getattr(torch, self.dtype)
        loaded: dict[str, Model] = {}
        for each in group:
            shared = next(iter(loaded.values())).encoder if loaded else None
            model = models.load(checkpoints[each.model_hash], dtype=dtype, device=self.device, encoder=shared)
            if shared is None and self.config.compile != "never":
                model = models.compile_blocks(model)
            elif shared is None:
                model = models.prepack(models.quantise(model) if self.dtype == "int8" else model)
            loaded[each.name] = model
        return loaded

    def featurised(self, prepared: flow.Prepared) -> flow.UnitFeatures:
        """What the model takes: features that CPUs made, or what its device makes of samples."""
        if isinstance(prepared, flow.UnitFeatures):
            return prepared
        from pipeline.device_features import features_on

        return flow.featurise_samples(prepared, features_on(self.device), self.settings)

    def infer(
        self,
        features: flow.UnitFeatures,
        wanted: Collection[str],
        predictors: list[Predictor],
        tasks: dict[str, Task],
        known: flow.UnitOutputs | None = None,
    ) -> flow.UnitOutputs:
        """Run models over a unit for the tasks that it lacks, and those whose labels they need.

        Args:
            features: of the unit.
            wanted: names of the tasks.
            predictors: of all models, or of those that run here.
            tasks: by name.
            known: what other models said before.
        """
        needed = {each.after for each in self.tasks if each.name in wanted} | set(wanted)
        doing = {each.name: Doing(tasks[each.name], each.after) for each in self.tasks if each.name in needed}
        outputs = flow.infer(features, predictors, doing, self.settings, known)
        if set(doing) <= outputs.kept.keys() | outputs.faults.keys():
            # What only other tasks look at need not travel on.
            return replace(outputs, kept={name: outputs.kept[name] for name in wanted if name in outputs.kept})
        return outputs

    def finish(
        self,
        unit: str,
        outputs: flow.UnitOutputs,
        wanted: Collection[str],
        tasks: Mapping[str, Task],
        timings: Callable[[], Timings],
        *,
        show: Callable[[str, pa.Table], None] = lambda name, rows: None,
    ) -> list[Receipt]:
        """Commit every task of a unit; one that fails holds up no other.

        Args:
            unit: its name.
            outputs: what the models said.
            wanted: names of the tasks that the unit lacks.
            tasks: all of them.
            timings: what the unit has taken so far.
            show: is given the name and the rows of each task that came so far.
        """
        receipts = []
        for name in wanted:
            try:
                if name in outputs.faults:
                    raise StorageFault(outputs.faults[name])
                rows = self.rows(unit, outputs, name, tasks[name])
                show(name, rows)
                receipts.append(self.commit(unit, name, rows, outputs, timings))
            except VoxmillError as error:
                receipts.append(_fault(unit, name, str(error)))
            except Exception as error:  # noqa: BLE001
                receipts.append(_fault(unit, name, f"{type(error).__name__}: {error}"))
        return counted_once(receipts)

    def rows(self, unit: str, outputs: flow.UnitOutputs, name: str, task: Task) -> pa.Table:
        """The rows of a task of a unit, one a recording, with its schema."""
        about = self.task(name)
        made = flow.rows(outputs, name, task)
        return assemble(
            unit, outputs.recordings, outputs.facts, made.errors, made.columns, warnings=made.warnings,
            task_fields=task.columns, extra=self.config.columns, model=(about.model_name, about.model_hash),
        )  # fmt: skip

    def commit(
        self, unit: str, name: str, rows: pa.Table, outputs: flow.UnitOutputs, timings: Callable[[], Timings]
    ) -> Receipt:
        """Put the file of a task of a unit, and tell what became of it."""
        footer = {"run": self.run, "device": self.device, "dtype": self.dtype, **versions()}
        footer["timings"] = json.dumps(asdict(timings()))
        ids = [recording.id for recording in outputs.recordings]
        size = commit(self.output, name, unit, rows, footer, ids=ids)
        return receipt_of(unit, name, rows, outputs, size=size, timings=timings())

    def task(self, name: str) -> TaskJob:
        """The task of that name."""
        return next(each for each in self.tasks if each.name == name)


def groups_of(tasks: Sequence[TaskJob]) -> dict[str, list[TaskJob]]:
    """Hash of each encoder -> the tasks that share its pass; an encoder whose labels others look at comes first."""
    groups: dict[str, list[TaskJob]] = {}
    for each in tasks:
        groups.setdefault(each.encoder, []).append(each)
    looked_at = {each.after for each in tasks}
    first = sorted(groups, key=lambda encoder: not any(each.name in looked_at for each in groups[encoder]))
    return {encoder: groups[encoder] for encoder in first}


def _fault(unit: str, task: str, message: str) -> Receipt:
    return Receipt(unit, "fault", task=task, fault=f"{task}: {redact(message)}", fault_trace=redacted_trace())
