"""Before any weight is read: which examples there are, what their labels mean, and which model can learn them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.audio import FeatureExtractor
from pipeline.errors import UserError
from pipeline.models import Model, checkpoint
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.quantities import counted
from pipeline.storage.paths import redact
from pipeline.tasks import Kind
from pipeline.text import Tokenizer
from pipeline.training import examples, start
from pipeline.training.config import TrainConfig
from pipeline.training.dataset import LONGEST_WHOLE
from pipeline.training.examples import Example
from pipeline.training.labels import Numbers, Space, Words, space_of_classes, space_of_frames, space_of_speakers
from pipeline.training.vocabulary import letters_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A training that can begin."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    space: Space
    validation_space: Space
    """That of the training, but for speakers, who are others."""
    base: Config
    """Of the checkpoint."""
    keeps_head: bool
    changes: Mapping[str, Any]
    """Fields of config.json that become others."""
    left_out: int = 0
    """Recordings without a label, or too long."""
    left_out_examples: Mapping[str, str] = field(default_factory=dict)
    """Reason -> one of them."""

    def make_model(self, config: TrainConfig) -> Model:
        """The model that is trained, on the CPU."""
        return start.model_of(
            self.base, config.model, head=config.head, changes=self.changes, keep_head=self.keeps_head,
            from_scratch=config.from_scratch,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What labels mean, and what of the model that decides."""

    space: Space
    keeps_head: bool
    changes: Mapping[str, Any]


def prepare(sources: Sequence[str], config: TrainConfig) -> Prepared:
    """Find the examples and decide about the model.

    Raises:
        UserError: a mistake that the caller can mend: names source, stage and remedy.
        StorageFault: a source cannot be listed.
    """
    base = start.read(config.model, from_scratch=config.from_scratch)
    # Read again when it is saved; what is wrong with it shows before hours of training.
    FeatureExtractor.load(checkpoint.resolve(config.model), where=config.model)
    found = _found(sources, config)
    chosen, too_long = _short_enough(found.examples, config)
    others = _found([config.validate], config) if config.validate else examples.Found()
    train, judged = (chosen, others.examples) if config.validate else _held_out(chosen, config)
    validation, endless = _heard_whole(judged, config)
    unlabelled, problems = [*found.unlabelled, *others.unlabelled], [*found.problems, *others.problems]
    where = ", ".join(map(redact, sources))
    try:
        # Speakers of the validation are others. Of words and classes a rare one may be in the validation only, and
        # there it must have a number too.
        meaning = _MEANINGS[config.task](train if config.task == "embed" else [*train, *validation], base, config)
    except ValueError as error:
        raise UserError(f"{where}: labels: {error}") from None
    other = space_of_speakers([each.label for each in validation]) if config.task == "embed" else meaning.space
    _check(train, meaning.space)
    _check(validation, other)
    reasons = {f"labels: no field {config.field!r}": unlabelled[0]} if unlabelled else {}
    reasons |= {f"longer than --longest {config.longest:g} s": too_long[0].recording.id} if too_long else {}
    reasons |= {f"longer than {LONGEST_WHOLE:g} s, for validation": endless[0].recording.id} if endless else {}
    reasons |= {f"not listed: {problem}": problem for problem in problems[:1]}
    return Prepared(
        train=tuple(train), validation=tuple(validation), space=meaning.space, validation_space=other, base=base,
        keeps_head=meaning.keeps_head and not config.from_scratch,
        changes={**meaning.changes, **start.parse_changes(config.model_config)},
        left_out=len(unlabelled) + len(too_long) + len(endless) + len(problems), left_out_examples=reasons,
    )  # fmt: skip


def _found(sources: Sequence[str], config: TrainConfig) -> examples.Found:
    return examples.find(sources, config.field, task_of_table=config.labels_from or None)


def _held_out(chosen: Sequence[Example], config: TrainConfig) -> tuple[list[Example], list[Example]]:
    """What is trained on, and what of it is validated on instead.

    Raises:
        UserError: nothing is left to train on.
    """
    # What must not be on both sides is a recording; for x-vectors a speaker, and it takes two to be told apart.
    by, least = (_by_speaker, 2) if config.task == "embed" else (_by_recording, 1)
    held = examples.held_out(chosen, share=config.validation_share, by=by, least=least)
    train = [each for each, out in zip(chosen, held, strict=True) if not out]
    if not train:
        raise UserError(
            f"{redact(chosen[0].recording.source)}: labels: --validation-share {config.validation_share:g} holds out "
            f"all there is ({counted(len(chosen), 'recording')}); lower it, or name other data with --validate"
        )
    return train, [each for each, out in zip(chosen, held, strict=True) if out]


def _short_enough(found: Sequence[Example], config: TrainConfig) -> tuple[list[Example], list[Example]]:
    """Examples that are trained on, and those that are too long to be cut: a transcript is of the whole."""
    if config.task != "transcribe":
        return list(found), []
    # Said slowly, it takes longer.
    longest = config.longest * min(1.0, *config.speed_list)
    short = [each for each in found if each.recording.seconds <= longest]
    if not short:
        raise UserError(
            f"{redact(found[0].recording.source)}: labels: all {counted(len(found), 'recording')} are longer than "
            f"--longest {config.longest:g} s; cut them into utterances, or raise --longest"
        )
    return short, [each for each in found if each.recording.seconds > longest]


