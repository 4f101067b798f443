"""On a device that is not the host nothing of a model or of its features is left on the host, and types stay.

The device is `meta`, which has shapes, types and places, and no numbers: what mixes two devices fails there too.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.device_features import fbank_on
from pipeline.models import compiled, packed_attention
from pipeline.models.compiled import CompiledBlock, compile_blocks
from pipeline.models.graphs import Renumbered
from pipeline.models.layout import Packed
from pipeline.models.packed_attention import Kernel
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.model import make
from tests.models.conftest import TINY

DEVICE = torch.device("meta")


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    halves = (compiled._before_attention, compiled._after_attention)
    monkeypatch.setattr(compiled, "_halves", lambda: halves)
    monkeypatch.setattr(packed_attention, "_compiled_flex", lambda sizes: flex)


def flex(q: Tensor, k: Tensor, v: Tensor, score_mod: Any, mask: Any) -> Tensor:
    """Only what goes in, with the types of all of it looked at."""
    one = torch.zeros(1, dtype=torch.int64, device=DEVICE)
    score = q[0, 0, 0, 0] if score_mod is None else score_mod(q[0, 0, 0, 0], one, one, one, one)
    assert (score.dtype, score.device) == (q.dtype, DEVICE)
    assert mask.mask_mod(one, one, one, one).device == mask.kv_num_blocks.device == DEVICE
    assert q.dtype == k.dtype == v.dtype
    return q + k + v


def config_of(**fields: Any) -> Config:
    document = {"model_type": "wav2vec2-bert", "architectures": ["Wav2Vec2BertForCTC"], **TINY, **fields}
    return Config.read(document, where="here")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("positions", [None, "relative_key", "rotary", "relative"])
@pytest.mark.parametrize("kernel", ["plain", "fused"])
@pytest.mark.parametrize("blocks", ["plain", "compiled"])
def test_a_model_stays_on_its_device(dtype: torch.dtype, positions: str | None, kernel: Kernel, blocks: str) -> None:
    with DEVICE:
        model = make(config_of(position_embeddings_type=positions), kernel=kernel).to(dtype).eval()
    model.requires_grad_(False)
    layout = Packed((100, 20, 8), DEVICE)
    if blocks == "compiled":
        compile_blocks(model)
    if isinstance(model.encoder.blocks[0], CompiledBlock) and kernel == "fused":
        layout = Renumbered((128,), DEVICE, torch.zeros(128, dtype=torch.int64, device=DEVICE))
    with torch.inference_mode():
        logits = model.forward_packed(torch.empty(128, 160, device=DEVICE, dtype=dtype), layout).logits
    assert (logits.shape, logits.dtype, logits.device) == ((128, TINY["vocab_size"]), dtype, DEVICE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("samples", [torch.int16, torch.float32])
def test_features_are_made_on_their_device(dtype: torch.dtype, samples: torch.dtype) -> None:
    fbank = fbank_on.__wrapped__(DEVICE, dtype)
    # 98 and 198 frames; numbers of frames that are odd would ask for the numbers of a mask.
    made = fbank(torch.zeros(48_000, dtype=samples), [16_000, 32_000])
    assert (made.shape, made.dtype, made.device) == ((49 + 99, 160), torch.float32, DEVICE)
