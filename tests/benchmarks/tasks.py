"""Several tasks in one pass against separate runs, and each job against the script that a user of transformers writes.

    python tests/benchmarks/tasks.py [--minutes 32] [--layers 2] [--only shared apart loops]

Full-width layers, random weights, LibriSpeech test-other (VOXMILL_SPEECH), all in one run on the same machine:

- shared: transcribe, classify and frames whose encoders are equal, through `label_corpus`, against the three jobs one
  after the other; seconds from the first committed unit on, so without start-up.
- apart: the same three with three encoders, through the functions of `pipeline.flow` in this process, against one
  decode, one fbank and each encoder by itself.
- loops: each job against soundfile, the feature extractor and the model of transformers (sdpa) in batches of 16 in
  corpus order, with a thread for each core.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import config, flow, models, read_table  # noqa: E402
from pipeline.flow import Doing, Settings  # noqa: E402
from pipeline.models.predict import Predictor  # noqa: E402
from pipeline.noise import kept_off  # noqa: E402
from pipeline.run import run  # noqa: E402
from pipeline.tasks import TASKS  # noqa: E402
from tests import speech  # noqa: E402
from tests.benchmarks import wide  # noqa: E402
from tests.units import recordings_of, unit_of  # noqa: E402

THREE = ("transcribe", "classify", "frames")
BATCH = 16
UNIT = "120s"
LOOPS = {
    "classify": ("Wav2Vec2BertForSequenceClassification", "logits"),
    "frames": ("Wav2Vec2BertForAudioFrameClassification", "logits"),
    "embed": ("Wav2Vec2BertForXVector", "embeddings"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=32)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, kept_off(show=False) as (console, _):
        folder = Path(name)
        found = wide.checkpoints(folder / "models", layers=given.layers, encoders=3)
        count, seconds = wide.corpus(speech.FOLDER, folder / "audio", minutes=given.minutes)
        console.print(f"audio_min={seconds / 60:.1f} recordings={count} layers={given.layers} cores={os.cpu_count()}")
        for part in given.only:
            console.print(PARTS[part](folder, found, seconds), markup=False, soft_wrap=True)


def shared(folder: Path, found: list[dict[str, Path]], _: float) -> str:
    """One pass over one encoder against a run for each task."""
    tasks = [f"{kind}={found[0][kind]}" for kind in THREE]
    together = steady(folder, "label", "together", {"task": tasks})
    alone = {kind: steady(folder, kind, f"alone-{kind}", {"model": str(found[0][kind])}) for kind in THREE}
    each = " ".join(f"{kind}={spent:.4f}" for kind, spent in alone.items())
    return f"shared: s_per_audio_s together={together:.4f} {each}  ratio_shared={together / sum(alone.values()):.3f}"


def steady(folder: Path, kind: str, name: str, options: dict[str, Any]) -> float:
    """Seconds of work for a second of audio, from the first committed unit on."""
    chosen = config.make({**options, "unit_seconds": UNIT, "device": "cpu", "speech": "all", "log_every": 3600})
    summary = run([str(folder / "audio")], str(folder / name), chosen, kind=kind)
    assert summary.exit_code == 0, summary.stopped
    return 1 / summary.speed


def apart(folder: Path, found: list[dict[str, Path]], seconds: float) -> str:
    """One pass over three encoders against its parts."""
    torch.set_num_threads(os.cpu_count() or 1)
    settings = Settings.of(window=10, context=1, half=False)
    # As much as a unit of a night: the pass is the same for each.
    unit = unit_of(recordings_of(folder / "audio"))
    folders = {kind: found[number][kind] for number, kind in enumerate(THREE)}
    doing = {kind: Doing(TASKS[kind].of(folders[kind], config.RunConfig())) for kind in THREE}
    loaded = {kind: Predictor({kind: models.prepack(models.load(folders[kind]))}) for kind in THREE}
    warm = flow.featurise(flow.read(unit_of(unit.recordings[:8])), settings)
    flow.infer(warm, list(loaded.values()), doing, settings)
    encoded, reading = timed(lambda: flow.read(unit))
    features, featurising = timed(lambda: flow.featurise(encoded, settings))
    each = {
        kind: timed(lambda kind=kind: flow.infer(features, [loaded[kind]], {kind: doing[kind]}, settings))[1]
        for kind in THREE
    }

    def whole() -> None:
        outputs = flow.infer(flow.featurise(flow.read(unit), settings), list(loaded.values()), doing, settings)
        for kind in THREE:
            flow.rows(outputs, kind, doing[kind].task)

    _, together = timed(whole)
    parts = reading + featurising + sum(each.values())
    told = " ".join(f"{kind}={spent:.1f}" for kind, spent in each.items())
    return (
        f"apart: audio_min={seconds / 60:.1f} together_s={together:.1f} "
        f"read={reading:.2f} features={featurising:.1f} {told}  ratio_apart={together / parts:.3f}"
    )


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.monotonic()
    return work(), time.monotonic() - begin


def loops(folder: Path, found: list[dict[str, Path]], _: float) -> str:
    """Each job against a plain script."""
    few = folder / "few"
    _, seconds = wide.corpus(speech.FOLDER, few, minutes=7)
    lines = []
    for kind, (name, field) in LOOPS.items():
        theirs = loop(sorted(few.glob("*.flac")), found[0][kind], name, field) / seconds
        options = {"model": str(found[0][kind]), "unit_seconds": 45, "device": "cpu", "speech": "all"}
        summary = run([str(few)], str(folder / f"job-{kind}"), config.make(options), kind=kind)
        assert summary.exit_code == 0, (summary.stopped, summary.faults)
        ours = 1 / steady_speed(folder / f"job-{kind}", kind)
        lines.append(
            f"loop {kind}: s_per_audio_s job={ours:.3f} transformers={theirs:.3f} ratio_{kind}={theirs / ours:.2f}"
        )
    return "\n".join(lines)


def loop(files: list[Path], checkpoint: Path, name: str, field: str) -> float:
    """Seconds of the plain script, loading and a first batch apart."""
    import soundfile
    import transformers

    torch.set_num_threads(os.cpu_count() or 1)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(checkpoint)
    model = getattr(transformers, name).from_pretrained(checkpoint, attn_implementation="sdpa").eval()

    def batch(paths: list[Path]) -> Any:
        samples = [soundfile.read(path, dtype="float32")[0] for path in paths]
        inputs = extractor(samples, sampling_rate=16000, return_tensors="pt", padding=True)
        with torch.inference_mode():
            return model(**inputs)[field]

    batch(files[:2])
    begin = time.monotonic()
    for start in range(0, len(files), BATCH):
        batch(files[start : start + BATCH])
    return time.monotonic() - begin


def steady_speed(output: Path, kind: str) -> float:
    """Audio seconds per second from the commit number of model actors to the last one."""
    seconds = read_table(str(output), task=kind).to_pandas().groupby("unit").duration.sum()
    commits = sorted((file.stat().st_mtime, seconds[file.stem]) for file in output.glob(f"{kind}/*.parquet"))
    actors = os.cpu_count() or 1
    times, amounts = zip(*commits, strict=True)
    return sum(amounts[actors:]) / (times[-1] - times[actors - 1])


PARTS = {"shared": shared, "apart": apart, "loops": loops}

if __name__ == "__main__":
    main()
