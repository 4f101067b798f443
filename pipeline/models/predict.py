"""Run an encoder over windows of one array of features, in packed batches, and heads over what it gives.

Letters: N frames of the array, C features of a frame, d channels that a head sees.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import StorageFault, UserError
from pipeline.models.batching import Batch, SizeOf, batches, exact, rounded
from pipeline.models.graphs import Pass, Recorder, Replayed, replayable
from pipeline.models.layout import Packed
from pipeline.models.outputs import EncoderOutput, FrameOutput
from pipeline.models.packed_attention import Kernel
from pipeline.models.transfer import Sending, transfer_to
from pipeline.models.wants import Reduced, Slice, Stretch, Want, Window
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.model import Model
from pipeline.models.wav2vec2_bert.top import LastLayer, LayerMean

log = logging.getLogger(__name__)

FEWEST_FRAMES = 1024
"""Of a full batch; on a CPU at full width 256 to 4096 differ by a few percent."""
CPU_ACTIVATION_BYTES = 4 * 2**20
"""Widest fp32 activation of a batch on a CPU that allows more: beyond it the cache is lost, and 15 % with it."""
GPU_FRAMES = 32768
"""Most frames of a batch on a GPU: 11 minutes of audio, of which weights and launches are a small part."""
GPU_SHARE = 0.5
"""Of a GPU's free memory that a batch may take; the rest is for fragments, and for other actors on the same GPU."""
WIDEST_WINDOW = 2048
"""Frames of the longest window that a budget reckons with, 41 s: `relative` positions take memory for all distances."""
BYTES_A_SCORE = 12
"""Of a token or class of a frame: its logit, and two copies in fp32 to find the best."""
SIZES: Mapping[Kernel, SizeOf] = {"plain": exact, "fused": rounded}
"""Of batches: what is compiled looks at them, and a GPU's memory is kept by them; the plain form gains nothing."""


