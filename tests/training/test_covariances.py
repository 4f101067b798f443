"""An x-vector from scratch pools deviations of sums of principal components, and so tells covariances apart."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.xvector import XVectorModel
from pipeline.training import covariances, start

FIELDS = {
    "model_type": "wav2vec2-bert", "feature_projection_input_dim": 16, "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 24, "conv_depthwise_kernel_size": 5, "output_hidden_size": 64,
    "position_embeddings_type": None, "tdnn_kernel": [3, 1], "tdnn_dilation": [1, 1], "tdnn_dim": [20, 40],
    "xvector_output_dim": 8, "id2label": {"0": "ann", "1": "bob"},
}  # fmt: skip
PAIRED = 6
"""Whose square is not above 40."""


def fresh(**changes: object) -> XVectorModel:
    torch.manual_seed(0)
    model = start._fresh(Config.read({**FIELDS, **changes}, where="test", head="xvector"))
    assert isinstance(model, XVectorModel)
    return model.eval()


def speech(count: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Frames (count, 16) whose bands move together more or less."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(0, 1, (16, 16))
    return (random.normal(0, 1, (count, 16)) @ mixing).astype(np.float32)


def pooled(model: XVectorModel, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means and deviations that the embedding sees."""
    seen: list[torch.Tensor] = []
    hook = model.embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        model(torch.from_numpy(features)[None], [len(features)])
    hook.remove()
    found: NDArray[np.float32] = seen[0][0].numpy()
    return found


def test_components_are_uncorrelated_with_deviation_1_the_loudest_first() -> None:
    frames = speech(4000).astype(np.float64)
    mean, projection = covariances.principal_components(frames, size=20)
    found = (frames - mean) @ projection
    assert np.allclose(np.cov(found[:, :16].T), np.eye(16), atol=1e-6)
    assert not projection[:, 16:].any()
    lengths = 1 / np.linalg.norm(projection[:, :16], axis=0)
    assert (np.diff(lengths) <= 1e-9).all()


def test_deviations_of_all_sums_and_differences_are_pooled() -> None:
    model = fresh()
    taught = speech(20_000)
    covariances.start(model, iter([taught]))
    heard = speech(400, seed=3)
    with torch.inference_mode():
        normed, all_normed = (
            model.encoder.projection.norm(torch.from_numpy(x)).double().numpy() for x in (heard, taught)
        )
    mean, projection = covariances.principal_components(all_normed, size=PAIRED)
    components = (normed - mean) @ projection
    signs = {1: math.sqrt(0.5), -1: -math.sqrt(0.5)}
    sums = [
        math.sqrt(0.5) * components[1:-1, a] + signs[sign] * components[1:-1, b]
        for a, b in itertools.combinations(range(PAIRED), 2)
        for sign in (1, -1)
    ]
    expected = np.concatenate([components[1:-1].std(axis=0, ddof=1), [each.std(ddof=1) for each in sums]])
    deviations = pooled(model, heard)[40 : 40 + PAIRED * PAIRED]
    assert len(expected) == PAIRED * PAIRED
    assert np.abs(deviations / expected - 1).max() < 0.05


def test_voices_that_differ_in_covariance_alone_are_told_apart_before_any_training() -> None:
    """Bands of equal mean and deviation that move together in one voice and against each other in the other."""
    random = np.random.default_rng(1)

    def voice(sign: float) -> NDArray[np.float32]:
        common = random.normal(0, 1, (300, 8))
        other = sign * 0.8 * common + 0.6 * random.normal(0, 1, (300, 8))
        return np.concatenate([common, other], axis=1).astype(np.float32)

    def spread_between_and_within(model: XVectorModel) -> float:
        ones, others = (np.array([pooled(model, voice(sign))[40:] for _ in range(12)]) for sign in (1.0, -1.0))
        within = np.concatenate([ones - ones.mean(axis=0), others - others.mean(axis=0)]).std(axis=0)
        return float(np.max(np.abs(ones.mean(axis=0) - others.mean(axis=0)) / (within + 1e-6)))

    random_weights, started = fresh(), fresh()
    covariances.start(started, (voice(sign) for sign in (1.0, -1.0) * 10))
    assert spread_between_and_within(started) > 2 * spread_between_and_within(random_weights)


@pytest.mark.parametrize("changes", [{"tdnn_dim": [20, 3]}, {"add_adapter": True}])
def test_what_does_not_fit_stays_random(changes: dict[str, object]) -> None:
    model = fresh(**changes)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    covariances.start(model, iter([speech(1000)]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_layer_is_enough() -> None:
    model = fresh(tdnn_dim=[40], tdnn_kernel=[1], tdnn_dilation=[1])
    covariances.start(model, iter([speech(4000)]))
    deviations = pooled(model, speech(4000, seed=5))[40 : 40 + PAIRED * PAIRED]
    assert np.abs(deviations - 1).max() < 0.2
