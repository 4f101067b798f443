"""Which parameters learn how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.models.wav2vec2_bert.config import Config
from pipeline.training import groups, start
from tests.tones import TINY


def model(**fields: object):
    document = json.loads(json.dumps({**TINY, "num_hidden_layers": 3, **fields}))
    config = Config.read(document, where="test", head="classes")
    return start.model_of(config, "test", head="classes", changes={}, keep_head=False, from_scratch=True)


def test_lower_blocks_learn_slower_and_vectors_do_not_decay() -> None:
    found = groups.parameter_groups(model(), learning_rate=1.0, layer_decay=0.5, weight_decay=0.1)
    rates = sorted({group["lr"] for group in found})
    assert rates == [0.0625, 0.125, 0.25, 0.5, 1.0]
    assert all((group["weight_decay"] == 0) == (group["params"][0].ndim < 2) for group in found)
    assert sum(len(group["params"]) for group in found) == len(list(model().parameters()))


def test_a_frozen_encoder_is_in_no_group_and_draws_nothing() -> None:
    frozen = model(use_weighted_layer_sum=True)
    groups.mode(frozen, frozen=True)
    learning = {name for name, parameter in frozen.named_parameters() if parameter.requires_grad}
    assert learning == {"top.weights", "project.weight", "project.bias", "head.weight", "head.bias"}
    assert not frozen.encoder.training
    assert frozen.head.training
    found = groups.parameter_groups(frozen, learning_rate=1.0, layer_decay=0.5, weight_decay=0.1)
    assert sum(len(group["params"]) for group in found) == 5


@pytest.mark.parametrize("name", ["encoder.projection.linear.weight", "encoder.spec_augment.embedding"])
def test_what_comes_before_the_first_block_learns_slowest(name: str, tmp_path: Path) -> None:
    made = model()
    found = groups.parameter_groups(made, learning_rate=1.0, layer_decay=0.1, weight_decay=0)
    slowest = min(found, key=lambda group: group["lr"])["lr"]
    group = next(g for g in found if any(p is made.get_parameter(name) for p in g["params"]))
    assert group["lr"] == slowest
