"""Which Ray and which device are meant."""

from __future__ import annotations

import pytest

from pipeline import config
from pipeline.errors import UserError
from pipeline.placement import choose_device, choose_dtype, ray_address


@pytest.mark.parametrize(
    ("option", "variable", "meant"),
    [
        (None, None, "local"),
        ("local", None, "local"),
        (None, "local", "local"),
        ("local", "10.0.0.1:6379", "local"),
        (None, "10.0.0.1:6379", "10.0.0.1:6379"),
        ("auto", "10.0.0.1:6379", "auto"),
    ],
)
def test_the_option_goes_before_the_variable(monkeypatch, option, variable, meant):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    assert ray_address(option) == meant


@pytest.mark.parametrize(
    ("device", "gpus", "local", "chosen"),
    [
        ("auto", 0, True, "cpu"),
        ("auto", 1, True, "cuda"),
        ("auto", 8, False, "cuda"),
        ("cuda", 1, False, "cuda"),
        ("cpu", 8, False, "cpu"),
        ("cpu", 0, False, "cpu"),
        ("cpu", 0, True, "cpu"),
    ],
)
def test_the_model_runs_where_it_is_meant_to(device, gpus, local, chosen):
    assert choose_device(config.make({"device": device}), gpus=gpus, local=local) == chosen


@pytest.mark.parametrize(
    ("device", "local", "message"),
    [
        (
            "auto",
            False,
            "this cluster has no GPU; say --device cpu if CPUs are meant, or --gpus N to ask its autoscaler",
        ),
        ("cuda", False, "--device cuda: there is no GPU; use --device cpu, or --gpus N"),
        ("cuda", True, "--device cuda: there is no GPU; use --device cpu, or --gpus N"),
    ],
)
def test_a_large_archive_never_runs_on_cpus_by_mistake(device, local, message):
    with pytest.raises(UserError, match=message):
        choose_device(config.make({"device": device}), gpus=0, local=local)


def test_eight_bits_are_refused_on_a_gpu():
    settings = config.make({"dtype": "int8"})
    assert choose_dtype(settings, "cpu") == "int8"
    with pytest.raises(UserError, match="--dtype int8 is for CPUs; on a GPU take bfloat16, or --device cpu"):
        choose_dtype(settings, "cuda")
