"""How good a model is on examples that it does not learn from.

Letters: N packed frames, M that the head sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.models import Model
from pipeline.models.batching import batches
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.heads import seen_by_head
from pipeline.training.dataset import Dataset, Item
from pipeline.training.objectives import Objective


def validate(
    model: Model, objective: Objective, dataset: Dataset, *, frame_budget: int, dtype: torch.dtype
) -> tuple[float, float]:
    """Loss, the mean over examples, and score over all examples as they are.

    The model is left in evaluation mode. A loss that has no meaning for other labels than those of the training, as
    that of speakers, is NaN.
    """
    model.eval()
    least = objective.least(model)
    # Several examples may be parts of one recording.
    numbers = {each.recording.recording: number for number, each in enumerate(dataset.examples)}
    sums: list[tuple[float, int]] = []
    observed: list[Any] = []
    with torch.inference_mode():
        for batch in batches([max(1, length) for length in dataset.lengths(0)], frame_budget=frame_budget):
            found = [dataset.item(0, index) for index in batch.indices]
            items = [item for item in found if item is not None and len(item.features) >= least]
            if not items:
                continue
            targets = [item.target for item in items]
            recordings = [numbers[dataset.examples[item.index].recording.recording] for item in items]
            with torch.autocast(model.encoder.device.type, dtype, enabled=dtype != torch.float32):
                hidden, layout = seen_by_head(model, *packed(items, model.encoder.device))
                observed.append(objective.observe(model, hidden, layout, targets, recordings))
                if objective.judges_loss:
                    sums.append((float(objective.loss(model, hidden, layout, targets, 1.0)), len(items)))
    count = sum(number for _, number in sums)
    loss = math.fsum(each * number for each, number in sums) / count if count else math.nan
    return loss, objective.score(observed) if observed else math.nan


def packed(items: Sequence[Item], device: torch.device) -> tuple[Tensor, Packed]:
    """Features of items end to end, (N, 160), and where each lies."""
    features = torch.from_numpy(np.concatenate([item.features for item in items]))
    return features.to(device), Packed(tuple(len(item.features) for item in items), device)
