"""Speed of the encoder against transformers, one thread, same weights and features, in one run.

The other side is transformers as it is called by default: `sdpa`, padded batches of 16 in the order of the corpus;
beside it the same sorted by length. Ours are packed batches at the default frame budget. The forms take turns, and
each ratio is of the best of their rounds, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC
from transformers.utils import logging as transformers_logging

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipeline import models  # noqa: E402
from pipeline.corpus import FRAMES_PER_SECOND  # noqa: E402
from pipeline.models.predict import Predictor, Slice, default_frame_budget  # noqa: E402
from tests import speech  # noqa: E402

BATCH = 16
Tokens = list[np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="times each form runs; the best counts")
    parser.add_argument("--layers", type=int, default=2, help="blocks of the full-width encoder")
    parser.add_argument("--utterances", type=int, default=32, help="LibriSpeech lengths for the full-width encoder")
    parser.add_argument("--budgets", action="store_true", help="also time other frame budgets")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    print(f"torch {torch.__version__}, {os.cpu_count()} CPUs, 1 thread, fp32; times are the best of {options.rounds}")
    digits = [round(random.Random(i).uniform(2, 5) * FRAMES_PER_SECOND) for i in range(200)]
    compare("digits-ctc, 200 x 2-5 s", ROOT / "pipeline/demo/digits-ctc", digits, options)
    with tempfile.TemporaryDirectory() as folder:
        config = Wav2Vec2BertConfig(num_hidden_layers=options.layers, vocab_size=32)
        Wav2Vec2BertForCTC(config).save_pretrained(folder)
        lengths = librispeech_lengths(options.utterances)
        compare(f"full width, {options.layers} layers, LibriSpeech", Path(folder), lengths, options)


def compare(title: str, checkpoint: Path, lengths: Sequence[int], options: argparse.Namespace) -> None:
    """Time all forms over one corpus and print a table of ratios."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((sum(lengths), 160), dtype=np.float32)
    stops = np.cumsum(lengths)
    slices = [(int(stop - length), int(stop)) for stop, length in zip(stops, lengths, strict=True)]
    model = models.load(checkpoint)
    reference = Wav2Vec2BertForCTC.from_pretrained(checkpoint, attn_implementation="sdpa").eval()
    longest_first = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    budget = default_frame_budget(model)
    budgets = [budget // 4, budget // 2, budget, budget * 2, budget * 4] if options.budgets else [budget]
    forms: dict[str, Callable[[], Tokens]] = {
        "transformers, corpus order": partial(padded, reference, features, slices, range(len(lengths))),
        "transformers, sorted": partial(padded, reference, features, slices, longest_first),
    }
    for size in budgets:
        predictor = Predictor(model, frame_budget=size)
        forms[f"voxmill, {size} frames"] = partial(packed, predictor, features, slices)
    seconds, tokens = timed(forms, options.rounds)
    report(title, lengths, seconds, tokens)


def padded(reference: torch.nn.Module, features: np.ndarray, slices: Sequence[Slice], order: Sequence[int]) -> Tokens:
    """Best token of every frame, in batches of 16 as transformers pads them."""
    tokens: dict[int, np.ndarray] = {}
    for first in range(0, len(order), BATCH):
        members = order[first : first + BATCH]
        parts = [torch.from_numpy(features[slice(*slices[i])]) for i in members]
        inputs = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
        mask = (torch.arange(inputs.shape[1]) < torch.tensor([len(part) for part in parts])[:, None]).long()
        with torch.inference_mode():
            best = reference(inputs, attention_mask=mask).logits.argmax(-1)
        for row, (i, part) in enumerate(zip(members, parts, strict=True)):
            tokens[i] = best[row, : len(part)].numpy()
    return [tokens[i] for i in range(len(slices))]


def packed(predictor: Predictor, features: np.ndarray, slices: Sequence[Slice]) -> Tokens:
    """Best token of every frame, packed."""
    return [tokens for (tokens,) in predictor.run(features, slices, reduce=lambda logits: (logits.argmax(-1),))]


def timed(forms: dict[str, Callable[[], Tokens]], rounds: int) -> tuple[dict[str, float], dict[str, Tokens]]:
    """Let the forms take turns: best seconds and the tokens of each."""
    seconds = dict.fromkeys(forms, float("inf"))
    tokens = {}
    for _ in range(rounds):
        for name, form in forms.items():
            start = time.perf_counter()
            tokens[name] = form()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds, tokens


def report(title: str, lengths: Sequence[int], seconds: dict[str, float], tokens: dict[str, Tokens]) -> None:
    """Print seconds, real-time factors and ratios to the first form."""
    audio = sum(lengths) / FRAMES_PER_SECOND
    first = next(iter(seconds))
    in_order = [lengths[i : i + BATCH] for i in range(0, len(lengths), BATCH)]
    print(f"\n{title}: {len(lengths)} utterances, {audio:.0f} s; padding in corpus order {padding(in_order):.0%}")
    for name, spent in seconds.items():
        same = sum(np.sum(a == b) for a, b in zip(tokens[name], tokens[first], strict=True)) / sum(lengths)
        ratio = seconds[first] / spent
        print(f"  {name:28} {spent:7.2f} s  {audio / spent:7.1f} x real time  {ratio:5.2f} x  tokens equal {same:.2%}")


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


if __name__ == "__main__":
    main()
