"""Which recordings of a unit end the process of the model: each is tried alone, in a process apart.

A recording is blamed if two processes died over it while it was alone, and the second had just passed noise of its
length. Where the noise ends a process too, it is the machine's fault, and nobody is blamed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.corpus import Seconds
from pipeline.engine.rows import Row
from pipeline.errors import ErrorRow, StorageFault
from pipeline.isolation import messages
from pipeline.isolation.handle import Handle
from pipeline.isolation.process import LATE, memory_file
from pipeline.job import Job
from pipeline.quantities import show_seconds

DEATHS = 2
"""Workers that died over a unit before its recordings are suspected: one may have been killed by chance."""
HOPELESS = 3
"""Workers that died over a unit whose recordings pass alone, from which on it is left pending."""
TRIES = 2
"""Processes that a recording must have ended."""

MODULE = "pipeline.engine.trial"


@dataclass(frozen=True, slots=True)
class Passed:
    """What a process did."""

    index: int
    """Of the recording; `NOISE` for noise of the length of the first."""
    how: str = ""
    """How it died instead: `timeout`, `memory`, or the signal or exit code; '' where it passed."""


NOISE = -1

Trial = Callable[[Sequence[int]], Iterator[Passed]]
"""A new process that tries noise and then these recordings, up to the first over which it dies."""


def culprits(indices: Sequence[int], trial: Trial) -> dict[int, str]:
    """Recordings that end the process, and how; after at most two processes for each, and one.

    Raises:
        StorageFault: noise ends it too.
    """
    waiting, deaths, found = list(indices), Counter[int](), dict[int, str]()
    while waiting:
        for passed in trial(waiting):
            if passed.index == NOISE:
                if passed.how:
                    raise StorageFault(f"the process of the model dies whatever it is given here ({passed.how})")
                continue
            if not passed.how:
                waiting.remove(passed.index)
                continue
            deaths[passed.index] += 1
            if deaths[passed.index] == TRIES:
                found[passed.index] = passed.how
                waiting.remove(passed.index)
    return found


def errors_of(found: Mapping[int, str], *, seconds: Seconds, num_bytes: int | None) -> dict[int, ErrorRow]:
    """What the rows of culprits say.

    Args:
        found: culprits, and how they end the process.
        seconds: that a batch may take.
        num_bytes: that a recording may take in the model; None where only a GPU bounds it.
    """
    longer = "--batch-timeout gives it longer"
    room = "takes more memory in the model than the GPU has left; a shorter --window takes less"
    if num_bytes is not None:
        room = f"takes more than {num_bytes / 1e9:g} GB of memory in the model; --recording-memory allows it more"
    told = {
        "timeout": f"kept the model for more than {show_seconds(seconds)} in one batch; {longer}",
        "memory": room,
    }
    crashed = "ended the process of the model whenever it was tried, {} times alone (the last with {})"
    return {
        index: ErrorRow("model", how if how in told else "crashed", told.get(how, crashed.format(TRIES, how)))
        for index, how in found.items()
    }


@dataclass(frozen=True, slots=True)
class Order:
    """What a process needs to try the recordings of a unit."""

    job: Job
    checkpoints: Mapping[str, Path]
    encoders: Sequence[str]
    cpus: float

    def trial(self, row: Row, beat: Callable[[int], None]) -> Trial:
        """Try recordings of a unit.

        Args:
            row: of the unit, as it came to the stage.
            beat: is called with the recording that is tried, before it is and whenever its process says something.
        """
        return lambda indices: self._tried(row, indices, beat)

    def _tried(self, row: Row, indices: Sequence[int], beat: Callable[[int], None]) -> Iterator[Passed]:
        with memory_file() as shared:
            size = self._write(shared.fileno(), row, indices)
            child = Handle.start(MODULE, shared.fileno(), size)
            try:
                yield from self._heard(child, [NOISE, *indices], beat)
            finally:
                child.end()

    def _heard(self, child: Handle, order: Sequence[int], beat: Callable[[int], None]) -> Iterator[Passed]:
        try:
            child.await_begin()
        except (EOFError, OSError, messages.Malformed) as error:
            raise StorageFault(f"the process that tries the model does not start ({child.end()})") from error
        number = 0
        while number < len(order):
            # Noise goes by the name of the recording behind it, whose length it has.
            beat(order[max(number, 1)])
            try:
                message = child.hear(self.job.config.batch_timeout)
            except TimeoutError:
                yield Passed(order[number], "timeout")
                return
            except (EOFError, OSError, messages.Malformed):
                how = child.end()
                yield Passed(order[number], "timeout" if how == LATE else how)
                return
            if "fault" in message:
                raise StorageFault(str(message["fault"]))
            if "memory" in message:
                yield Passed(order[number], "memory")
                return
            if "done" in message:
                yield Passed(order[number])
                number += 1

    def _write(self, file: int, row: Row, indices: Sequence[int]) -> int:
        told = {
            "job": asdict(self.job),
            "checkpoints": {hash: str(path) for hash, path in self.checkpoints.items()},
            "encoders": list(self.encoders),
            "cpus": self.cpus,
            "indices": list(indices),
        }
        head = json.dumps(told).encode()
        try:
            with open(file, "wb", closefd=False) as shared:
                shared.write(len(head).to_bytes(8, "big") + head)
                with pa.ipc.new_stream(shared, row.schema) as stream:
                    stream.write_table(row)
                return shared.tell()
        except OSError as error:
            raise StorageFault(f"no room to hand a unit over to the process that tries the model ({error})") from error
