"""Waveforms to padded features, as a checkpoint's `preprocessor_config.json` asks for them.

Letters: B recordings, n frames of 10 ms, T = n // stride stacked frames, C = 80 * stride features.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline import documents
from pipeline.audio.constants import NUM_MELS, SAMPLE_RATE, STACK
from pipeline.audio.fbank import log_mel
from pipeline.audio.normalise import normalise_in_place
from pipeline.errors import UserError

FILE, NEWER_FILE = "preprocessor_config.json", "processor_config.json"
KIND = "SeamlessM4TFeatureExtractor"
_OURS = {"feature_extractor_type": KIND, "sampling_rate": SAMPLE_RATE, "num_mel_bins": NUM_MELS}
"""What a file may say that changes the features; of the rest transformers reads only stride and padding."""


@dataclass(frozen=True, slots=True)
class Padded:
    """Features of several recordings."""

    features: NDArray[np.float32]
    """(B, T, C); beyond a recording `padding_value`, and beside it what is left of an odd last frame."""
    lengths: tuple[int, ...]
    """Frames of each recording, 0 to T."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(B, T): which frames are of a recording."""
        mask: NDArray[np.bool_] = np.arange(self.features.shape[1]) < np.array(self.lengths)[:, None]
        return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureExtractor:
    """The settings of a checkpoint's features; defaults are those of `SeamlessM4TFeatureExtractor`."""

    stride: int = STACK
    """Frames of 10 ms that are joined into one."""
    padding_value: float = 0.0
    """What stands beyond a recording, after it was normalised."""
    document: Mapping[str, Any] = field(default_factory=lambda: {"feature_extractor_type": KIND})
    """All of the file, to be written back."""

    @classmethod
    def load(cls, path: str | Path, *, where: str | None = None) -> FeatureExtractor:
        """Read the settings from a checkpoint folder; without a file they are the defaults.

        Args:
            path: the folder.
            where: what messages call the checkpoint; default its path.

        Raises:
            UserError: the file is unreadable, or describes features that are not computed here.
        """
        document, where = _declared(Path(path)), where or str(path)
        for name, ours in _OURS.items():
            _check(where, document, name, ours)
        stride, value = document.get("stride", STACK), document.get("padding_value", 0.0)
        if not isinstance(stride, int) or isinstance(stride, bool) or stride < 1:
            raise UserError(f"{where}: its feature extractor has stride={stride!r}; it must be a whole number")
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
            raise UserError(f"{where}: its feature extractor has padding_value={value!r}; it must be a number")
        return cls(stride=stride, padding_value=float(value), document=document)

    def save(self, path: str | Path) -> None:
        """Write `preprocessor_config.json` into a folder."""
        silent = {"feature_size": NUM_MELS, "padding_side": "right", "return_attention_mask": True}
        ours = {**_OURS, "padding_value": self.padding_value, "stride": self.stride}
        text = json.dumps({**silent, **self.document, **ours}, indent=2, sort_keys=True)
        (Path(path) / FILE).write_text(text + "\n", encoding="utf-8")

    def __call__(
        self,
        waveforms: Sequence[NDArray[np.floating]],
        *,
        sample_rate: int,
        pad_to: int | None = None,
        multiple_of: int = STACK,
        truncate: bool = False,
        normalise: bool = True,
        dtype: DTypeLike = np.float64,
    ) -> Padded:
        """Features of several mono recordings, each normalised over itself.

        Padding stands at the end whatever `padding_side` says: models here are given the lengths.

        Args:
            waveforms: (N,) each, samples within +-1.
            sample_rate: of the waveforms, Hz; must be 16,000.
            pad_to: fewest frames of 10 ms of the batch (`max_length` of transformers); None for the longest's.
            multiple_of: what the number of such frames is rounded up to.
            truncate: whether frames beyond `pad_to`, rounded up, are cut away; they count for the normalisation.
            normalise: whether each bin gets zero mean and unit variance over its recording.
            dtype: what the arithmetic runs in, float32 or float64.

        Raises:
            ValueError: for another sample rate, waveforms that are not mono, or sizes that make no sense.
        """
        if sample_rate != SAMPLE_RATE:
            raise ValueError(f"sample_rate must be {SAMPLE_RATE}, got {sample_rate}; resample the waveforms first")
        if any(np.ndim(waveform) != 1 for waveform in waveforms):
            raise ValueError("waveforms must be mono, each of shape (N,); mix their channels first")
        if truncate and pad_to is None:
            raise ValueError("truncate needs pad_to, the frames that may stay")
        if multiple_of < 1 or (pad_to or 0) < 0:
            raise ValueError(f"multiple_of must be at least 1 and pad_to at least 0, got {multiple_of} and {pad_to}")
        frames = [log_mel(np.asarray(waveform, dtype=np.float32), dtype=dtype) for waveform in waveforms]
        if normalise:
            for one in frames:
                normalise_in_place(one)
        width = max([pad_to or 0, *(0 if truncate else len(one) for one in frames)])
        return self._stacked(frames, -(-width // multiple_of) * multiple_of // self.stride)

    def _stacked(self, frames: Sequence[NDArray[np.float32]], width: int) -> Padded:
        """Frames (n, 80) -> (B, T, C), T as wide as given."""
        padded = np.full((len(frames), width * self.stride, NUM_MELS), self.padding_value, dtype=np.float32)
        for row, one in zip(padded, frames, strict=True):
            row[: len(one)] = one[: len(row)]
        lengths = tuple(min(width, len(one) // self.stride) for one in frames)
        return Padded(padded.reshape(len(frames), width, NUM_MELS * self.stride), lengths)


def _declared(folder: Path) -> dict[str, Any]:
    """Settings of a checkpoint's feature extractor, from older or newer releases' file; none where there is no file.

    Raises:
        UserError: the file is not JSON.
    """
    for name, inside in ((FILE, None), (NEWER_FILE, "feature_extractor")):
        try:
            found = documents.load(folder / name)
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise UserError(f"{folder / name}: is not JSON ({error}); download it again") from None
        settings = found.get(inside, {}) if inside and isinstance(found, dict) else found
        if isinstance(settings, dict):
            return settings
    return {}


def _check(where: str, document: Mapping[str, Any], name: str, ours: object) -> None:
    if document.get(name, ours) != ours:
        raise UserError(f"{where}: its feature extractor has {name}={document[name]!r}; Voxmill computes {ours!r}")
