"""What each task lessens and how it is judged: from what the head sees of a batch to a loss, and to a score.

Letters: M packed frames that the head sees, d channels, C examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline import scoring
from pipeline.corpus import FRAMES_PER_SECOND
from pipeline.models import Model, losses
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.heads import ClassModel, CtcModel, FrameModel
from pipeline.models.wav2vec2_bert.xvector import XVectorModel
from pipeline.tasks import Kind
from pipeline.text import Tokenizer, batch_decode
from pipeline.training import metrics
from pipeline.training.config import TrainConfig
from pipeline.training.labels import Classes, Frames, Numbers, Space, Target, Words
from pipeline.training.segments import equal_segments, random_segments


class Objective(Protocol):
    """What a task lessens."""

    metric: str
    """Name of the score."""
    higher_is_better: bool
    judges_loss: bool
    """Whether the loss has a meaning in validation: that of speakers has none for others than those it learns."""

    def least(self, model: Model) -> int:
        """Frames of features that an example needs."""

    def loss(self, model: Any, hidden: Tensor, layout: Packed, targets: Sequence[Target], done: float) -> Tensor:
        """(M, d) -> the loss of a batch; `done` is the share of the training that lies behind."""

    def observe(
        self, model: Any, hidden: Tensor, layout: Packed, targets: Sequence[Target], recordings: Sequence[int]
    ) -> Any:
        """What the score needs to know of a batch of validation; each example has the number of its recording."""

    def score(self, observed: Sequence[Any]) -> float:
        """How good the model is, from all that was observed."""


class WordObjective:
    """CTC; judged by the word error rate of greedy text."""

    metric, higher_is_better, judges_loss = "word_error_rate", False, True

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def least(self, model: Model) -> int:
        """One frame that the head sees."""
        return _least_seen(model, 1)

    def loss(self, model: CtcModel, hidden: Tensor, layout: Packed, targets: Sequence[Target], done: float) -> Tensor:
        """See `losses.ctc_loss`."""
        return losses.ctc_loss(model.score(hidden, layout), targets, model.config)

    def observe(
        self, model: CtcModel, hidden: Tensor, layout: Packed, targets: Sequence[Target], recordings: Sequence[int]
    ) -> Any:
        """References and transcripts."""
        parts = torch.split(model.score(hidden, layout).logits.float().cpu(), list(layout.lengths))
        padded = torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
        heard = [each.text for each in batch_decode(padded, layout.lengths, self._tokenizer)]
        return ["".join(map(self._tokenizer.spell, target)) for target in targets], heard

    def score(self, observed: Sequence[Any]) -> float:
        """Word error rate; NaN without any word."""
        said, heard = ([text for each in observed for text in each[side]] for side in (0, 1))
        rate = scoring.word_errors(said, heard).rate
        return float("nan") if rate is None else rate


class ClassObjective:
    """Classes, several classes at once, or a number; judged by accuracy, F1 or the root mean square error."""

    def __init__(self, space: Classes | Numbers) -> None:
        self._numbers = isinstance(space, Numbers)
        self._several = isinstance(space, Classes) and space.several
        self.metric = "error" if self._numbers else "f1" if self._several else "accuracy"
        self.higher_is_better = not self._numbers
        self.judges_loss = True

    def least(self, model: Model) -> int:
        """One frame."""
        return 1

    def loss(self, model: ClassModel, hidden: Tensor, layout: Packed, targets: Sequence[Target], done: float) -> Tensor:
        """See `losses.class_loss`."""
        return losses.class_loss(model.score(hidden, layout), torch.tensor(targets))

    def observe(
        self, model: ClassModel, hidden: Tensor, layout: Packed, targets: Sequence[Target], recordings: Sequence[int]
    ) -> Any:
        """Labels and what was found, (C,) or (C, V)."""
        logits = model.score(hidden, layout).logits.float().cpu()
        if self._numbers:
            return np.array(targets), logits[:, 0].numpy()
        if self._several:
            return np.array(targets) > 0.5, (logits > 0).numpy()
        return np.array(targets), logits.argmax(1).numpy()

    def score(self, observed: Sequence[Any]) -> float:
        """By the kind of labels."""
        labels, found = (np.concatenate([each[side] for each in observed]) for side in (0, 1))
        if self._numbers:
            return metrics.root_mean_square(labels, found)
        return metrics.f1(labels, found) if self._several else metrics.accuracy(labels, found)


class FrameObjective:
    """A class a frame; judged by the F1 of frames that are not background."""

    metric, higher_is_better, judges_loss = "frame_f1", True, True

    def __init__(self, space: Frames) -> None:
        # Without a background the first class is the one that F1 passes over; a head that was kept has its own order.
        passed = 0 if space.background is None else space.names.index(space.background)
        self._marked = np.array([number for number in range(len(space.names)) if number != passed])

    def least(self, model: Model) -> int:
        """One frame."""
        return 1

    def loss(self, model: FrameModel, hidden: Tensor, layout: Packed, targets: Sequence[Target], done: float) -> Tensor:
        """See `losses.frame_loss`."""
        return losses.frame_loss(model.score(hidden, layout), torch.from_numpy(np.concatenate(targets)))

    def observe(
        self, model: FrameModel, hidden: Tensor, layout: Packed, targets: Sequence[Target], recordings: Sequence[int]
    ) -> Any:
        """Marks of each class but the background, (frames, classes - 1), there and found."""
        classes = np.concatenate(targets)
        found = model.score(hidden, layout).logits.argmax(1).cpu().numpy()[classes != losses.IGNORED]
        return classes[classes != losses.IGNORED][:, None] == self._marked, found[:, None] == self._marked

    def score(self, observed: Sequence[Any]) -> float:
        """F1 over all classes but the background together."""
        labels, found = (np.concatenate([each[side] for each in observed]) for side in (0, 1))
        return metrics.f1(labels, found)


class SpeakerObjective:
    """AM-Softmax over random stretches of hidden states; judged by the equal error rate of all pairs of stretches."""

    metric, higher_is_better, judges_loss = "equal_error_rate", False, False

    def __init__(self, config: TrainConfig) -> None:
        self._scale, self._margin, self._warmup = config.scale, config.margin, config.margin_warmup
        self._seconds = (config.segment_from, config.segment_to, config.validation_segment)

    def least(self, model: Model) -> int:
        """Two frames that are pooled."""
        assert isinstance(model, XVectorModel)
        return next(frames for frames in range(1, 10_000) if model.length(frames) >= 2)

    def loss(
        self, model: XVectorModel, hidden: Tensor, layout: Packed, targets: Sequence[Target], done: float
    ) -> Tensor:
        """See `losses.speaker_loss`; the margin grows with what is `done`."""
        shortest, longest, _ = self._frames(model)
        output = model.score(*random_segments(hidden, layout, shortest=shortest, longest=longest))
        speakers = torch.tensor(targets, device=hidden.device)
        margin = self._margin * (min(1.0, done / self._warmup) if self._warmup else 1.0)
        return losses.speaker_loss(output, model.class_vectors, speakers, scale=self._scale, margin=margin)

    def observe(
        self, model: XVectorModel, hidden: Tensor, layout: Packed, targets: Sequence[Target], recordings: Sequence[int]
    ) -> Any:
        """Embeddings (segments, E), and the speaker and the recording of each."""
        stretches, cut, owners = equal_segments(hidden, layout, length=self._frames(model)[2])
        embeddings = model.score(stretches, cut).embeddings.float().cpu().numpy()
        return embeddings, np.array(targets)[owners], np.array(recordings)[owners]

    def score(self, observed: Sequence[Any]) -> float:
        """Equal error rate over pairs of stretches of different recordings."""
        embeddings, speakers, recordings = (np.concatenate([each[side] for each in observed]) for side in range(3))
        return metrics.equal_error_rate_of_pairs(embeddings, speakers, recordings)

    def _frames(self, model: XVectorModel) -> tuple[int, int, int]:
        """Shortest, longest and compared stretches, in frames that the head sees."""
        least = next(frames for frames in range(1, 10_000) if model._pooled(frames) >= 2)  # noqa: SLF001
        seen = [max(least, model.top.length(round(each * FRAMES_PER_SECOND))) for each in self._seconds]
        return seen[0], seen[1], seen[2]


def _words(config: TrainConfig, space: Space) -> Objective:
    assert isinstance(space, Words)
    return WordObjective(space.tokenizer)


def _classes(config: TrainConfig, space: Space) -> Objective:
    assert isinstance(space, Classes | Numbers)
    return ClassObjective(space)


def _frames(config: TrainConfig, space: Space) -> Objective:
    assert isinstance(space, Frames)
    return FrameObjective(space)


def _speakers(config: TrainConfig, space: Space) -> Objective:
    return SpeakerObjective(config)


OBJECTIVES: Mapping[Kind, Callable[[TrainConfig, Space], Objective]] = {
    "transcribe": _words,
    "classify": _classes,
    "frames": _frames,
    "embed": _speakers,
}


def _least_seen(model: Model, frames: int) -> int:
    return next(given for given in range(1, 10_000) if model.top.length(given) >= frames)