def _heard_whole(found: Sequence[Example], config: TrainConfig) -> tuple[list[Example], list[Example]]:
    """Examples that are validated on, and those too long to be heard whole: a transcript is of the whole.

    Raises:
        UserError: all are too long.
    """
    if config.task != "transcribe":
        return list(found), []
    short = [each for each in found if each.recording.seconds <= LONGEST_WHOLE]
    if found and not short:
        source = config.validate or found[0].recording.source
        raise UserError(
            f"{redact(source)}: all {counted(len(found), 'recording')} to validate on are longer than "
            f"{LONGEST_WHOLE:g} s, and each is heard in one piece; cut them, name others with --validate, or do "
            "without with --validation-share 0"
        )
    return short, [each for each in found if each.recording.seconds > LONGEST_WHOLE]


def _by_recording(example: Example) -> str:
    return example.recording.recording


def _by_speaker(example: Example) -> str:
    return str(example.label)


def _words(labelled: Sequence[Example], base: Config, config: TrainConfig) -> _Meaning:
    wrong = next((each for each in labelled if not isinstance(each.label, str)), None)
    if wrong:
        raise ValueError(f"{wrong.recording.id} must have text, got {wrong.label!r:.60}")
    settings = {"ctc_loss_reduction": "mean", "ctc_zero_infinity": True}
    if start.head_in(base) == "ctc" and not config.new_head and not config.from_scratch:
        return _Meaning(Words(Tokenizer.load(checkpoint.resolve(config.model))), True, settings)
    tokenizer = letters_of(each.label for each in labelled)
    vocabulary = {"vocab_size": len(tokenizer.tokens), "pad_token_id": tokenizer.blank_id}
    return _Meaning(Words(tokenizer), False, {**settings, **vocabulary, "bos_token_id": None, "eos_token_id": None})


def _classes(labelled: Sequence[Example], base: Config, config: TrainConfig) -> _Meaning:
    space = space_of_classes([each.label for each in labelled])
    if isinstance(space, Numbers):
        return _named(space, base, config, "regression")
    return _named(space, base, config, "multi_label_classification" if space.several else "single_label_classification")


def _frames(labelled: Sequence[Example], base: Config, config: TrainConfig) -> _Meaning:
    background = None if config.background == "none" else config.background
    space = space_of_frames([each.label for each in labelled], background)
    if len(space.names) < 2:
        raise ValueError(
            f"all frames are {', '.join(space.names) or 'without a class'}; label a second class, or give the frames "
            "that no stretch covers one with --background silence"
        )
    return _named(space, base, config, "single_label_classification")


def _speakers(train: Sequence[Example], base: Config, config: TrainConfig) -> _Meaning:
    speeds = config.speed_list if config.speed_speakers else (1.0,)
    space = space_of_speakers([each.label for each in train], speeds)
    # The vectors of the classes are for training only: speakers may be others than those of the checkpoint.
    keeps = start.head_in(base) == "xvector" and not config.new_head
    return _Meaning(space, keeps, start.changes_for_labels(space.names, problem_type=None))


def _named(space: Any, base: Config, config: TrainConfig, problem_type: str) -> _Meaning:
    """Keep a head of the same kind if it has all classes, in its own order; of numbers, if it gives one."""
    changes = start.changes_for_labels(space.names, problem_type=problem_type)
    if start.head_in(base) != config.head or config.new_head or config.from_scratch:
        return _Meaning(space, False, changes)
    if isinstance(space, Numbers):
        if len(base.labels) != 1:
            raise ValueError(
                f"are numbers, and the checkpoint's head tells {', '.join(base.labels[:8])}; make a new one with "
                "--new-head"
            )
        space = Numbers(base.labels)
    unknown = sorted(set(space.names) - set(base.labels))
    if unknown:
        raise ValueError(
            f"the checkpoint's head knows no class {unknown[0]!r}, only {', '.join(base.labels[:8])}; "
            "make a new one with --new-head"
        )
    kept = replace(space, names=base.labels)
    return _Meaning(kept, True, start.changes_for_labels(base.labels, problem_type=problem_type))


_MEANINGS: Mapping[Kind, Callable[[Sequence[Example], Config, TrainConfig], _Meaning]] = {
    "transcribe": _words,
    "classify": _classes,
    "frames": _frames,
    "embed": _speakers,
}


def _check(chosen: Sequence[Example], space: Space) -> None:
    """Refuse labels that cannot be learnt, the first with its place.

    Raises:
        UserError: names recording, stage and remedy.
    """
    wrong = [(each, problem) for each in chosen if (problem := space.check(each.label))]
    if wrong:
        example, problem = wrong[0]
        more = f" ({counted(len(wrong), 'recording')} like it)" if len(wrong) > 1 else ""
        raise UserError(
            f"{redact(example.recording.source)}: labels: {example.recording.id} {problem}{more}; "
            "mend the labels, or make head and vocabulary new with --new-head"
        )
