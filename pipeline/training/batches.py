"""Which examples a step sees: alike in length, within a budget of frames, in an order that the epoch decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.models.batching import batches

POOL = 50
"""Batches whose examples are sorted by length together: more makes lengths more alike, fewer the mix more random."""


def epoch_batches(
    lengths: Sequence[int], *, frame_budget: int, seed: int, epoch: int, alike: bool = True
) -> list[tuple[int, ...]]:
    """The batches of one epoch, as places in the list of lengths; the same for the same arguments.

    Args:
        lengths: frames of each example; those without any are in no batch.
        frame_budget: most frames of a batch; a longer example is a batch of its own.
        seed: of the whole training.
        epoch: its number, from 0.
        alike: whether the examples of a batch have similar lengths.
    """
    random = np.random.default_rng([seed, epoch, len(lengths)])
    order = [int(index) for index in random.permutation(len(lengths)) if lengths[index] > 0]
    found: list[tuple[int, ...]] = []
    for pool in _pools(order, lengths, POOL * frame_budget if alike else frame_budget):
        planned = batches([lengths[index] for index in pool], frame_budget=frame_budget)
        found += [tuple(pool[place] for place in batch.indices) for batch in planned]
    return [found[place] for place in random.permutation(len(found))]


def _pools(order: Sequence[int], lengths: Sequence[int], most: int) -> list[list[int]]:
    pools: list[list[int]] = [[]]
    frames = 0
    for index in order:
        if pools[-1] and frames + lengths[index] > most:
            pools.append([])
            frames = 0
        pools[-1].append(index)
        frames += lengths[index]
    return [pool for pool in pools if pool]


def share(planned: Sequence[tuple[int, ...]], *, rank: int, workers: int) -> list[tuple[int, ...]]:
    """Every worker's part: as many batches for each, the first ones again where the number is not even."""
    missing = -len(planned) % workers
    padded = [*planned, *(planned[place % len(planned)] for place in range(missing))] if planned else []
    return padded[rank::workers]
