"""Run a model over slices of one array of features, in packed batches.

Letters: N frames of the array, C features of a frame, V tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import StorageFault, UserError
from pipeline.models.batching import Batch, batches
from pipeline.models.layout import Packed
from pipeline.models.outputs import ClassOutput, EmbeddingOutput, EncoderOutput
from pipeline.models.transfer import transfer_to
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.model import Model

log = logging.getLogger(__name__)

Slice = tuple[int, int]
"""First frame and the frame after the last; slices may overlap and may be empty."""
Reduce = Callable[[Tensor], tuple[Tensor, ...]]
"""Logits (frames, V) on the model's device -> tensors of `frames` rows: what is worth sending to the host."""
Reduced = tuple[np.ndarray, ...]
NotByFrame = EncoderOutput | ClassOutput | EmbeddingOutput
"""What models give that score no frames."""

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
    """A model with the frame budget that its device has room for.

    Args:
        model: on the device where it shall run.
        frame_budget: most frames of one batch, or None for `default_frame_budget`; a longer slice is a
            batch of its own.
    """

    def __init__(self, model: Model, *, frame_budget: int | None = None) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self._transfer = transfer_to(self._device)
        self.frame_budget = frame_budget if frame_budget is not None else default_frame_budget(model)

    @torch.inference_mode()
    def run(self, features: np.ndarray, slices: Sequence[Slice], *, reduce: Reduce) -> list[Reduced]:
        """Reduce the model's logits over every slice.

        While a GPU computes one batch, the next is gathered and copied. When it runs out of memory, the
        budget is halved, for later calls too.

        Args:
            features: (N, C) float32 or float16; may be read-only.
            slices: of its frames; each is seen by the model without its neighbours.
            reduce: run on the model's device.

        Returns:
            For each slice, in the order given, what `reduce` gave for its frames; bfloat16 becomes float32.

        Raises:
            ValueError: for a slice that does not lie in the array.
            UserError: for a model that gives no scores for each frame.
            StorageFault: when the device has no memory for one slice alone.
        """
        wrong = [(start, stop) for start, stop in slices if not 0 <= start <= stop <= len(features)]
        if wrong:
            raise ValueError(f"slices must lie in the {len(features)} frames given, got {wrong[0]}")
        done = self._of_empty_slices(slices, reduce)
        while waiting := [index for index in range(len(slices)) if index not in done]:
            if not self._run_batches(features, slices, waiting, reduce, done):
                self._halve_budget(max(stop - start for i, (start, stop) in enumerate(slices) if i not in done))
        return [done[index] for index in range(len(slices))]

    def _run_batches(
        self,
        features: np.ndarray,
        slices: Sequence[Slice],
        waiting: Sequence[int],
        reduce: Reduce,
        done: dict[int, Reduced],
    ) -> bool:
        """Fill `done`; False when the device ran out of memory on the way."""
        planned = batches([slices[i][1] - slices[i][0] for i in waiting], frame_budget=self.frame_budget)
        parts = [[features[slice(*slices[waiting[i]])] for i in batch.indices] for batch in planned]
        try:
            for batch, outputs in zip(planned, self._stream(planned, parts, reduce), strict=True):
                for index, reduced in zip(batch.indices, _split(outputs, batch.lengths), strict=True):
                    done[waiting[index]] = reduced
        except torch.OutOfMemoryError:
            return False
        return True

    def _stream(
        self, planned: Sequence[Batch], parts: Sequence[Sequence[np.ndarray]], reduce: Reduce
    ) -> Iterator[Reduced]:
        """Compute one batch, stage the next, and only then wait for the one before."""
        transfer = self._transfer
        staged = transfer.stage(parts[0])
        before = None
        for number, batch in enumerate(planned):
            output = self._model.forward_packed(transfer.receive(staged), Packed(batch.lengths, self._device))
            if isinstance(output, NotByFrame) or len(output.logits) != batch.num_frames:
                raise UserError(
                    "the checkpoint does not score each frame, by which windows are joined; take one with a CTC head "
                    "and without an adapter (architectures and add_adapter in config.json)."
                )
            sending = transfer.send(reduce(output.logits))
            del output
            if number + 1 < len(planned):
                staged = transfer.stage(parts[number + 1])
            if before is not None:
                yield before.wait()
            before = sending
        if before is not None:
            yield before.wait()

    def _of_empty_slices(self, slices: Sequence[Slice], reduce: Reduce) -> dict[int, Reduced]:
        empty = [index for index, (start, stop) in enumerate(slices) if start == stop]
        if not empty:
            return {}
        logits = torch.empty(0, self._model.config.vocab_size, device=self._device)
        reduced = self._transfer.send(reduce(logits)).wait()
        return dict.fromkeys(empty, reduced)

    def _halve_budget(self, longest: int) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if self.frame_budget <= longest:
            raise StorageFault(
                f"{self._device}: out of memory on one window of {longest} frames; take a shorter window "
                "or a GPU with more memory."
            )
        self.frame_budget = max(longest, self.frame_budget // 2)
        log.warning("%s: out of memory; going on with batches of %d frames", self._device, self.frame_budget)


def _split(outputs: Reduced, lengths: Sequence[int]) -> Iterator[Reduced]:
    start = 0
    for length in lengths:
        # Copies: a view would keep the whole batch alive.
        yield tuple(output[start : start + length].copy() for output in outputs)
        start += length
