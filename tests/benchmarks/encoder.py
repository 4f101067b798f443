"""Speed and memory of the encoder against transformers, same weights and features, in one run.

The other side is transformers as it is called by default: `sdpa`, padded batches of 16 in the order of the corpus;
beside it the same sorted by length. Ours are packed batches at the default frame budget. The forms take turns, and
each ratio is of the best of their rounds, so that a busy machine disturbs both alike. bfloat16 is measured where the
CPU has instructions for it, and int8 against our float32.

The real depth has eight times as many blocks as the default. There, a few batches of the sorted corpus must do:

    python tests/benchmarks/encoder.py --layers 24 --batches 1 --orders sorted --precisions float32 --parts corpus

On a machine that others use, `--threads 1 --cpu-time` counts what the process gets of it.

Then, for recordings of 10 and 20 s: which share of the cores' rate at large fp32 matrix products the encoder reaches,
all its products counted and their time compared with the whole; and for one recording of 60 s, in a process for each
side, what the memory of the process rises to while the encoder runs.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC
from transformers.utils import logging as transformers_logging

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipeline import models  # noqa: E402
from pipeline.audio import Window  # noqa: E402
from pipeline.corpus import FRAMES_PER_SECOND  # noqa: E402
from pipeline.models.layout import Packed  # noqa: E402
from pipeline.models.predict import Predictor, default_frame_budget  # noqa: E402
from pipeline.models.wants import Slice, Want  # noqa: E402
from tests import speech  # noqa: E402
from tests.benchmarks.operations import operations  # noqa: E402

BATCH = 16
FIXED_SECONDS = (10, 30, 60)
ORDERS = ("corpus order", "sorted")
PARTS = ("corpus", "fixed", "share", "memory")
Tokens = list[np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="times each form runs; the best counts")
    parser.add_argument("--layers", type=int, default=3, help="blocks of the full-width encoder")
    parser.add_argument("--utterances", type=int, default=300, help="LibriSpeech lengths for the full-width encoder")
    parser.add_argument("--batches", type=int, help="only so many batches of these, evenly spread over the sorted ones")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds; with one thread")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--fixed", nargs="*", type=int, default=FIXED_SECONDS, help="also recordings so long, s")
    parser.add_argument("--orders", nargs="+", choices=ORDERS, default=ORDERS, help="in which transformers batches")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured")
    parser.add_argument("--budgets", action="store_true", help="also time other frame budgets, in float32")
    parser.add_argument("--peak", choices=PEAKS, help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cpu_time and options.threads != 1:
        parser.error("--cpu-time needs --threads 1: threads that wait for each other use the CPU too")
    torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if options.peak:
        print_peak(options.peak, options.checkpoint)
    else:
        measure(options)


def measure(options: argparse.Namespace) -> None:
    """Make a checkpoint, and print all figures."""
    if not _has_bfloat16():
        options.precisions = [each for each in options.precisions if each != "bfloat16"]
    print(
        f"torch {torch.__version__}, {options.threads} threads of {os.cpu_count()} CPUs, full width with "
        f"{options.layers} layers; {'CPU' if options.cpu_time else 'wall'} times are the best of {options.rounds}"
    )
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        Wav2Vec2BertForCTC(Wav2Vec2BertConfig(num_hidden_layers=options.layers, vocab_size=32)).save_pretrained(folder)
        for title, lengths in corpora(options).items():
            compare(title, Path(folder), lengths, options)
        for seconds in (10, 20) if "share" in options.parts else ():
            share_of_matrix_rate(Path(folder), seconds)
        if "memory" in options.parts:
            compare_peaks(Path(folder), options.threads)


def corpora(options: argparse.Namespace) -> dict[str, list[int]]:
    """Frames of each recording, by a title."""
    utterances = librispeech_lengths(options.utterances)
    chosen = spread(utterances, options.batches) if options.batches else utterances
    found = {"LibriSpeech test-other": chosen} if "corpus" in options.parts else {}
    # As much audio in each batch as 16 of 10 s: sixteen of 60 s would take the others 28 GB for their scores.
    fixed = {f"{s} s each": [s * FRAMES_PER_SECOND] * max(2, 10 * BATCH // s) for s in options.fixed}
    return found | (fixed if "fixed" in options.parts else {})


def compare(title: str, checkpoint: Path, lengths: Sequence[int], options: argparse.Namespace) -> None:
    """Time all forms over one corpus and print a table of ratios."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((sum(lengths), 160), dtype=np.float32)
    stops = np.cumsum(lengths)
    slices = [(int(stop - length), int(stop)) for stop, length in zip(stops, lengths, strict=True)]
    longest_first = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    forms: dict[str, Callable[[], Tokens]] = {}
    for precision in options.precisions:
        if precision != "int8":
            reference = theirs(checkpoint, getattr(torch, precision))
            orders = {"corpus order": range(len(lengths)), "sorted": longest_first}
            for order in options.orders if len(set(lengths)) > 1 else ["corpus order"]:
                forms[f"transformers, {precision}, {order}"] = partial(
                    padded, reference, features, slices, orders[order]
                )
        model = ours(checkpoint, precision)
        budget = default_frame_budget(model)
        several = options.budgets and precision == "float32"
        for size in [budget // 4, budget // 2, budget, budget * 2, budget * 4] if several else [budget]:
            named = f"voxmill, {precision}" + f", {size} frames" * several
            forms[named] = partial(packed, Predictor({"ctc": model}, frame_budget=size), features, slices)
    seconds, tokens = timed(forms, options.rounds, time.process_time if options.cpu_time else time.perf_counter)
    report(title, lengths, seconds, tokens)


def theirs(checkpoint: Path, dtype: torch.dtype) -> torch.nn.Module:
    """Transformers' model at its default on this machine."""
    return Wav2Vec2BertForCTC.from_pretrained(checkpoint, attn_implementation="sdpa", dtype=dtype).eval()


def ours(checkpoint: Path, precision: str) -> models.Model:
    """The same weights here, as the job runs them."""
    if precision == "int8":
        return models.prepack(models.quantise(models.load(checkpoint)))
    return models.prepack(models.load(checkpoint, dtype=getattr(torch, precision)))


def padded(reference: torch.nn.Module, features: np.ndarray, slices: Sequence[Slice], order: Sequence[int]) -> Tokens:
    """Best token of every frame, in batches of 16 as transformers pads them."""
    tokens: dict[int, np.ndarray] = {}
    dtype = next(reference.parameters()).dtype
    for first in range(0, len(order), BATCH):
        members = order[first : first + BATCH]
        parts = [torch.from_numpy(features[slice(*slices[i])]) for i in members]
        inputs = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
        mask = (torch.arange(inputs.shape[1]) < torch.tensor([len(part) for part in parts])[:, None]).long()
        with torch.inference_mode():
            best = reference(inputs.to(dtype), attention_mask=mask).logits.argmax(-1)
        for row, (i, part) in enumerate(zip(members, parts, strict=True)):
            tokens[i] = best[row, : len(part)].numpy()
    return [tokens[i] for i in range(len(slices))]


def packed(predictor: Predictor, features: np.ndarray, slices: Sequence[Slice]) -> Tokens:
    """Best token of every frame, packed."""
    recordings = [(Window(start, stop, start, stop),) for start, stop in slices]
    best = Want("ctc", lambda output: (output.logits.argmax(-1),))
    return [tokens for (tokens,) in predictor.run(features, recordings, {"ctc": best})["ctc"]]


def timed(
    forms: dict[str, Callable[[], Tokens]], rounds: int, clock: Callable[[], float]
) -> tuple[dict[str, float], dict[str, Tokens]]:
    """Let the forms take turns: best seconds and the tokens of each."""
    seconds = dict.fromkeys(forms, float("inf"))
    tokens = {}
    for _ in range(rounds):
        for name, form in forms.items():
            start = clock()
            tokens[name] = form()
            spent = clock() - start
            seconds[name] = min(seconds[name], spent)
            print(f"  ({name}: {spent:.0f} s)", file=sys.stderr, flush=True)
    return seconds, tokens


def report(title: str, lengths: Sequence[int], seconds: dict[str, float], tokens: dict[str, Tokens]) -> None:
    """Print seconds, real-time factors, and how much faster each of ours is than the others of its precision."""
    audio = sum(lengths) / FRAMES_PER_SECOND
    in_order = [lengths[i : i + BATCH] for i in range(0, len(lengths), BATCH)]
    print(f"\n{title}: {len(lengths)} utterances, {audio:.0f} s; padding in corpus order {padding(in_order):.0%}")
    exact = next(iter(seconds))
    for name, spent in seconds.items():
        same = sum(np.sum(a == b) for a, b in zip(tokens[name], tokens[exact], strict=True)) / sum(lengths)
        print(f"  {name:38} {spent:7.2f} s  {audio / spent:6.1f} x real time  tokens equal {same:.2%}")
    for name, spent in seconds.items():
        precision = name.split(", ")[1]
        against = [other for other in seconds if other.startswith(f"transformers, {precision}")]
        against += ["voxmill, float32"] * (precision != "float32" and "voxmill, float32" in seconds)
        for other in against if name.startswith("voxmill") else []:
            print(f"  ratio {name} / {other}: {seconds[other] / spent:.2f}")


def padding(batches: Sequence[Sequence[int]]) -> float:
    """Share of the computed frames that is padding where each batch is padded to its longest document."""
    padded = sum(max(lengths) * len(lengths) for lengths in batches)
    return 1 - sum(map(sum, batches)) / padded


def librispeech_lengths(count: int) -> list[int]:
    """Frames of LibriSpeech test-other utterances, in the order of the corpus, repeated where there are fewer."""
    with open(speech.FOLDER / "librispeech.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if "/test-other/" in row["path"]]
    lengths = [round(float(row["seconds"]) * FRAMES_PER_SECOND) for row in rows]
    return [lengths[i % len(lengths)] for i in range(count)]


def spread(lengths: Sequence[int], count: int) -> list[int]:
    """Some of the batches that the sorted lengths make, none of them the shortest or the longest."""
    ordered = sorted(lengths, reverse=True)
    batches = [ordered[first : first + BATCH] for first in range(0, len(ordered) - BATCH + 1, BATCH)]
    return [length for i in range(count) for length in batches[len(batches) * (2 * i + 1) // (2 * count)]]


def share_of_matrix_rate(checkpoint: Path, seconds: int) -> None:
    """Print operations a second of either encoder on one recording, as a share of what a large product reaches."""
    frames = seconds * FRAMES_PER_SECOND
    features = torch.randn(1, frames, 160)
    model, reference = ours(checkpoint, "float32"), theirs(checkpoint, torch.float32)
    left, right = torch.randn(frames, 1024), torch.randn(1024, 4096)
    forms: dict[str, Callable[[], object]] = {
        "product": lambda: left @ right,
        "voxmill": lambda: model.forward_packed(features[0], Packed((frames,))).logits,
        "transformers": lambda: reference(features).logits,
    }
    best = dict.fromkeys(forms, float("inf"))
    with torch.inference_mode():
        for _ in range(6):
            for name, form in forms.items():
                start = time.perf_counter()
                form()
                best[name] = min(best[name], time.perf_counter() - start)
    peak = 2 * frames * 1024 * 4096 / best["product"]
    shares = {name: operations(model.config, frames) / best[name] / peak for name in ("voxmill", "transformers")}
    print(
        f"\nshare of the fp32 matrix rate, one recording of {seconds} s ({peak / 1e9:.0f} GFLOP/s): "
        f"voxmill {shares['voxmill']:.0%}, transformers {shares['transformers']:.0%}"
    )


def our_peak(checkpoint: Path) -> Callable[[torch.Tensor], object]:
    model = ours(checkpoint, "float32")
    return lambda features: model.forward_packed(features, Packed((len(features),))).logits


def their_peak(checkpoint: Path) -> Callable[[torch.Tensor], object]:
    reference = theirs(checkpoint, torch.float32)
    return lambda features: reference(features[None]).logits


PEAKS = {"voxmill": our_peak, "transformers": their_peak}


def print_peak(side: str, checkpoint: Path) -> None:
    """Print the bytes that the process rises by while the encoder runs over 60 s."""
    process = psutil.Process()
    run = PEAKS[side](checkpoint)
    with torch.inference_mode():
        # Until they are first used, the pages of a mapped file do not count.
        run(torch.randn(FRAMES_PER_SECOND, 160))
    before = process.memory_info().rss
    # Linux: from here on the high-water mark counts anew.
    Path("/proc/self/clear_refs").write_text("5")
    with torch.inference_mode():
        run(torch.randn(60 * FRAMES_PER_SECOND, 160))
    high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(high.split()[1]) * 1024 - before)


def compare_peaks(checkpoint: Path, threads: int) -> None:
    """Print what either side's process rises by, and the ratio."""
    command = [sys.executable, str(Path(__file__).resolve()), "--checkpoint", str(checkpoint)]
    command += ["--threads", str(threads), "--peak"]
    rises = {
        side: int(subprocess.run([*command, side], stdout=subprocess.PIPE, text=True, check=True).stdout)
        for side in PEAKS
    }
    print(
        f"\nmemory for one recording of 60 s, beside the weights: voxmill {rises['voxmill'] / 2**20:.0f} MiB, "
        f"transformers {rises['transformers'] / 2**20:.0f} MiB, ratio 1/{rises['transformers'] / rises['voxmill']:.1f}"
    )


def _has_bfloat16() -> bool:
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text()


if __name__ == "__main__":
    main()
