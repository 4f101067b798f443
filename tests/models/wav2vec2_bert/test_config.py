from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedConfig, Wav2Vec2BertConfig

from pipeline.errors import UserError
from pipeline.models.wav2vec2_bert.config import Config

PLAIN: dict[str, Any] = {
    "model_type": "wav2vec2-bert",
    "architectures": ["Wav2Vec2BertForCTC"],
    "vocab_size": 7,
}


def read(fields: dict[str, Any]) -> Config:
    return Config.read({**PLAIN, **fields}, where="foo")


def test_defaults_are_those_of_transformers() -> None:
    ours, theirs = Config.read(PLAIN, where="foo"), Wav2Vec2BertConfig()
    for name, value in vars(ours).items():
        if name not in ("document", "vocab_size", "output_hidden_size"):
            assert value == getattr(theirs, name), name
    assert ours.adapter_size == theirs.output_hidden_size


def test_every_field_of_transformers_is_known() -> None:
    of_every_model = {field.name for field in fields(PreTrainedConfig)} - {"architectures"}
    theirs = {field.name for field in fields(Wav2Vec2BertConfig)} - of_every_model - {"architectures"}
    assert theirs == {field.name for field in fields(Config)} - {"document"}


def test_classes_are_named_in_the_order_of_their_numbers() -> None:
    assert read({"id2label": {"10": "k", **{str(i): chr(97 + i) for i in range(10)}}}).labels == tuple("abcdefghijk")
    assert read({"num_labels": 3}).labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert read({}).labels == tuple(Wav2Vec2BertConfig().id2label.values())


