"""A corpus of tones that a tiny model learns in seconds, with labels of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16_000
TINY: dict[str, Any] = {
    "model_type": "wav2vec2-bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24, "conv_depthwise_kernel_size": 3, "left_max_position_embeddings": 4,
    "right_max_position_embeddings": 2, "output_hidden_size": 16, "classifier_proj_size": 12, "layerdrop": 0.0,
    "hidden_dropout": 0.1, "mask_time_prob": 0.1, "mask_time_length": 2, "tdnn_dim": [16, 24], "tdnn_kernel": [3, 1],
    "tdnn_dilation": [1, 1], "xvector_output_dim": 8,
}  # fmt: skip
TONES = {"low": 300.0, "high": 2400.0}


def tone(hertz: float, seconds: float, seed: int) -> np.ndarray:
    """A pulsing tone with overtones in faint noise."""
    random = np.random.default_rng(seed)
    times = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * hertz * k * times + random.uniform(0, 6)) / k for k in (1, 2, 3))
    loud = 0.2 * (1 + 0.8 * np.sin(2 * np.pi * 5 * times))
    return (loud * wave / 2 + random.normal(0, 3e-3, len(times))).astype(np.float32)


def write_tones(folder: Path) -> Path:
    """A manifest of 16 recordings with labels of every kind: a little silence, then a tone."""
    lines = []
    for number in range(16):
        name = sorted(TONES)[number % 2]
        speaker, seconds = f"s{number % 4}", 0.6 + 0.02 * number
        silence = np.random.default_rng(number).normal(0, 3e-3, int(0.3 * RATE)).astype(np.float32)
        samples = np.concatenate([silence, tone(TONES[name] * (1 + 0.2 * (number % 4)), seconds, number)])
        soundfile.write(folder / f"{number:02}.wav", samples, RATE)
        lines.append(
            {
                "audio_filepath": f"{number:02}.wav", "text": name, "label": name, "speaker": speaker,
                "frames": [{"start": 0.3, "end": 0.3 + seconds, "label": "tone"}], "several": [name, "any"],
                "number": float(number % 2),
            }
        )  # fmt: skip
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def write_bare(folder: Path, **fields: Any) -> Path:
    """A folder with nothing but a config.json."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**TINY, **fields}))
    return folder
