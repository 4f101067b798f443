"""The job against the loop that a user of transformers would write, in one run: same weights, same audio, same words.

    python tests/benchmarks/job.py [--minutes 60]

The test split of the human digits (VOXMILL_SPEECH) is packed as tar shards of utterances of 3 to 8 digits. The loop
decodes, resamples, extracts features, runs the model in batches of 16 in corpus order and decodes, with a thread for
each core and warmed up by one batch. Start-up of both is left out of the speed: of the loop loading libraries and
weights; of the job all up to the moment when each model actor may have committed a unit, whose audio does not count.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import config, read_table  # noqa: E402
from pipeline.demo import checkpoint_folder  # noqa: E402
from pipeline.noise import kept_off  # noqa: E402
from pipeline.run import run  # noqa: E402
from pipeline.scoring import word_errors  # noqa: E402
from tests import speech  # noqa: E402
from tests.digits import utterances, write_shards  # noqa: E402

BATCH = 16


def loop(shards: list[Path]) -> tuple[dict[str, str], float]:
    """Transcripts by key, and seconds of work."""
    import soundfile
    import soxr
    import torch
    from transformers import Wav2Vec2BertForCTC, Wav2Vec2BertProcessor

    processor = Wav2Vec2BertProcessor.from_pretrained(checkpoint_folder())
    model = Wav2Vec2BertForCTC.from_pretrained(checkpoint_folder(), attn_implementation="sdpa").eval()
    torch.set_num_threads(os.cpu_count() or 1)
    with torch.inference_mode():
        model(**processor([np.zeros(48000, np.float32)] * BATCH, sampling_rate=16000, return_tensors="pt"))
    texts: dict[str, str] = {}
    begin = time.monotonic()
    waiting: list[tuple[str, object]] = []

    def flush() -> None:
        inputs = processor([samples for _, samples in waiting], sampling_rate=16000, return_tensors="pt", padding=True)
        with torch.inference_mode():
            ids = model(**inputs).logits.argmax(-1)
        # Frames of padding spell letters too: without this line the loop's word error rate is three times as high.
        ids = ids.masked_fill(inputs["attention_mask"] == 0, processor.tokenizer.pad_token_id)
        texts.update(zip([key for key, _ in waiting], processor.batch_decode(ids), strict=True))
        waiting.clear()

    for shard in shards:
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".flac"):
                    samples, rate = soundfile.read(io.BytesIO(tar.extractfile(member).read()), dtype="float32")
                    waiting.append((member.name[:-5], soxr.resample(samples, rate, 16000)))
                    if len(waiting) == BATCH:
                        flush()
    if waiting:
        flush()
    return texts, time.monotonic() - begin


def steady_speed(output: Path, actors: int) -> float:
    """Audio seconds per second from the commit number `actors` to the last one."""
    seconds = read_table(str(output)).to_pandas().groupby("unit").duration.sum()
    commits = sorted((file.stat().st_mtime, seconds[file.stem]) for file in output.glob("transcribe/*.parquet"))
    times, amounts = zip(*commits, strict=True)
    return sum(amounts[actors:]) / (times[-1] - times[actors - 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    given = parser.parse_args()
    spoken = utterances(speech.FOLDER, count=int(given.minutes * 60 / 3.2))
    seconds = sum(each.seconds for each in spoken)
    with tempfile.TemporaryDirectory() as folder, kept_off(show=False) as (console, _):
        shards = write_shards(Path(folder) / "shards", spoken, per_shard=100)
        options = config.make({"model": str(checkpoint_folder())})
        summary = run([str(Path(folder) / "shards")], str(Path(folder) / "out"), options, console=console)
        ours = read_table(str(Path(folder) / "out")).to_pandas().set_index("key").text
        theirs, loop_seconds = loop(shards)
        order = [each.key for each in spoken]
        references = [each.text for each in spoken]
        our_errors = word_errors(references, [ours[key] for key in order])
        their_errors = word_errors(references, [theirs[key] for key in order])
        same = sum(ours[key] == theirs[key] for key in order)
        actors = os.cpu_count() or 1
        job_speed, loop_speed = steady_speed(Path(folder) / "out", actors), seconds / loop_seconds
        console.print(f"audio_s={seconds:.0f} recordings={len(spoken)} equal_text={same}/{len(spoken)}")
        console.print(f"wer_job={100 * our_errors.rate:.2f} % wer_transformers={100 * their_errors.rate:.2f} %")
        console.print(
            f"job={job_speed:.0f}x real time (first_unit_s={summary.startup_seconds:.1f}, "
            f"units={summary.units}, all_s={summary.work_seconds:.1f})  transformers={loop_speed:.0f}x "
            f"(all_s={loop_seconds:.1f}, {os.cpu_count()} threads)  ratio={job_speed / loop_speed:.2f} "
            f"ratio_with_startup={loop_seconds / summary.work_seconds:.2f}"
        )
        console.print(
            f"slowest={summary.slowest} busy={summary.busy} "
            f"context={summary.context_share:.3f} padding={summary.padding_share:.3f}"
        )


if __name__ == "__main__":
    main()
