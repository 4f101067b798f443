"""Passes over a batch that are recorded once for each size, and then replayed with other frames and documents.

On a GPU a recording is a CUDA graph: all kernels of a pass start at once, where otherwise each waits for Python. The
sizes of batches are few (`batching.rounded`), and only those that come again are recorded. A recorded pass knows no
lengths: whatever depends on where documents lie must be computed, on the device, from their numbers.

Letters: N packed frames, C features of a frame.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias
from weakref import WeakSet

import torch
from torch import Tensor

from pipeline.models.compiled import CompiledBlock
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.encoder import Encoder

log = logging.getLogger(__name__)

Outputs: TypeAlias = dict[str, Tensor]
Pass: TypeAlias = Callable[[Tensor, Packed], Outputs]

MOST = 32
"""Sizes that are held: each takes memory for its inputs, and all together what the largest needs in between."""
WARM_UPS = 2
"""Passes before a recording, in which kernels are chosen and compiled."""


@dataclass(frozen=True)
class Renumbered(Packed):
    """A layout that is known by the numbers of its documents alone, which may be written anew.

    Its `lengths` tell how many frames there are, and nothing of the documents.
    """

    numbers: Tensor = torch.empty(0, dtype=torch.int64)

    @cached_property
    def documents(self) -> Tensor:
        """Number of the document that each frame belongs to, (N,) int64."""
        return self.numbers


class Recorder(Protocol):
    """What makes a recording of something that reads and writes the same memory each time."""

    def __call__(self, run: Callable[[], Outputs]) -> Callable[[], Outputs] | None:
        """What does the same again, and gives the same tensors with new values; None where it cannot be recorded.

        Raises:
            torch.OutOfMemoryError: for want of memory.
        """
        ...


class CudaRecorder:
    """CUDA graphs, which share the memory of what they compute in between, for they run one after the other.

    After a failure other than a lack of memory it warns once, and records nothing more: passes run all the same.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()
        self._failed = False

    def __call__(self, run: Callable[[], Outputs]) -> Callable[[], Outputs] | None:
        """Record what `run` does on the device."""
        if self._failed:
            return None
        if not self._alive:
            # Torch takes no pool again that all of its graphs have left.
            self._pool = torch.cuda.graph_pool_handle()
        try:
            return self._captured(run)
        except torch.OutOfMemoryError:
            self._end_allocations()
            raise
        except Exception as error:  # noqa: BLE001
            self._end_allocations()
            self._failed = True
            log.warning(
                "a pass could not be recorded as a CUDA graph, so from here on passes run without (%s: %s)",
                *(type(error).__name__, str(error).strip().partition("\n")[0]),
            )
            return None

    def _captured(self, run: Callable[[], Outputs]) -> Callable[[], Outputs]:
        current, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                run()
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = run()
        self._alive.add(graph)

        def replay() -> Outputs:
            graph.replay()
            return outputs

        return replay

    def _end_allocations(self) -> None:
        """Where a capture was cut short torch may believe that it goes on, and then frees no memory that travels."""
        with suppress(RuntimeError, AttributeError):
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), self._pool)


@dataclass(frozen=True)
class _Recording:
    features: Tensor
    documents: Tensor
    replay: Callable[[], Outputs]


class Replayed:
    """A pass over batches, replayed where one of the same size has been run before.

    Args:
        run: the pass; what it computes must depend on features and documents alone, see `replayable`.
        record: makes a recording.
        most: sizes that are held; the one that was used longest ago goes.
    """

    def __init__(self, run: Pass, record: Recorder, *, most: int = MOST) -> None:
        self._run, self._record, self._most = run, record, most
        self._seen: set[tuple[int, torch.dtype]] = set()
        self._held: dict[tuple[int, torch.dtype], _Recording] = {}

    def __call__(self, features: Tensor, layout: Packed) -> Outputs:
        """(N, C) -> what the pass gives, in memory of its own."""
        size = (layout.num_frames, features.dtype)
        if size not in self._seen:
            # Many a size comes once; a recording takes as long as several passes.
            self._seen.add(size)
            return self._run(features, layout)
        try:
            held = self._held.pop(size, None) or self._recorded(features, layout)
        except torch.OutOfMemoryError:
            self.clear()
            raise
        if held is None:
            return self._run(features, layout)
        self._held[size] = held
        while len(self._held) > self._most:
            del self._held[next(iter(self._held))]
        held.features.copy_(features)
        held.documents.copy_(layout.documents)
        # The next replay writes to the same memory.
        return {name: output.clone() for name, output in held.replay().items()}

    def clear(self) -> None:
        """Give all memory back; sizes are recorded again when they come again."""
        self._seen.clear()
        self._held.clear()

    def _recorded(self, features: Tensor, layout: Packed) -> _Recording | None:
        inputs, documents = features.clone(), layout.documents.clone()

        def run() -> Outputs:
            # A new layout each time: what it computes of its documents is part of the recording.
            return self._run(inputs, Renumbered((layout.num_frames,), layout.device, documents))

        replay = self._record(run)
        return replay and _Recording(inputs, documents, replay)


def replayable(encoder: Encoder) -> bool:
    """Whether all that an encoder computes depends on features and documents alone."""
    return encoder.kernel == "fused" and all(isinstance(block, CompiledBlock) for block in encoder.blocks)
