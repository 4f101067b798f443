"""What one training is asked to do: every field is an option of the command line and a keyword in Python."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pipeline import options
from pipeline.errors import UserError
from pipeline.models import Head
from pipeline.options import flag, option
from pipeline.quantities import parse_bytes, parse_count, parse_seconds, parse_share
from pipeline.tasks import TASKS, Kind
from pipeline.training.augment import Recipe
from pipeline.training.schedule import Decay

LABEL_FIELDS: Mapping[Kind, str] = {"transcribe": "text", "classify": "label", "frames": "frames", "embed": "speaker"}
"""Where labels are looked for where nothing else is said."""


def parse_number(text: str | float) -> float:
    """Number of any sign in `-3`, `1e-4` or `0.5`."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        raise ValueError(f"{text!r} is no number; write it as 0.5 or 1e-4") from None
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is no finite number")
    return number


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training, as the user asked for it; times are seconds."""

    model: str = option(
        "what to train",
        "checkpoint to start from: a Hugging Face folder or hub id, with any head or none (needed)",
        default="", metavar="DIR_OR_HUB_ID",
    )  # fmt: skip
    task: Kind = option(
        "what to train",
        "transcribe: words; classify: classes or a number; frames: a class a frame; embed: an x-vector a speaker",
        default="transcribe",
    )
    from_scratch: bool = option(
        "what to train", "start from random weights: --model is then a folder with nothing but a config.json",
        default=False,
    )  # fmt: skip
    new_head: bool = option(
        "what to train", "make head and vocabulary or classes new, even where the checkpoint has them", default=False
    )
    model_config: str = option(
        "what to train", "fields of config.json to change, as hidden_dropout=0.1,use_weighted_layer_sum=true",
        default="", metavar="SPEC",
    )  # fmt: skip
    freeze_encoder: bool = option("what to train", "train the head alone; the encoder stays bit for bit", default=False)
    label_field: str = option(
        "labels", "field of the manifest, the sidecar or the table that holds the label; "
        "default: text, label, frames or speaker, by the task",
        default="", metavar="NAME",
    )  # fmt: skip
    labels_from: str = option(
        "labels", "of a source that is a table: task whose rows hold the labels; default: transcribe, or the only one",
        default="", metavar="NAME",
    )  # fmt: skip
    background: str = option(
        "labels", "frames: class of the frames that no stretch covers; none: they count nothing",
        default="none", metavar="NAME",
    )  # fmt: skip
    validate: str = option(
        "validation", "source to validate on; default: a share of the examples, for embed of the speakers",
        default="", metavar="SOURCE",
    )  # fmt: skip
    validation_share: float = option(
        "validation", "share of the examples that is held out where no source is named",
        default=0.05, parse=parse_share, metavar="SHARE",
    )  # fmt: skip
    validate_every: int = option("validation", "epochs between validations", default=1, metavar="N")
    validation_segment: float = option(
        "validation", "embed: length of the segments that are compared",
        default=3.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    keep: Literal["best", "last"] = option(
        "validation", "which weights become the result: those that validated best, or the last", default="best"
    )
    epochs: float = option("learning", "times that every example is seen", default=10.0, parse=parse_count, metavar="N")
    learning_rate: float = option(
        "learning", "of the layers that learn fastest", default=1e-4, parse=parse_number, metavar="RATE"
    )
    layer_decay: float = option(
        "learning", "each block learns this much slower than the one above it",
        default=1.0, parse=parse_number, metavar="FACTOR",
    )  # fmt: skip
    warmup: float = option(
        "learning", "share of the training in which the learning rate rises", default=0.1, parse=parse_share,
        metavar="SHARE",
    )  # fmt: skip
    decay: Decay = option("learning", "how the learning rate falls afterwards", default="linear")
    weight_decay: float = option(
        "learning", "AdamW's decay of matrices", default=0.01, parse=parse_number, metavar="FACTOR"
    )
    clip: float = option(
        "learning", "longest gradient; a longer one is shortened", default=1.0, parse=parse_number, metavar="NORM"
    )
    average: float = option(
        "learning", "decay of a running mean of the weights that is validated and saved in their place; 0: none",
        default=0.0, parse=parse_share, metavar="SHARE",
    )  # fmt: skip
    frame_budget: int = option("learning", "frames of 20 ms in one batch of one worker", default=6000, metavar="N")
    accumulate: int = option("learning", "batches of one step", default=1, metavar="N")
    longest: float = option(
        "learning", "longest stretch that is trained on: of a longer recording a random one; transcribe leaves it out",
        default=20.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    segment_from: float = option(
        "learning", "embed: shortest stretch of the encoder's output that is pooled",
        default=1.5, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    segment_to: float = option(
        "learning", "embed: longest such stretch", default=10.0, parse=parse_seconds, metavar="TIME"
    )
    scale: float = option(
        "learning", "embed: factor of AM-Softmax's cosines", default=30.0, parse=parse_number, metavar="FACTOR"
    )
    margin: float = option("learning", "embed: AM-Softmax's margin", default=0.2, parse=parse_number, metavar="COSINE")
    margin_warmup: float = option(
        "learning", "embed: share of the training in which the margin rises; too soon, and all vectors become one",
        default=0.4, parse=parse_share, metavar="SHARE",
    )  # fmt: skip
    seed: int = option("learning", "of everything that is drawn at random", default=0, metavar="N")
    speeds: str = option(
        "augmentation", "speeds to draw from, as 0.9,1,1.1; pitch follows", default="1", metavar="LIST"
    )
    speed_speakers: bool = option("augmentation", "embed: a speaker at another speed is another speaker", default=False)
    noise: float = option(
        "augmentation", "share of the examples with noise or babble", default=0.0, parse=parse_share, metavar="SHARE"
    )
    babble: float = option(
        "augmentation", "share of that noise that is others talking; 0 where --task frames learns what speech is",
        default=0.3, parse=parse_share, metavar="SHARE",
    )  # fmt: skip
    snr_from: float = option(
        "augmentation", "least decibels of speech above the noise", default=5.0, parse=parse_number, metavar="DB"
    )
    snr_to: float = option("augmentation", "most of them", default=30.0, parse=parse_number, metavar="DB")
    filters: float = option(
        "augmentation", "share through a random channel", default=0.0, parse=parse_share, metavar="SHARE"
    )
    channel_db: float = option(
        "augmentation", "how much a channel's gains differ, standard deviation",
        default=8.0, parse=parse_number, metavar="DB",
    )  # fmt: skip
    reverb: float = option("augmentation", "share in a room", default=0.0, parse=parse_share, metavar="SHARE")
    telephone: float = option(
        "augmentation", "share that loses all above 4 kHz", default=0.0, parse=parse_share, metavar="SHARE"
    )
    variants: int = option(
        "augmentation", "changed copies of each example, made once as far as --cache goes; 0: made anew in every epoch",
        default=0, metavar="N",
    )  # fmt: skip
    gain: float = option(
        "augmentation", "most that the loudness is changed", default=0.0, parse=parse_number, metavar="DB"
    )
    checkpoint_every: float = option(
        "where to write", "time between checkpoints, from which the same command goes on",
        default=300.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    restart: bool = option("where to write", "forget what OUTPUT holds of an earlier training", default=False)
    workers: int | None = option(
        "resources", "workers that share each step; default: one a GPU, one on a CPU", default=None, metavar="N"
    )
    device: Literal["auto", "cuda", "cpu"] = option(
        "resources", "where the model is trained; auto is the GPUs of the cluster, if it has any", default="auto"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = option(
        "resources", "arithmetic of the model; auto is bfloat16 on a GPU, float32 on a CPU; weights are float32",
        default="auto",
    )  # fmt: skip
    address: str | None = option(
        "resources", "Ray cluster to join; default: RAY_ADDRESS, else a local Ray that ends with the training",
        default=None, metavar="ADDRESS",
    )  # fmt: skip
    num_cpus: int | None = option(
        "resources", "logical CPUs of a local Ray; default: those of the machine", default=None, metavar="N"
    )
    without_ray: bool = option("resources", "train in this process, on one device", default=False)
    threads: int | None = option(
        "resources", "threads of a worker's arithmetic on a CPU; default: PyTorch's choice", default=None, metavar="N"
    )
    loaders: int | None = option(
        "resources", "threads that prepare audio ahead; default: 4 a GPU, none on a CPU", default=None, metavar="N"
    )
    cache: int = option(
        "resources", "decoded audio and --variants that a worker keeps in memory; what does not fit is made each time",
        default=4_000_000_000, parse=parse_bytes, metavar="SIZE",
    )  # fmt: skip
    stop_after: float | None = option(
        "limits", "end with a checkpoint and code 4 after this time; the same command goes on",
        default=None, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    max_errors: float = option(
        "limits", "share of recordings that may be unreadable or without a label before the exit code says 3",
        default=0.05, parse=parse_share, metavar="SHARE",
    )  # fmt: skip
    log_every: float = option(
        "display", "time between lines of progress", default=30.0, parse=parse_seconds, metavar="TIME"
    )
    debug: bool = option("display", "show tracebacks and the libraries' own messages", default=False)

    def __post_init__(self) -> None:
        problems = [*_problems(self)]
        if problems:
            raise UserError("; ".join(problems))

    @property
    def head(self) -> Head:
        """What stands on the encoder."""
        return cast(Head, TASKS[self.task].head)

    @property
    def field(self) -> str:
        """Where labels are looked for."""
        return self.label_field or LABEL_FIELDS[self.task]

    @property
    def speed_list(self) -> tuple[float, ...]:
        """Speeds to draw from."""
        return tuple(float(each) for each in self.speeds.split(","))

    @property
    def recipe(self) -> Recipe:
        """How audio is changed."""
        return Recipe(
            noise=self.noise, babble=self.babble, snr=(self.snr_from, self.snr_to), filters=self.filters,
            channel_db=self.channel_db, reverb=self.reverb, telephone=self.telephone, gain=self.gain,
        )  # fmt: skip


_POSITIVE = (
    "epochs", "learning_rate", "layer_decay", "clip", "frame_budget", "accumulate", "longest", "segment_from", "scale",
    "workers", "num_cpus", "threads", "validate_every", "validation_segment", "stop_after", "log_every",
)  # fmt: skip
_NOT_NEGATIVE = (
    "weight_decay",
    "margin",
    "gain",
    "channel_db",
    "seed",
    "loaders",
    "checkpoint_every",
    "cache",
    "variants",
)
_SHARES = (
    *("validation_share", "warmup", "margin_warmup", "average", "max_errors"),
    *("noise", "babble", "filters", "reverb", "telephone"),
)  # fmt: skip
SLOWEST, FASTEST = 0.5, 2.0
"""Speeds beyond which speech is none any more."""


def _problems(config: TrainConfig) -> Iterator[str]:
    for names, least, words in ((_POSITIVE, math.ulp(0.0), "above 0"), (_NOT_NEGATIVE, 0.0, "at least 0")):
        for name in names:
            value = getattr(config, name)
            if value is not None and value < least:
                yield f"{flag(name)} must be {words}, got {value:g}"
    for name in _SHARES:
        if wrong := options.no_share(name, getattr(config, name)):
            yield wrong
    if not config.segment_from <= config.segment_to:
        yield f"--segment-to must be at least --segment-from, got {config.segment_to:g} s and {config.segment_from:g} s"
    if config.snr_from > config.snr_to:
        yield f"--snr-to must be at least --snr-from, got {config.snr_to:g} dB and {config.snr_from:g} dB"
    if config.average >= 1:
        yield "--average must be below 1: the mean would never move"
    for name in ("task", "keep", "decay", "device", "dtype"):
        choices = options.choices_of(TrainConfig, name)
        if getattr(config, name) not in choices:
            yield f"{flag(name)} must be one of {', '.join(choices)}, got {getattr(config, name)!r}"
    yield from _speed_problems(config.speeds)


def _speed_problems(speeds: str) -> Iterator[str]:
    try:
        found = [float(each) for each in speeds.split(",")]
    except ValueError:
        yield f"--speeds must be numbers with commas, as 0.9,1,1.1, got {speeds!r}"
        return
    if not all(SLOWEST <= each <= FASTEST for each in found):
        yield f"--speeds must be between {SLOWEST:g} and {FASTEST:g}, got {speeds}"


def make(given: Mapping[str, Any]) -> TrainConfig:
    """Configuration from keywords.

    Raises:
        UserError: an unknown option or a value that cannot be meant, with the nearest option's name.
    """
    return options.make(TrainConfig, given)