def test_the_document_is_kept_as_it_was(checkpoint: Path) -> None:
    document = json.loads((checkpoint / "config.json").read_text()) | {"unknown": [1, {"a": None}]}
    assert Config.read(document, where="foo").document == document


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"},
            'architectures=["WhisperForConditionalGeneration"]; Voxmill runs Wav2Vec2-BERT as Wav2Vec2BertModel, Wav2V',
        ),
        ({"architectures": ["Wav2Vec2BertForPreTraining"]}, 'architectures=["Wav2Vec2BertForPreTraining"]; Voxmill ru'),
        (
            {"architectures": ["Wav2Vec2BertForSequenceClassification"], "add_adapter": True},
            'add_adapter=true, architectures=["Wav2Vec2BertForSequenceClassification"] (such a head stands on',
        ),
        (
            {"architectures": ["Wav2Vec2BertForXVector"], "add_adapter": True, "output_hidden_size": 512},
            "output_hidden_size=512, hidden_size=1024 (an x-vector stands on as many channels); no",
        ),
        ({"architectures": None, "model_type": "wav2vec2"}, 'model_type="wav2vec2"; Voxmill runs Wav2Vec2-BERT as'),
        ({"model_type": None}, "model_type=null; Voxmill runs Wav2Vec2-BERT as W"),
        ({"quantization_config": {"bits": 4}}, 'quantization_config={"bits": 4}; Voxmill reads no quantised weights.'),
        ({"output_hidden_size": 0}, "output_hidden_size=0 (must be null or a whole number, at least 1); no"),
        ({"hidden_dropout": 1.5}, "hidden_dropout=1.5 (must be a share, at most 1); no"),
        ({"mask_time_prob": float("inf")}, "mask_time_prob=Infinity (must be a number, at least 0); no"),
        ({"layerdrop": None}, "layerdrop=null (must be a number, at least 0); no"),
        ({"add_adapter": "yes"}, 'add_adapter="yes" (must be true or false); no'),
        ({"tdnn_dim": [4, 0]}, "tdnn_dim=[4, 0] (must be a list of whole numbers, at least 1); no"),
        ({"tdnn_kernel": []}, "tdnn_kernel=[] (must be a list of whole numbers, at least 1); no"),
        (
            {"position_embeddings_type": "alibi"},
            'position_embeddings_type="alibi" (must be one of null, relative_key',
        ),
        ({"ctc_loss_reduction": "max"}, 'ctc_loss_reduction="max" (must be one of sum, mean, none); no'),
        ({"add_adapter": True, "adapter_act": "mish"}, 'adapter_act="mish" (must be one of swish, '),
        ({"id2label": {"1": "a"}}, 'id2label={"1": "a"} (must name classes 0, 1, 2 and so on); no'),
        ({"num_labels": "3"}, 'num_labels="3" (must be null or a whole number, 1 to 1,000,000); no'),
        ({"num_labels": 3, "id2label": {"0": "a"}}, 'num_labels=3, id2label={"0": "a"} (must agree); no'),
        ({"id2label": ["a"]}, 'id2label=["a"] (must name classes'),
        (
            {"id2label": {"0": "a", "1": 7}},
            'id2label={"1": 7} (must name each class with text that UTF-8 can hold); no',
        ),
        ({"id2label": {"0": None, "1": "a"}}, 'id2label={"0": null} (must name each class with text'),
        ({"id2label": {"0": "a\ud83d"}}, 'id2label={"0": "a\\ud83d"} (must name each class with text'),
        (
            {"use_intermediate_ffn_before_adapter": True},
            "use_intermediate_ffn_before_adapter=true, add_adapter=false (the first needs the second); no",
        ),
        (
            {"add_adapter": True, "output_hidden_size": 9, "num_attention_heads": 2},
            "output_hidden_size=9, num_attention_heads=2 (the second must divide the first); no",
        ),
        (
            {"position_embeddings_type": "relative", "hidden_size": 9, "num_attention_heads": 3},
            'position_embeddings_type="relative", hidden_size=9 (the second must be even); no',
        ),
        (
            {"position_embeddings_type": "rotary", "hidden_size": 18, "num_attention_heads": 2},
            'position_embeddings_type="rotary", hidden_size=18, num_attention_heads=2 (a head must have an even',
        ),
        (
            {"tdnn_dim": [4, 4]},
            "tdnn_dim=[4, 4], tdnn_kernel=[5, 3, 3, 1, 1], tdnn_dilation=[1, 2, 3, 1, 1] (must be equally long); no",
        ),
        ({"hidden_size": 0, "vocab_size": -1}, "vocab_size=-1 (must be a whole number, at least 1); hidden_size=0 (mu"),
        ({"vocab_size": None}, "vocab_size=null (must be a whole number, at least 1); no Wav2Vec2-BERT can be made"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0 (must be a whole number, at least 1); no"),
        ({"hidden_size": "1024"}, 'hidden_size="1024" (must be a whole number, at least 1); no'),
        ({"hidden_size": True}, "hidden_size=true (must be a whole number, at least 1); no"),
        ({"left_max_position_embeddings": -1}, "left_max_position_embeddings=-1 (must be a whole number, at least 0)"),
        ({"layer_norm_eps": "small"}, 'layer_norm_eps="small" (must be a number, at least 0); no'),
        ({"hidden_act": "mish"}, 'hidden_act="mish" (must be one of swish, silu, relu, gelu, gelu_new, gel'),
        ({"hidden_act": ["swish"]}, 'hidden_act=["swish"] (must be one of swish'),
        (
            {"hidden_size": 10, "num_attention_heads": 3},
            "hidden_size=10, num_attention_heads=3 (the second must divide the first); no Wav2Vec2-BERT",
        ),
        ({"conv_depthwise_kernel_size": 4}, "conv_depthwise_kernel_size=4 (must be odd); no Wav2Vec2-BERT"),
        (
            {"hidden_size": 9, "num_attention_heads": 2, "conv_depthwise_kernel_size": 4},
            "hidden_size=9, num_attention_heads=2 (the second must divide the first); conv_depthwise_kernel_size=4 (m",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_by_field_and_value(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        Config.read({**PLAIN, **fields}, where="models/foo")
    assert str(caught.value).startswith(f"models/foo: config.json says {said}")
    assert "\n" not in str(caught.value)


def test_architectures_may_be_missing() -> None:
    without = {name: value for name, value in PLAIN.items() if name != "architectures"}
    assert Config.read(without, where="foo").vocab_size == 7