def default_frame_budget(model: Model) -> int:
    """Choose the most frames of one batch by the model's size and its device's free memory."""
    parameter = next(model.parameters())
    if parameter.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(parameter.device)
        return frames_that_fit(model.config, free_bytes=free, value_bytes=parameter.element_size())
    return max(FEWEST_FRAMES, CPU_ACTIVATION_BYTES // (4 * model.config.intermediate_size))


def frames_that_fit(config: Config, *, free_bytes: int, value_bytes: int) -> int:
    """Frames whose activations fit on a GPU: 1,024 at least, `GPU_FRAMES` at most.

    At the widest moment of a block the residual, its norm and the two sides of a feed-forward are there, or queries,
    keys, values, what they mix and the scores of all distances; after the blocks, the scores of all tokens.

    Args:
        config: of the model.
        free_bytes: of the GPU's memory, the weights being there already.
        value_bytes: of one activation.
    """
    distances = {
        "relative_key": config.left_max_position_embeddings + 1 + config.right_max_position_embeddings,
        "relative": 2 * WIDEST_WINDOW,
    }.get(config.position_embeddings_type or "", 0)
    feed_forward = 2 * config.hidden_size + 2 * config.intermediate_size
    attention = 7 * config.hidden_size + config.num_attention_heads * distances
    in_block = value_bytes * (config.hidden_size + max(feed_forward, attention))
    a_frame = max(in_block, BYTES_A_SCORE * max(config.vocab_size, len(config.labels)))
    return max(FEWEST_FRAMES, min(GPU_FRAMES, int(GPU_SHARE * free_bytes / a_frame)))


class Predictor:
    """Models that share an encoder, with the frame budget that their device has room for.

    Args:
        models: by name, on the device where they shall run; their encoders must be equal, and that of the first
            takes the place of the others', whose memory is given back.
        frame_budget: most frames of one batch, or None for `default_frame_budget`; a longer window is a
            batch of its own.
        record: makes recordings of the encoder's passes, as `graphs.CudaRecorder` does; None runs each.

    Raises:
        UserError: for a model whose adapter leaves fewer frames than windows can be joined by.
    """

    def __init__(
        self, models: Mapping[str, Model], *, frame_budget: int | None = None, record: Recorder | None = None
    ) -> None:
        adapted = [name for name, model in models.items() if model.config.add_adapter]
        if adapted:
            raise UserError(
                f"{adapted[0]}: the checkpoint does not score each frame, by which windows are joined; take one "
                "without an adapter (add_adapter in config.json)"
            )
        self.models = dict(models)
        first = next(iter(models.values()))
        self._encoder = first.encoder
        for model in models.values():
            model.encoder = first.encoder
        self._device = next(first.parameters()).device
        self._transfer = transfer_to(self._device)
        self._record = record if record and replayable(first.encoder) else None
        self._passes: dict[tuple[str, ...], Pass] = {}
        self.filler_frames = 0
        """Frames that the last `run` computed and that belong to no window."""
        self.frame_budget = frame_budget or min(map(default_frame_budget, models.values()))
        self.on_batch: Callable[[int], None] = lambda first: None
        """Called before each batch, with the number of its first frame in the features: whoever waits knows that the
        work goes on, and where."""

    @torch.inference_mode()
    def run(
        self, features: np.ndarray, stretches: Sequence[Stretch], wants: Mapping[str, Want]
    ) -> dict[str, list[Reduced]]:
        """Run the encoder once over every window, and every head over what it wants to see of each stretch.

        While a GPU computes one batch, the next is gathered and copied. When it runs out of memory, the
        budget is halved, for later calls too.

        Args:
            features: (N, C) float32 or float16; may be read-only.
            stretches: windows of its frames; each window is seen by the encoder without its neighbours.
            wants: by name, in an order in which each comes after the one that it looks at.

        Returns:
            For each want what its `reduce` gave for each stretch, in the order given; bfloat16 becomes float32.

        Raises:
            ValueError: for a window that does not lie in the array.
            UserError: for a model without a head.
            StorageFault: when the device has no memory for one window alone.
        """
        for window in itertools.chain.from_iterable(stretches):
            if not 0 <= window.start <= window.keep_start < window.keep_stop <= window.stop <= len(features):
                raise ValueError(f"windows must lie in the {len(features)} frames given, got {window}")
        if not wants:
            return {}
        self.filler_frames, size_of = 0, SIZES[self._encoder.kernel]
        nothing = {name: self._nothing(want) for name, want in wants.items()}
        done = {number: dict(nothing) for number, stretch in enumerate(stretches) if not stretch}
        while waiting := [number for number in range(len(stretches)) if number not in done]:
            work = _Work.planned(features, stretches, waiting, frame_budget=self.frame_budget, size_of=size_of)
            if not self._run_batches(work, wants, nothing, done):
                self._halve_budget(max(map(work.longest, (number for number in waiting if number not in done))))
        return {name: [done[number][name] for number in range(len(stretches))] for name in wants}

    def _run_batches(
        self, work: _Work, wants: Mapping[str, Want], nothing: dict[str, Reduced], done: dict[int, dict[str, Reduced]]
    ) -> bool:
        """Fill `done`; False when the device ran out of memory on the way."""
        parts: dict[int, list[dict[str, Tensor]]] = {}
        found: dict[int, dict[str, Reduced]] = {}
        sent: list[_Answer] = []
        try:
            staged = self._transfer.stage(work.frames(0))
            for number, batch in enumerate(work.batches):
                self.on_batch(work.first_frame(number))
                layout = Packed(batch.laid, self._device)
                seen = self._encode(self._transfer.receive(staged), layout, wants)
                self.filler_frames += batch.filler
                if number + 1 < len(work.batches):
                    staged = self._transfer.stage(work.frames(number + 1))
                finished = work.sort_out(batch, seen, parts)
                del seen
                answers: list[_Answer] = []
                for name, want in wants.items():
                    if want.after is not None:
                        _receive(sent + answers, found)
                        sent, answers = [], []
                    asked = {stretch: parts[stretch] for stretch in finished}
                    answers.append(self._ask(name, want, asked, nothing[name], found))
                for stretch in finished:
                    del parts[stretch]
                # What was asked of the batch before has arrived meanwhile.
                _receive(sent, found)
                sent = answers
            _receive(sent, found)
        except torch.OutOfMemoryError:
            return False
        finally:
            done.update({number: each for number, each in found.items() if len(each) == len(wants)})
        return True

    def _encode(self, features: Tensor, layout: Packed, wants: Mapping[str, Want]) -> dict[str, Tensor]:
        """(N, C) -> for each top the (N, d) that its heads see."""
        tops = {self._top(want.head): self.models[want.head].top for want in wants.values()}
        names = tuple(tops)
        if names not in self._passes:
            run = partial(self._fold, tops)
            self._passes[names] = Replayed(run, self._record) if self._record else run
        return self._passes[names](features, layout)

    def _fold(self, tops: Mapping[str, LastLayer | LayerMean], features: Tensor, layout: Packed) -> dict[str, Tensor]:
        seen: dict[str, Tensor] = {}
        for number, frames in enumerate(self._encoder.states(features, layout)):
            for name, top in tops.items():
                seen[name] = top.fold(seen.get(name), number, frames)
        return seen

    def _top(self, head: str) -> str:
        """Heads that see the last layer see the same."""
        return head if isinstance(self.models[head].top, LayerMean) else "last layer"

    def _ask(
        self,
        name: str,
        want: Want,
        parts: Mapping[int, Sequence[Mapping[str, Tensor]]],
        nothing: Reduced,
        found: dict[int, dict[str, Reduced]],
    ) -> _Answer:
        """Show a head its pieces of some stretches, all at once."""
        top = self._top(want.head)
        pieces, lengths, starts = [], [], [0]
        shown: list[Tensor] = []
        for number, windows in parts.items():
            frames = [window[top] for window in windows]
            kept = sum(map(len, frames))
            wanted = [(0, kept)] if want.pieces is None else want.pieces(number, found.get(number, {}))
            shown += frames if list(wanted) == [(0, kept)] else _slices(torch.cat(frames), wanted)
            pieces.append(len(wanted))
            lengths += [stop - start for start, stop in wanted]
            starts.append(len(lengths))
        if not lengths:
            return _Answer(name, tuple(parts), (0,) * len(parts), None, nothing)
        output = self.models[want.head].score(torch.cat(shown), Packed(tuple(lengths), self._device))
        assert not isinstance(output, EncoderOutput), "a model without a head says nothing"
        if isinstance(output, FrameOutput):
            rows = tuple(sum(lengths[start:stop]) for start, stop in itertools.pairwise(starts))
        else:
            rows = tuple(pieces)
        return _Answer(name, tuple(parts), rows, self._transfer.send(want.reduce(output)), nothing)

    def _nothing(self, want: Want) -> Reduced:
        """What `reduce` gives of no frames."""
        model = self.models[want.head]
        weight = next(model.parameters())
        hidden = torch.empty(0, model.config.hidden_size, device=self._device, dtype=weight.dtype)
        output = model.score(hidden, Packed((), self._device))
        if isinstance(output, EncoderOutput):
            raise UserError(f"{want.head}: the checkpoint has no head, so it says nothing; take one with a head")
        return self._transfer.send(want.reduce(output)).wait()

    def _halve_budget(self, longest: int) -> None:
        # Recordings hold memory.
        self._passes.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if self.frame_budget <= longest:
            raise StorageFault(
                f"{self._device}: out of memory on one window of {longest} frames; take a shorter window "
                "or a GPU with more memory."
            )
        self.frame_budget = max(longest, self.frame_budget // 2)
        log.warning("%s: out of memory; going on with batches of %d frames", self._device, self.frame_budget)


@dataclass(frozen=True)
class _Work:
    """Windows of some stretches, in batches."""

    features: np.ndarray
    stretches: Sequence[Stretch]
    windows: Sequence[tuple[int, Window]]
    """Number of its stretch, and each window."""
    batches: Sequence[Batch]

    @classmethod
    def planned(
        cls,
        features: np.ndarray,
        stretches: Sequence[Stretch],
        waiting: Sequence[int],
        *,
        frame_budget: int,
        size_of: SizeOf,
    ) -> _Work:
        windows = [(number, window) for number in waiting for window in stretches[number]]
        lengths = [window.stop - window.start for _, window in windows]
        # Windows of one stretch follow each other, so that few stretches are waited for at a time.
        longest = {number: max(window.stop - window.start for window in stretches[number]) for number in waiting}
        keys = [longest[number] for number, _ in windows]
        planned = batches(lengths, frame_budget=frame_budget, sort_by=keys, size_of=size_of)
        return cls(features, stretches, windows, planned)

    def longest(self, stretch: int) -> int:
        """Frames of its longest window."""
        return max(window.stop - window.start for window in self.stretches[stretch])

    def first_frame(self, batch: int) -> int:
        """Where its first window starts."""
        return self.windows[self.batches[batch].indices[0]][1].start

    def frames(self, batch: int) -> list[np.ndarray]:
        """Features of each window of a batch, and of nothing to fill it."""
        chosen = (self.windows[index][1] for index in self.batches[batch].indices)
        filler = np.zeros((self.batches[batch].filler, self.features.shape[1]), self.features.dtype)
        return [*(self.features[window.start : window.stop] for window in chosen), filler]

    def sort_out(
        self, batch: Batch, seen: Mapping[str, Tensor], parts: dict[int, list[dict[str, Tensor]]]
    ) -> list[int]:
        """Put what is kept of each window to its stretch; give the stretches that are complete now."""
        finished = []
        starts = itertools.accumulate(batch.lengths, initial=0)
        for index, start in zip(batch.indices, starts, strict=False):
            number, window = self.windows[index]
            first, stop = start + window.keep_start - window.start, start + window.keep_stop - window.start
            kept = {top: frames[first:stop] for top, frames in seen.items()}
            parts.setdefault(number, []).append(kept)
            if len(parts[number]) == len(self.stretches[number]):
                finished.append(number)
        return finished


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a head said of some stretches, on its way to the host."""

    want: str
    stretches: tuple[int, ...]
    rows: tuple[int, ...]
    """Of each stretch."""
    sending: Sending | None
    nothing: Reduced


def _receive(answers: Sequence[_Answer], found: dict[int, dict[str, Reduced]]) -> None:
    for answer in answers:
        columns = answer.nothing if answer.sending is None else answer.sending.wait()
        ends = itertools.accumulate(answer.rows)
        for number, rows, end in zip(answer.stretches, answer.rows, ends, strict=True):
            # Copies: a view would keep the whole batch alive.
            found.setdefault(number, {})[answer.want] = tuple(column[end - rows : end].copy() for column in columns)


def _slices(frames: Tensor, wanted: Sequence[Slice]) -> list[Tensor]:
    return [frames[start:stop] for start, stop in wanted]
