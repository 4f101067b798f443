"""A new x-vector head starts from linear discriminants of what it pools: random layers pool much that tells speakers.

Letters: C examples, P pooled statistics, E channels of an embedding, V speakers.
Source: Fisher 1936 for the discriminants; Ledoit and Wolf 2004 for shrinking a covariance towards a multiple of 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.models.wav2vec2_bert.heads import seen_by_head
from pipeline.models.wav2vec2_bert.xvector import XVectorModel
from pipeline.training.batches import epoch_batches
from pipeline.training.dataset import Dataset
from pipeline.training.objectives import Objective
from pipeline.training.validation import packed

Doubles = NDArray[np.float64]

EXAMPLES, OF_EACH = 6000, 4
"""That are looked at: so many, or so many of each speaker on average if that is more. All would not fit in memory."""
SHRINKAGE = 0.3
"""Share of the covariance within speakers that becomes a multiple of 1: there are more statistics than examples of a
speaker. Of 0.05 to 0.5 the best on speakers held out (`tests/benchmarks/held_out.py`)."""

LEAST_SPREAD = 1e-3
"""Of the largest: what changes less counts as if it changed so much."""
SURPLUS = 0.1
"""Length of directions in which classes do not differ: they only add noise to cosines."""


def start(
    model: XVectorModel, objective: Objective, dataset: Dataset, *, frame_budget: int, seed: int, use_means: bool
) -> None:
    """Set the embedding to the best discriminants of pooled statistics, and every speaker's vector to its mean.

    Args:
        model: whose embedding is set.
        objective: which segments are pooled in training.
        dataset: what it is trained on.
        frame_budget: frames of a batch.
        seed: of what is drawn.
        use_means: take means into account, not deviations alone. Means of channels that are linear in the features
            tell of the recording, over which features are normalised, and not of the speaker.
    """
    statistics, speakers = _pooled(model, objective, dataset, frame_budget=frame_budget, seed=seed)
    if not use_means:
        statistics[:, : statistics.shape[1] // 2] = 0.0
    if len(set(speakers.tolist())) < 2 or len(speakers) <= len(set(speakers.tolist())):
        return
    mean, projection = discriminants(statistics, speakers, size=model.embed.out_features)
    embedded = (statistics - mean) @ projection
    # As large as a fresh layer's output would be, so that the learning rate means the same.
    projection /= embedded.std()
    embedded /= embedded.std()
    with torch.no_grad():
        size = projection.shape[1]
        model.embed.weight[:size] = torch.from_numpy(projection.T)
        model.embed.bias[:size] = torch.from_numpy(-mean @ projection)
        for speaker in set(speakers.tolist()):
            model.class_vectors[:size, speaker] = torch.from_numpy(embedded[speakers == speaker].mean(0))


def discriminants(
    statistics: Doubles, classes: NDArray[np.int64], *, size: int, shrinkage: float = SHRINKAGE
) -> tuple[Doubles, Doubles]:
    """Mean (P,) and projection (P, size) in which classes differ most for how much their members do.

    Args:
        statistics: (C, P).
        classes: (C,) class of each.
        size: most directions that are kept; those beyond the classes less one tell nothing, and are short.
        shrinkage: as `SHRINKAGE`.
    """
    mean = statistics.mean(0)
    spread = statistics.std(0)
    # A statistic that hardly changes would get a weight that makes noise of it.
    spread = np.maximum(spread, LEAST_SPREAD * spread.max(initial=0.0) + 1e-9)
    statistics = (statistics - mean) / spread
    numbers, owner = np.unique(classes, return_inverse=True)
    counts = np.bincount(owner)[:, None]
    means = np.zeros((len(numbers), statistics.shape[1]))
    np.add.at(means, owner, statistics)
    means /= counts
    inside = statistics - means[owner]
    within = inside.T @ inside / len(statistics)
    level = np.trace(within) / len(within)
    within = (1 - shrinkage) * within + (shrinkage * level + 1e-12) * np.eye(len(within))
    apart = means * np.sqrt(counts / len(statistics))
    # Where the covariance within is 1, the largest directions between are those of an ordinary decomposition.
    whitener = np.linalg.inv(np.linalg.cholesky(within))
    _, _, directions = np.linalg.svd(apart @ whitener.T, full_matrices=True)
    projection = whitener.T @ directions[:size].T / spread[:, None]
    projection[:, len(numbers) - 1 :] *= SURPLUS
    return mean, projection


def _pooled(
    model: XVectorModel, objective: Objective, dataset: Dataset, *, frame_budget: int, seed: int
) -> tuple[Doubles, NDArray[np.int64]]:
    """Statistics that the embedding sees, (C, P), and the speaker of each, (C,)."""
    found: list[Tensor] = []
    speakers: list[int] = []
    hook = model.embed.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].double().cpu()))
    model.eval()
    torch.manual_seed(seed)
    try:
        with torch.inference_mode():
            enough = max(EXAMPLES, OF_EACH * model.class_vectors.shape[1])
            for epoch in range(-(-enough // max(1, len(dataset)))):
                planned = epoch_batches(dataset.lengths(epoch), frame_budget=frame_budget, seed=seed, epoch=epoch)
                for indices in planned:
                    if len(speakers) < enough:
                        speakers += _observe(model, objective, dataset, epoch, indices)
    finally:
        hook.remove()
    return torch.cat(found).numpy() if found else np.empty((0, 0)), np.array(speakers, dtype=np.int64)


def _observe(
    model: XVectorModel, objective: Objective, dataset: Dataset, epoch: int, indices: Sequence[int]
) -> list[int]:
    """Let the model hear a batch as in training; the speakers in it."""
    items = [item for item in (dataset.item(epoch, index) for index in indices) if item is not None]
    items = [item for item in items if len(item.features) >= objective.least(model)]
    if not items:
        return []
    hidden, layout = seen_by_head(model, *packed(items, model.encoder.device))
    targets = [item.target for item in items]
    objective.loss(model, hidden, layout, targets, 0.0)
    return targets
