"""Which embeddings are compared with which, and how alike they are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MOST_PAIRS = 2_000_000
"""All pairs of 2,000 embeddings; of more embeddings so many pairs are drawn. Their bootstrap takes seconds."""
_BLOCK = 8192
"""Pairs whose vectors are in memory at a time."""

Numbers = NDArray[np.int64]


def pairs(count: int, *, most: int = MOST_PAIRS, seed: int = 0) -> tuple[Numbers, Numbers]:
    """Every pair of some things once, or about `most` of these, drawn evenly where there are more.

    Args:
        count: how many things.
        most: pairs in memory; a pair that is drawn twice counts once, so there may be slightly fewer.
        seed: of the random numbers.

    Returns:
        Numbers first (P,) and second (P,), first < second, sorted.
    """
    if math.comb(count, 2) <= most:
        first, second = np.triu_indices(count, k=1)
        return first.astype(np.int64), second.astype(np.int64)
    random = np.random.default_rng(seed)
    one = random.integers(count, size=most)
    # Of the count - 1 others.
    two = (one + random.integers(1, count, size=most)) % count
    drawn = np.unique(np.minimum(one, two) * count + np.maximum(one, two))
    return drawn // count, drawn % count


def cosines(embeddings: NDArray[np.float32], first: Numbers, second: Numbers) -> NDArray[np.float32]:
    """Cosine of the angle between two embeddings, for each pair.

    Args:
        embeddings: (N, E).
        first: (P,) row of one.
        second: (P,) row of the other.

    Returns:
        (P,) from -1 to 1; 0 for a vector of zeros.
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.maximum(lengths, np.finfo(np.float32).tiny)
    found = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), _BLOCK):
        block = slice(start, start + _BLOCK)
        found[block] = np.einsum("pe,pe->p", unit[first[block]], unit[second[block]])
    return found
