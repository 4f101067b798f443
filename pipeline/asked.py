"""One run as it was asked for: what every step of it needs to know."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from pipeline import table
from pipeline.choices import Choice
from pipeline.config import RunConfig
from pipeline.corpus import Seconds
from pipeline.errors import StorageFault
from pipeline.overdue import within
from pipeline.plan import NOWHERE, Moves
from pipeline.quantities import show_seconds
from pipeline.storage.paths import redact
from pipeline.storage.retry import at_once
from pipeline.summary import MEANINGS
from pipeline.table.lease import PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for, when, and where it is told what happens."""

    name: str
    kind: str
    """What the job does: a kind of task, or `label`."""
    sources: Sequence[str]
    output: str
    shown: str
    """The output as the user wrote it, without secrets."""
    config: RunConfig
    choices: tuple[Choice, ...]
    """None before their checkpoints have been read."""
    admitted: bool = False
    """Whether the output has been looked at, and may be written to."""
    moves: Moves = NOWHERE
    """Where what is planned lies by now, once the sources have been listed."""
    console: Console
    started: datetime
    begin: float
    """Monotonic seconds."""

    @property
    def wanted(self) -> tuple[Choice, ...]:
        """The tasks whose rows are wanted."""
        return tuple(each for each in self.choices if each.job.committed)

    def beside(self, choice: Choice) -> str:
        """Option that puts other labels of a task beside those that are there, `{}` for their name."""
        return f"--task {choice.job.kind}:{{}}=MODEL" if self.kind == "label" else "--name {}"

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the run whatever became of it."""
        first = self.wanted[0]
        return {
            "run": self.name,
            "output": self.shown,
            "task": self.kind,
            "name": first.name,
            "sources": tuple(map(redact, self.sources)),
            "model": {"name": first.checkpoint.name, "hash": first.checkpoint.hash},
            "config": dataclasses.asdict(self.config),
            "started": self.started.isoformat(),
        }

    def write_down(self, record: Mapping[str, Any]) -> None:
        """Put the record of this run; storage that refuses it ends nothing."""
        try:
            table.write_run(self.output, self.name, record)
        except StorageFault as fault:
            self.say(f"the record of this run could not be written: {fault}")

    def write_end(self, code: int, *, stopped: str, pools: str = "", patience: Seconds = PATIENCE) -> None:
        """Put what ended this run before its summary; storage that refuses it, or does not answer, ends nothing."""
        ended = {"state": "ended", "finished": datetime.now(UTC).isoformat(), "exit_code": code, "pools": pools}

        def write() -> None:
            with at_once():
                self.write_down({**self.facts(), **ended, "meaning": MEANINGS[code], "stopped": stopped})

        if not within(patience, write):
            self.say(f"the record of this run could not be written within {show_seconds(patience)}")
