"""What the models do on a GPU: right against float64 on the CPU, and fast against transformers, same weights and audio.

    python tests/benchmarks/gpu.py [--layers 24] [--minutes 20] [--json FILE]
    python tests/benchmarks/gpu.py --device cpu --layers 1 --width 64 --minutes 0.5      a rehearsal without a GPU

Without Ray, and without recordings: features are random, lengths are those of LibriSpeech test-other where
VOXMILL_SPEECH has them, else drawn. transformers runs `sdpa`, its flex form and its compiled form where they run, on
batches sorted by length with as many frames as ours. Times are the best of `--rounds`, with the device waited for. The
forms of transformers come last, the compiled one at the very end: it may compile for minutes, and all that is known
is written before. A rehearsal runs the same code with nothing compiled and nothing recorded.

What must hold, or the exit code is 1: every output is finite; the error of bfloat16 against float64 is at most 1.25
times that of transformers in bfloat16, and that of float32 at most 1e-4 of the outputs; packing changes no more than
rounding does; log-mel on the device is within 0.03 of the CPU's. A form that fails is a line of the result, and ends
nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC
from transformers.utils import logging as transformers_logging

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import models  # noqa: E402
from pipeline.audio.fbank import log_mel  # noqa: E402
from pipeline.corpus import FRAMES_PER_SECOND  # noqa: E402
from pipeline.device_features import fbank_on  # noqa: E402
from pipeline.models import compiled, packed_attention  # noqa: E402
from pipeline.models.batching import Batch, SizeOf, batches, exact, waste  # noqa: E402
from pipeline.models.graphs import CudaRecorder, Outputs, Replayed  # noqa: E402
from pipeline.models.layout import Packed  # noqa: E402
from pipeline.models.packed_attention import Kernel  # noqa: E402
from pipeline.models.predict import SIZES, default_frame_budget  # noqa: E402
from tests import speech  # noqa: E402
from tests.benchmarks.operations import operations  # noqa: E402

Results = dict[str, Any]
FAILURES = (RuntimeError, ValueError, TypeError, ImportError, AttributeError)
"""What a form raises that a version, a card or a machine does not have."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=1024, help="channels of the encoder")
    parser.add_argument("--minutes", type=float, default=20, help="of audio in each corpus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=("right", "fbank", "speed"), default=("right", "fbank", "speed"))
    parser.add_argument("--json", type=Path, help="where the figures go, after each part")
    options = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    device = torch.device(options.device)
    # Else convolutions in float32 round to 10 bits, ours as well as theirs.
    torch.backends.cudnn.allow_tf32 = False
    if device.type != "cuda":
        rehearse()
    results: Results = {"machine": machine(device), "options": {"layers": options.layers, "width": options.width}}
    with tempfile.TemporaryDirectory() as folder:
        for part in parts(Path(folder), device, options, results):
            results |= part
            if options.json:
                options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_table(results)
    return 0 if holds(results) else 1


def parts(folder: Path, device: torch.device, options: argparse.Namespace, results: Results) -> Iterator[Results]:
    """One part of the results after the other."""
    yield {"peak_flops": matrix_peak(device)}
    if "right" in options.only:
        yield {
            "right": rightness(make_checkpoint(folder / "right", layers=4, width=options.width, telling=True), device)
        }
    if "fbank" in options.only:
        yield {"fbank": fbank_figures(device, options.rounds)}
    if "speed" in options.only:
        checkpoint = make_checkpoint(folder / "speed", layers=options.layers, width=options.width, telling=False)
        for speed in speeds(checkpoint, device, corpora(options.minutes), options.rounds, results["peak_flops"]):
            yield {"speed": speed}


def rehearse() -> None:
    """Put what Python runs in the place of what is compiled, which for a CPU takes minutes and proves nothing."""
    halves = (compiled._before_attention, compiled._after_attention)
    compiled._halves = lambda: halves  # type: ignore[assignment]
    packed_attention._compiled_flex = lambda sizes: _plain_flex  # type: ignore[assignment]


def _plain_flex(q: Tensor, k: Tensor, v: Tensor, score_mod: Any, mask: Any) -> Any:
    return packed_attention.flex_attention(q, k, v, score_mod=score_mod, block_mask=mask)


def make_checkpoint(folder: Path, *, layers: int, width: int, telling: bool) -> Path:
    """A random model whose heads have 64 channels, as the published one's have.

    Initialised as usual, attention adds a hundredth to what it is added to; in a `telling` model every parameter
    matters, and a mistake anywhere shows.
    """
    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        num_hidden_layers=layers, hidden_size=width, intermediate_size=4 * width, vocab_size=32,
        num_attention_heads=max(1, width // 64),
    )  # fmt: skip
    model = Wav2Vec2BertForCTC(config)
    for name, parameter in model.named_parameters() if telling else ():
        if name.endswith("norm.weight"):
            parameter.data.normal_(mean=1.0, std=0.3)
        else:
            parameter.data.normal_(std=0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5)
    model.save_pretrained(folder)
    return folder


def machine(device: torch.device) -> Results:
    """Where and with what it was measured."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    packages = {name: version(name) for name in ("torch", "transformers", "triton") if _installed(name)}
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        "card": card,
        "python": platform.python_version(),
        **packages,
    }


def corpora(minutes: float) -> dict[str, list[int]]:
    """Frames of each recording."""
    total = round(60 * minutes * FRAMES_PER_SECOND)

    def filled(pattern: Sequence[int]) -> list[int]:
        chosen: list[int] = []
        while sum(chosen) < total:
            chosen.append(pattern[len(chosen) % len(pattern)])
        return chosen

    return {"LibriSpeech lengths": filled(librispeech()), "10 s": filled([500]), "30 s": filled([1500])}


def librispeech() -> list[int]:
    """Frames of the utterances of test-other, or what looks like them."""
    try:
        with open(speech.FOLDER / "librispeech.csv", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if "/test-other/" in row["path"]]
        return [round(float(row["seconds"]) * FRAMES_PER_SECOND) for row in rows]
    except FileNotFoundError:
        drawn = np.random.default_rng(0).lognormal(1.6, 0.6, 300).clip(1.3, 34)
        return [round(seconds * FRAMES_PER_SECOND) for seconds in drawn]


def matrix_peak(device: torch.device) -> float:
    """Operations a second of the largest products in bfloat16 that are measured here."""
    size = 8192 if device.type == "cuda" else 512
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / best_seconds(lambda: left @ right, device, 10)


def rightness(checkpoint: Path, device: torch.device) -> Results:
    """Errors against transformers in float64 on the CPU, and what packing changes."""
    lengths = (731, 500, 133, 64, 900) if device.type == "cuda" else (73, 50, 13, 6, 90)
    recordings = torch.randn(sum(lengths), 160, generator=torch.Generator().manual_seed(1)).split(list(lengths))
    precise = Wav2Vec2BertForCTC.from_pretrained(checkpoint, dtype=torch.float64).eval()
    figures: Results = {}
    with torch.inference_mode():
        exact = [precise(each[None].double()).logits[0] for each in recordings]
        theirs = transformers_model(checkpoint, device, "sdpa")
        rounded = [theirs(each[None].to(device, torch.bfloat16)).logits[0].cpu() for each in recordings]
        figures["transformers bfloat16"] = rms(rounded, exact)
        for form in OURS:
            for dtype in (torch.bfloat16, torch.float32):
                name = f"{form.name} {str(dtype).removeprefix('torch.')}"
                try:
                    run = form.made(checkpoint, device, dtype)
                    # What is recorded of the second is replayed in the third, whose documents lie otherwise.
                    packed, _, again = (
                        run(torch.cat(order).to(device, dtype), tuple(map(len, order)))
                        for order in (recordings, recordings[::-1], recordings)
                    )
                    alone = [run(each.to(device, dtype), (len(each),)).cpu() for each in recordings]
                except FAILURES as error:
                    figures[name] = told(error)
                    continue
                split = [each.cpu() for each in packed.split(list(lengths))]
                figures[name] = rms(split, exact)
                figures[f"{name}, again, against packed"] = rms([again.cpu()], [packed.cpu()])
                figures[f"{name}, packed against alone"] = rms(split, alone)
    return figures


def rms(logits: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """Root of the mean squared difference, as a share of the outputs' own."""
    size = torch.cat(list(exact)).square().mean().sqrt()
    return float(torch.cat([a.double() - b for a, b in zip(logits, exact, strict=True)]).square().mean().sqrt() / size)


def fbank_figures(device: torch.device, rounds: int) -> Results:
    """Log-mel on the device against the CPU's, and seconds of audio a second: of 10 minutes as one, and as 120."""
    seconds = 600 if device.type == "cuda" else 60
    samples = np.random.default_rng(0).integers(-8000, 8000, seconds * 16_000, dtype=np.int16)
    exact = log_mel(samples[: 30 * 16_000].astype(np.float32) / 2**15, dtype=np.float64)
    heard, figures = torch.from_numpy(samples), {}
    for dtype in (torch.float64, torch.float32):
        fbank, name = fbank_on(device, dtype), str(dtype).removeprefix("torch.")
        largest = float(np.abs(fbank.log_mel(heard[: 30 * 16_000], [30 * 16_000]).cpu().numpy() - exact).max())
        figures[f"{name}, largest difference"] = largest
        for count in (1, 120):
            counts = [len(samples) // count] * count
            spent = best_seconds(lambda f=fbank, c=counts: f(heard, c).to(torch.bfloat16).cpu(), device, rounds)
            figures[f"{name}, x real time, {count} recordings, from and to the host"] = seconds / spent
    return figures


@dataclass(frozen=True)
class Form:
    """A form of ours."""

    name: str
    kernel: Kernel
    compiled: bool = False
    graphs: bool = False

    def made(
        self, checkpoint: Path, device: torch.device, dtype: torch.dtype
    ) -> Callable[[Tensor, Sequence[int]], Tensor]:
        """What gives the logits of packed documents, (N, C) and the frames of each -> (N, V)."""
        model = models.load(checkpoint, dtype=dtype, device=device, kernel=self.kernel)
        if self.compiled:
            model = models.compile_blocks(model)

        def run(features: Tensor, layout: Packed) -> Outputs:
            return {"logits": model.forward_packed(features, layout).logits}

        # In a rehearsal what is recorded runs again.
        record = CudaRecorder() if device.type == "cuda" else lambda run: run
        passes = Replayed(run, record) if self.graphs else run

        def logits(features: Tensor, lengths: Sequence[int]) -> Tensor:
            with torch.inference_mode():
                return passes(features, Packed(tuple(lengths), device))["logits"]

        return logits


OURS = (
    Form("voxmill fused", "fused"),
    Form("voxmill fused, compiled blocks", "fused", compiled=True),
    Form("voxmill fused, compiled blocks, graphs", "fused", compiled=True, graphs=True),
    Form("voxmill plain", "plain"),
)
THEIRS = (("sdpa", False), ("flex_attention", False), ("sdpa", True))
"""Forms of transformers: attention, and whether the model is compiled."""


def speeds(
    checkpoint: Path, device: torch.device, corpora: Mapping[str, list[int]], rounds: int, peak: float
) -> Iterator[Results]:
    """Seconds of audio a second of each form on each corpus, all known so far after each form."""
    features = torch.randn(max(map(max, corpora.values())), 160).to(device, torch.bfloat16)
    model = models.load(checkpoint, dtype=torch.bfloat16, device=device, kernel="plain")
    config, budget = model.config, default_frame_budget(model)
    del model
    plans = {title: batches(lengths, frame_budget=budget) for title, lengths in corpora.items()}
    figures: Results = {
        title: {"seconds of audio": sum(lengths) / FRAMES_PER_SECOND, "batches": len(plans[title])}
        for title, lengths in corpora.items()
    }
    work = {title: sum(operations(config, length) for length in lengths) for title, lengths in corpora.items()}

    def measure(name: str, make: Callable[[], Callable[[Sequence[Batch]], None]], size_of: SizeOf, part: bool) -> None:
        run = attempted(figures, name, make)
        for title, lengths in corpora.items() if run else ():
            planned = batches(lengths, frame_budget=budget, size_of=size_of)
            spent = attempted(figures, name, lambda p=planned: best_seconds(lambda: run(p), device, rounds), title)
            if spent is None:
                continue
            figures[title][name] = figures[title]["seconds of audio"] / spent
            if part:
                figures[title][f"{name}, share of matrix peak"] = work[title] / spent / peak
                figures[title][f"{name}, waste"] = waste(planned)

    for form in OURS:
        measure(form.name, lambda f=form: ours(f, checkpoint, device, features), SIZES[form.kernel], True)
        yield compared(figures)
    # transformers compiles its flex form by itself, which a rehearsal does without.
    for attention, whole in THEIRS if device.type == "cuda" else THEIRS[:1]:
        name = f"transformers {attention}" + " compiled" * whole
        measure(name, lambda a=attention, w=whole: theirs_on(checkpoint, device, a, features, w), exact, False)
        yield compared(figures)


def attempted(figures: Results, name: str, make: Callable[[], Any], *titles: str) -> Any:
    """What `make` gives; None, and a line in the figures of these corpora or of all, where it fails."""
    try:
        return make()
    except FAILURES as error:
        for title in titles or figures:
            figures[title][name] = told(error)
        return None


def compared(figures: Results) -> Results:
    """With how many times as fast our fastest form is as each of theirs."""
    for each in figures.values():
        ours_best = max((each[form.name] for form in OURS if isinstance(each.get(form.name), float)), default=None)
        for attention, whole in THEIRS if ours_best else ():
            name = f"transformers {attention}" + " compiled" * whole
            if isinstance(each.get(name), float):
                each[f"our fastest against {name}"] = ours_best / each[name]
    return figures


def ours(form: Form, checkpoint: Path, device: torch.device, features: Tensor) -> Callable[[Sequence[Batch]], None]:
    """One pass over all batches."""
    logits = form.made(checkpoint, device, torch.bfloat16)

    def run(planned: Sequence[Batch]) -> None:
        with torch.inference_mode():
            for batch in planned:
                parts = [features[:length] for length in batch.lengths]
                frames = torch.cat([*parts, features.new_zeros(batch.filler, features.shape[1])])
                logits(frames, batch.laid).argmax(-1)

    return run


def theirs_on(
    checkpoint: Path, device: torch.device, attention: str, features: Tensor, whole: bool
) -> Callable[[Sequence[Batch]], None]:
    """The same of transformers, padded; `whole`: the model is compiled."""
    model: Any = transformers_model(checkpoint, device, attention)
    if whole and device.type == "cuda":
        model = torch.compile(model, dynamic=True)

    def run(planned: Sequence[Batch]) -> None:
        with torch.inference_mode():
            for batch in planned:
                parts = [features[:length] for length in batch.lengths]
                inputs = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
                mask = None
                # Where nothing is padded it is faster without.
                if min(batch.lengths) < max(batch.lengths):
                    held = torch.tensor(batch.lengths, device=device)
                    mask = (torch.arange(inputs.shape[1], device=device) < held[:, None]).long()
                model(inputs, attention_mask=mask).logits.argmax(-1)

    return run


def transformers_model(checkpoint: Path, device: torch.device, attention: str) -> Wav2Vec2BertForCTC:
    model = Wav2Vec2BertForCTC.from_pretrained(checkpoint, attn_implementation=attention, dtype=torch.bfloat16)
    return model.eval().to(device)


def best_seconds(form: Callable[[], object], device: torch.device, rounds: int) -> float:
    """The best of so many, after two to warm up: in the second a graph is recorded."""
    best = float("inf")
    for number in range(rounds + 2):
        _wait(device)
        start = time.perf_counter()
        form()
        _wait(device)
        if number > 1:
            best = min(best, time.perf_counter() - start)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except ImportError:
        return False


def told(error: Exception) -> str:
    """A failure as one short line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:90]}"


def holds(results: Results) -> bool:
    """Whether the promises of the head of this file are kept; NaN keeps none."""
    differences = [value for name, value in results.get("fbank", {}).items() if name.endswith("difference")]
    kept = [value <= 0.03 for value in differences]
    if "right" in results:
        right = results["right"]
        rounding = 1.25 * right["transformers bfloat16"]
        failed = [name for name, value in right.items() if isinstance(value, str)]
        kept += [
            not failed,
            *(
                value <= (1e-4 if "float32" in name else rounding)
                for name, value in right.items()
                if name not in failed
            ),
        ]
    return all(kept)


def print_table(results: Results) -> None:
    for title in [each for each in ("machine", "options", "right", "fbank") if each in results]:
        print(f"\n{title}")
        for name, value in results[title].items():
            print(f"  {name:48} {value:.6g}" if isinstance(value, float) else f"  {name:48} {value}")
    print(f"\nmatrix peak {results['peak_flops'] / 1e12:.3g} TFLOP/s")
    for title, figures in results.get("speed", {}).items():
        print(f"\n{title}: {figures['seconds of audio']:.0f} s in {figures['batches']} batches; audio seconds a second")
        for name, value in list(figures.items())[2:]:
            print(f"  {name:48} {value:.4g}" if isinstance(value, float) else f"  {name:48} {value}")


if __name__ == "__main__":
    sys.exit(main())
