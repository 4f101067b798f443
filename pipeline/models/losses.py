"""What training lessens, one loss a head, from packed outputs.

Letters: M packed frames that the model gives, C documents, V tokens or classes, E channels of an embedding. Each loss
is a scalar in fp32, whatever the precision of the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.outputs import ClassOutput, EmbeddingOutput, FrameOutput
from pipeline.models.wav2vec2_bert.config import Config

IGNORED = -100
"""Label of a frame that counts nothing: PyTorch's `ignore_index`."""
SCALE, MARGIN = 30.0, 0.4
"""Of AM-Softmax, as `transformers` has them; the paper's section 4.2 uses 30 and 0.35."""


def ctc_loss(output: FrameOutput, tokens: Sequence[Sequence[int]], config: Config) -> Tensor:
    """CTC over all alignments of each document's tokens (Graves et al. 2006).

    `ctc_loss_reduction` of the configuration is `sum` over documents, or `mean` of the losses a token; with
    `ctc_zero_infinity` a document shorter than its tokens counts as 0 instead of infinity.

    Args:
        output: of packed features, logits (M, V).
        tokens: of each document, without blanks.
        config: of the model.

    Raises:
        ValueError: for as many documents as there are no tokens for, or for tokens that are no labels.
    """
    blank = config.pad_token_id or 0
    if len(tokens) != len(output.lengths):
        raise ValueError(f"tokens of {len(tokens)} documents for logits of {len(output.lengths)}")
    wrong = [token for row in tokens for token in row if not 0 <= token < config.vocab_size or token == blank]
    if wrong:
        raise ValueError(f"tokens must be 0 to {config.vocab_size - 1} and not the blank {blank}, got {wrong[0]}")
    device = output.logits.device
    log_probs = torch.split(output.logits.log_softmax(-1, dtype=torch.float32), list(output.lengths))
    # cuDNN's form takes blank 0 and short labels only, and gives other gradients.
    with torch.backends.cudnn.flags(enabled=False):
        return F.ctc_loss(
            torch.nn.utils.rnn.pad_sequence(list(log_probs)),
            torch.tensor([token for row in tokens for token in row], dtype=torch.int64, device=device),
            torch.tensor(output.lengths, device=device),
            torch.tensor([len(row) for row in tokens], device=device),
            blank=blank,
            reduction=config.ctc_loss_reduction,
            zero_infinity=config.ctc_zero_infinity,
        )


def frame_loss(output: FrameOutput, classes: Tensor) -> Tensor:
    """Cross-entropy, the mean over frames.

    Args:
        output: of packed features, logits (M, V).
        classes: (M,) number of each frame's class, `IGNORED` for frames that count nothing; or (M, V) shares.
    """
    classes = classes.to(output.logits.device)
    if classes.dim() == 1 and bool((classes == IGNORED).all()):
        # A mean over nothing is not a number.
        return output.logits.float().sum() * 0.0
    return F.cross_entropy(output.logits.float(), classes, ignore_index=IGNORED)


def class_loss(output: ClassOutput, labels: Tensor) -> Tensor:
    """The mean over documents: cross-entropy, or what `problem_type` names elsewhere.

    Args:
        output: logits (C, V).
        labels: (C,) integers, the number of each document's class: cross-entropy. (C, V) floats: several classes at
            once, each 0 or 1, binary cross-entropy. (C,) floats with V = 1: a number, the squared difference.

    Raises:
        ValueError: for labels that are none of these.
    """
    logits = output.logits.float()
    labels = labels.to(logits.device)
    if labels.shape == logits.shape[:1] and not labels.is_floating_point():
        return F.cross_entropy(logits, labels)
    if labels.shape == logits.shape[:1] and logits.shape[1] == 1:
        return F.mse_loss(logits[:, 0], labels.float())
    if labels.shape == logits.shape and labels.is_floating_point():
        return F.binary_cross_entropy_with_logits(logits, labels.float())
    raise ValueError(
        f"labels must be ({len(logits)},) class numbers, {tuple(logits.shape)} floats or, for one score, "
        f"({len(logits)},) floats; got {tuple(labels.shape)} {labels.dtype}"
    )


def speaker_loss(
    output: EmbeddingOutput, class_vectors: Tensor, speakers: Tensor, *, scale: float = SCALE, margin: float = MARGIN
) -> Tensor:
    """AM-Softmax, the mean over documents: cross-entropy of scaled cosines, the right one less a margin.

    Source: Wang et al. 2018, Additive margin softmax for face verification, arXiv 1801.05599.

    Args:
        output: logits (C, E).
        class_vectors: (E, V) of the model, one column a speaker of the training set.
        speakers: (C,) the number of each.
        scale: of the cosines.
        margin: what the right one must be ahead by.
    """
    speakers = speakers.to(output.logits.device)
    # Else a product of singles would be one of halves in a training in half precision.
    with torch.autocast(output.logits.device.type, enabled=False):
        cosines = F.normalize(output.logits.float(), dim=1) @ F.normalize(class_vectors.float(), dim=0)
    right = F.one_hot(speakers, cosines.shape[1])
    return F.cross_entropy(scale * (cosines - margin * right), speakers)
