"""The models that there are, one a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pipeline.models.packed_attention import Kernel
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.heads import BareModel, ClassModel, CtcModel, FrameModel
from pipeline.models.wav2vec2_bert.kinds import Head
from pipeline.models.wav2vec2_bert.xvector import XVectorModel

Model = BareModel | CtcModel | FrameModel | ClassModel | XVectorModel


class _Make(Protocol):
    def __call__(self, config: Config, *, kernel: Kernel) -> Model: ...


_MODELS: Mapping[Head, _Make] = {
    "none": BareModel,
    "ctc": CtcModel,
    "frames": FrameModel,
    "classes": ClassModel,
    "xvector": XVectorModel,
}


def make(config: Config, *, kernel: Kernel) -> Model:
    """Make the model that the configuration names, its parameters not yet filled."""
    return _MODELS[config.head](config, kernel=kernel)
