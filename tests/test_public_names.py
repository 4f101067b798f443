"""The names that others build on."""

import importlib

import pytest

import pipeline


def test_every_public_name_loads():
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("pipeline", {"transcribe", "classify", "label_frames", "embed", "label", "read_table", "evaluate"}),
        ("pipeline.audio", {"load", "fbank"}),
        ("pipeline.models", {"load", "save"}),
        ("pipeline.text", {"Tokenizer", "ctc_decode"}),
    ],
)
def test_the_doors_are_where_they_are_promised(module, names):
    assert names <= set(importlib.import_module(module).__all__)


def test_only_public_names_are_listed():
    assert dir(pipeline) == sorted(pipeline.__all__)


def test_a_name_that_does_not_exist_says_so():
    with pytest.raises(AttributeError, match="no attribute 'transcirbe'"):
        pipeline.transcirbe  # noqa: B018
