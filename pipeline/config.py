"""What one run is asked to do: every field is an option of the command line, a keyword in Python and a line of YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline import options as reading
from pipeline.errors import UserError
from pipeline.options import flag, option
from pipeline.quantities import parse_bytes, parse_count, parse_list, parse_seconds, parse_share

Device = Literal["auto", "cuda", "cpu"]
Features = Literal["float64", "float32", "device"]
Overlap = Literal["warn", "refuse"]
ShareActor = Literal["auto", "always", "never"]
Compile = Literal["never", "blocks", "graphs"]
Dtype = Literal["auto", "float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, as the user asked for it; sizes are bytes, times are seconds."""

    corpus: str | None = option(
        "what to read", "name that starts every id: ids then survive a move of the source; default: the source's URI",
        default=None, metavar="NAME",
    )  # fmt: skip
    columns: str = option(
        "what to read", "fields of the metadata that become typed columns, as speaker:string,year:int32",
        default="", metavar="SPEC",
    )  # fmt: skip
    model: str = option(
        "what to run",
        "checkpoint: a Hugging Face folder or hub id (needed)",
        default="",
        metavar="DIR_OR_HUB_ID",
        of=("transcribe", "classify", "frames", "embed"),
    )
    window: float = option(
        "what to run", "longest stretch of audio that the model sees at once; longer recordings are cut and stitched",
        default=10.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    context: float = option(
        "what to run", "audio on each side of a cut that the model sees and whose output is dropped",
        default=1.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    features: Features = option(
        "what to run",
        "what computes the features: CPUs in float64, or in float32 (hardly faster, and other where bands hold only "
        "rounding noise), or the model's device, in float64, which leaves CPUs nothing but to decode",
        default="float64",
    )
    dtype: Dtype = option(
        "what to run",
        "precision of the model; auto is bfloat16 on a GPU, float32 on a CPU; int8, for CPUs, is faster and less exact",
        default="auto",
    )
    task: tuple[str, ...] = option(
        "what to run",
        "KIND=MODEL or KIND:NAME=MODEL, repeated: transcribe, classify, frames or embed, a checkpoint for it, and the "
        "name of its folder below OUTPUT",
        default=(), parse=parse_list, metavar="KIND=MODEL", of=("label",),
    )  # fmt: skip
    top: int = option(
        "what to run", "classes listed in the column `scores`", default=5, metavar="N", of=("classify", "label")
    )
    threshold: float = option(
        "what to run", "probability that a label reaches somewhere in each of its spans",
        default=0.5, parse=parse_share, metavar="SHARE", of=("frames", "embed", "label"),
    )  # fmt: skip
    release: float = option(
        "what to run", "probability below which a span ends",
        default=0.35, parse=parse_share, metavar="SHARE", of=("frames", "embed", "label"),
    )  # fmt: skip
    min_duration: float = option(
        "what to run", "spans that are shorter are dropped",
        default=0.1, parse=parse_seconds, metavar="TIME", of=("frames", "embed", "label"),
    )  # fmt: skip
    min_gap: float = option(
        "what to run", "shorter gaps between two spans of one label are closed",
        default=0.1, parse=parse_seconds, metavar="TIME", of=("frames", "embed", "label"),
    )  # fmt: skip
    background: str | None = option(
        "what to run", "class of which no spans are made; default: the one called silence, none or the like",
        default=None, metavar="CLASS", of=("frames", "embed", "label"),
    )  # fmt: skip
    probabilities: bool = option(
        "what to run", "keep the probabilities of every frame too, as float16, of rows up to an hour",
        default=False, of=("frames", "label"),
    )  # fmt: skip
    speech: str = option(
        "what to run",
        "what says where speech is that is embedded: a checkpoint of frame labels, the name of a --task frames of this "
        "run, or all (everything is speech, unless a task has that name); default: the small speech-frames that "
        "comes with Voxmill",
        default="", metavar="DIR_OR_HUB_ID", of=("embed", "label"),
    )  # fmt: skip
    min_segment: float = option(
        "what to run", "speech in shorter pieces gets no vector",
        default=1.5, parse=parse_seconds, metavar="TIME", of=("embed", "label"),
    )  # fmt: skip
    max_segment: float = option(
        "what to run", "longer speech is cut into equal segments",
        default=10.0, parse=parse_seconds, metavar="TIME", of=("embed", "label"),
    )  # fmt: skip
    name: str | None = option(
        "where to write", "folder below OUTPUT for this task's rows, another for other labels beside; "
        "default: the name of the task",
        default=None, metavar="NAME", of=("transcribe", "classify", "frames", "embed"),
    )  # fmt: skip
    dry_run: bool = option(
        "where to write", "list and plan only: say what a run would do, write nothing", default=False
    )
    device: Device = option(
        "resources", "where the model runs; auto is the GPUs of the cluster, or the CPU of a local Ray without GPUs",
        default="auto",
    )  # fmt: skip
    gpus: float | None = option(
        "resources", "GPUs to use; asks an autoscaler for them and waits; default: all that the cluster has",
        default=None, parse=parse_count, metavar="N",
    )  # fmt: skip
    gpus_per_actor: float = option(
        "resources", "share of a GPU that each model actor gets", default=1.0, parse=parse_count, metavar="N"
    )
    share_actor: ShareActor = option(
        "resources", "whether models of different encoders run in one actor; auto: where their weights fit its GPU",
        default="auto", of=("embed", "label"),
    )  # fmt: skip
    model_actors: int | None = option(
        "resources", "model actors; default: from the cluster's size", default=None, metavar="N"
    )
    feature_actors: int | None = option(
        "resources", "CPU actors that decode and compute features; default: from the cluster's size",
        default=None, metavar="N",
    )  # fmt: skip
    read_tasks: int | None = option(
        "resources",
        "units read from storage at once; default: from the cluster's size",
        default=None,
        metavar="N",
    )
    address: str | None = option(
        "resources", "Ray cluster to join; default: RAY_ADDRESS, else a local Ray that ends with the run",
        default=None, metavar="ADDRESS",
    )  # fmt: skip
    num_cpus: int | None = option(
        "resources", "logical CPUs of a local Ray; default: those of the machine", default=None, metavar="N"
    )
    max_errors: float = option(
        "limits", "share of recordings that may end as an error row before the exit code says 3",
        default=0.05, parse=parse_share, metavar="SHARE",
    )  # fmt: skip
    exit_zero_on_errors: bool = option(
        "limits", "exit with 0 instead of 3, for schedulers that would repeat the job", default=False
    )
    recording_timeout: float = option(
        "limits", "recordings of a file that takes longer to decode end as error rows",
        default=600.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    recording_memory: int = option(
        "limits", "recordings of a file that takes more memory to decode end as error rows",
        default=8_000_000_000, parse=parse_bytes, metavar="SIZE",
    )  # fmt: skip
    batch_timeout: float = option(
        "limits", "a worker that has the model at one batch for longer is ended; recordings that cause it again and "
        "again end as error rows",
        default=600.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    stall_timeout: float = option(
        "limits", "end with code 4 when no unit has moved in any stage for this long, a minute more than a recording "
        "or a batch may take; says which stage holds it",
        default=1800.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    overlap: Overlap = option(
        "limits",
        "where another run is at work on OUTPUT: warn, for no unit is committed twice, or refuse, with exit code 2",
        default="warn",
    )
    log_every: float = option(
        "display", "time between log lines where the output is no terminal",
        default=30.0, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    debug: bool = option("display", "show tracebacks and the libraries' own messages", default=False)
    compile: Compile = option(
        "advanced",
        "blocks: those of the model are compiled when it starts, which takes a minute and a C++ compiler; graphs: on a "
        "GPU passes over batches of equal size are replayed too; tests/benchmarks/gpu.py tells whether they are faster",
        default="never",
    )
    unit_seconds: float | None = option(
        "advanced", "audio in one unit; default: from 1 minute to 2 hours, growing with the corpus",
        default=None, parse=parse_seconds, metavar="TIME",
    )  # fmt: skip
    unit_bytes: int = option(
        "advanced", "encoded bytes in one unit", default=256_000_000, parse=parse_bytes, metavar="SIZE"
    )
    frame_budget: int | None = option(
        "advanced",
        "frames of 20 ms in one batch of the model; default: from the device",
        default=None,
        metavar="N",
    )

    def __post_init__(self) -> None:
        problems = [*_contradictions(self)]
        if problems:
            raise UserError("; ".join(problems))


LONGEST_TIMEOUT = 168 * 3600.0
"""Seconds; timers do not take any number, and nobody waits for a file for more than a week."""

BACK_AGAIN = 60.0
"""Seconds in which a worker that was ended for its time has begun anew with the unit, which is a sign of life."""

_POSITIVE = (
    "window", "gpus_per_actor", "model_actors", "feature_actors", "read_tasks", "unit_seconds", "unit_bytes",
    "frame_budget", "gpus", "num_cpus", "recording_timeout", "recording_memory", "batch_timeout", "stall_timeout",
    "log_every", "top", "min_segment",
)  # fmt: skip


def _contradictions(config: RunConfig) -> list[str]:
    found = [
        f"{flag(name)} must be above 0, got {getattr(config, name)}"
        for name in _POSITIVE
        if getattr(config, name) is not None and getattr(config, name) <= 0
    ]
    found += [
        f"{flag(name)} must be at most {LONGEST_TIMEOUT / 3600:g}h, got {getattr(config, name):g} s"
        for name, more in (("recording_timeout", 0.0), ("batch_timeout", 0.0), ("stall_timeout", BACK_AGAIN))
        if getattr(config, name) > LONGEST_TIMEOUT + more
    ]
    least = max(config.recording_timeout, config.batch_timeout) + BACK_AGAIN
    if config.stall_timeout < least:
        # Else the run would end, again and again, before the recording that holds it ends as an error row.
        found.append(
            f"--stall-timeout must be a minute above --recording-timeout and --batch-timeout, got "
            f"{config.stall_timeout:g} s; give it {least:g}s, or those less"
        )
    if not 0 <= config.context * 2 < config.window:
        found.append(f"--context must be below half of --window, got {config.context:g} s and {config.window:g} s")
    for name in ("max_errors", "threshold", "release"):
        if wrong := reading.no_share(name, getattr(config, name)):
            found.append(wrong)
    if config.name is not None and not plain_name(config.name):
        found.append(f"--name must be {PLAIN_NAME}, got {config.name!r}")
    if config.compile != "never" and config.dtype == "int8":
        found.append(f"--compile {config.compile} and --dtype int8 do not go together; leave one of them out")
    if config.gpus is not None and config.device == "cpu":
        found.append(f"--gpus {config.gpus:g} and --device cpu do not go together; leave one of them out")
    if config.release > config.threshold:
        found.append(f"--release must be at most --threshold, got {config.release:g} and {config.threshold:g}")
    if config.max_segment < 2 * config.min_segment:
        # Else equal parts of a long stretch could be shorter than the shortest.
        found.append(
            f"--max-segment must be at least twice --min-segment, got {config.max_segment:g} s and "
            f"{config.min_segment:g} s"
        )
    for name in ("device", "dtype", "features", "overlap", "share_actor", "compile"):
        choices = reading.choices_of(RunConfig, name)
        if getattr(config, name) not in choices:
            found.append(f"{flag(name)} must be one of {', '.join(choices)}, got {getattr(config, name)!r}")
    return found


PLAIN_NAME = "a plain folder name: a letter from A to Z or a digit first, then letters, digits, _ . and -"
"""What `plain_name` holds of, in words; folders that begin with `_` are the table's own."""


def plain_name(name: str) -> bool:
    """Whether it can be the folder of a task."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) is not None


def make(options: Mapping[str, Any], *, kind: str | None = None) -> RunConfig:
    """Configuration from keywords, as `pipeline.transcribe` and the command line give them.

    Args:
        options: by the name of their field.
        kind: of the job that they are for, `label` for several tasks; None takes them all.

    Raises:
        UserError: an unknown option or a value that cannot be meant, with the nearest option's name.
    """
    if kind is not None:
        reading.check_served(RunConfig, options, kind)
    return reading.make(RunConfig, options)
