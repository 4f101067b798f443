from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline import models
from pipeline.models.layout import Packed

MakeCheckpoint = Callable[..., Path]
TDNN = {"tdnn_dim": (8, 6), "tdnn_kernel": (3, 2), "tdnn_dilation": (2, 3)}  # sees 8 frames, and needs 9


def test_recordings_too_short_for_an_embedding_have_none_and_harm_no_other(make_checkpoint: MakeCheckpoint) -> None:
    model = models.load(make_checkpoint(**TDNN), head="xvector")
    features = torch.randn(5, 20, 160, generator=torch.Generator().manual_seed(0))
    output = model(features, [8, 20, 0, 7, 9])
    assert output.embeddings.isnan().all(dim=1).tolist() == [True, False, True, True, False]
    assert output.embeddings.isnan().any(dim=1).tolist() == [True, False, True, True, False]
    alone = model.forward_packed(features[1], Packed((20,)))
    torch.testing.assert_close(output.embeddings[1:2], alone.embeddings, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.logits[1:2], alone.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("head", ["xvector", "classes", "frames", "none", "ctc"])
def test_recordings_without_frames_are_allowed(make_checkpoint: MakeCheckpoint, head: models.Head) -> None:
    model = models.load(make_checkpoint(), head=head)
    for output in (model(torch.randn(2, 4, 160), [0, 0]), model.forward_packed(torch.randn(0, 160), Packed(()))):
        for name in ("logits", "embeddings", "hidden_state"):
            values = getattr(output, name, torch.zeros(1))
            assert (values.isnan() | values.eq(0)).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_statistics_are_computed_in_full_precision(make_checkpoint: MakeCheckpoint, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = models.load(make_checkpoint(**TDNN), head="xvector")
    half = models.load(make_checkpoint(**TDNN), head="xvector", dtype=dtype)
    half.load_state_dict(model.state_dict())
    features = torch.randn(1, 40, 160, generator=torch.Generator().manual_seed(0))
    exact = model(features, [40]).embeddings
    assert (half(features, [40]).embeddings - exact).abs().max() < 0.03 * exact.abs().max()
