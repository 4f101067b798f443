"""A random checkpoint of the real size, in shards, through the transcription job: is its memory that of its weights?

    python tests/benchmarks/real_size.py [--layers 24] [--seconds 60] [--dtype float32]

580 M parameters in 24 layers, written by transformers as it shards them. The job transcribes human digit strings
(VOXMILL_SPEECH); what is printed is the peak of each stage's workers, as receipts report it, against the weights.
Fails where the worker of the model rises beyond 1.3 times its weights and 256 MiB for one batch.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import config, read_table  # noqa: E402
from pipeline.demo import checkpoint_folder  # noqa: E402
from pipeline.noise import kept_off  # noqa: E402
from pipeline.run import run  # noqa: E402
from tests import speech  # noqa: E402
from tests.digits import utterances, write_shards  # noqa: E402

FACTOR = 1.3
BESIDE = 2**28
"""Bytes of one batch, features and activations."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=60, help="of audio")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        parameters = make_checkpoint(place / "model", layers=options.layers)
        shards = sorted((place / "model").glob("*.safetensors"))
        stored = sum(file.stat().st_size for file in shards)
        spoken = utterances(speech.FOLDER, count=max(2, round(options.seconds / 3.6)))
        write_shards(place / "in", spoken)
        given = {"model": str(place / "model"), "model_actors": 1, "dtype": options.dtype, "max_errors": 0.0}
        with kept_off(show=False) as (console, _):
            summary = run([str(place / "in")], str(place / "out"), config.make(given), console=console)
        rows = len(read_table(str(place / "out")).to_pandas())
    weights = stored // 2 if options.dtype in ("bfloat16", "float16") else stored
    peak = summary.peak_bytes["model"]
    print(
        f"parameters={parameters / 1e6:.0f}M layers={options.layers} shards={len(shards)} "
        f"weights={weights / 1e6:.0f} MB dtype={options.dtype} rows={rows} of {len(spoken)} exit={summary.exit_code}"
    )
    print("  ".join(f"{stage} {size / 1e6:.0f} MB" for stage, size in sorted(summary.peak_bytes.items())))
    beyond = peak - BESIDE
    print(f"model worker: {peak / weights:.2f} x its weights, {beyond / weights:.2f} x without 256 MiB for a batch")
    return 0 if summary.exit_code == 0 and rows == len(spoken) and beyond <= FACTOR * weights else 1


def make_checkpoint(folder: Path, *, layers: int) -> int:
    """Write a random model with the demo's vocabulary, and tell its number of parameters."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    names = ("vocab.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
    torch.manual_seed(0)
    model = Wav2Vec2BertForCTC(Wav2Vec2BertConfig(num_hidden_layers=layers, vocab_size=18, pad_token_id=0))
    model.save_pretrained(folder, max_shard_size="500MB")
    for name in names:
        if (checkpoint_folder() / name).is_file():
            shutil.copy(checkpoint_folder() / name, folder / name)
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    sys.exit(main())
