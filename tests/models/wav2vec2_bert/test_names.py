from __future__ import annotations

from itertools import product

from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.heads import CtcModel
from pipeline.models.wav2vec2_bert.names import stored

SIZES = {"hidden_size": 8, "num_hidden_layers": 11, "num_attention_heads": 2, "intermediate_size": 12, "vocab_size": 5}


def test_every_tensor_of_transformers_has_one_of_ours_with_its_shape() -> None:
    for mask_time_prob, positions in product((0.05, 0.0), (None, "relative_key", "relative", "rotary")):
        fields = {"mask_time_prob": mask_time_prob, "position_embeddings_type": positions}
        if positions is None:
            fields |= {"add_adapter": True, "use_intermediate_ffn_before_adapter": True, "output_hidden_size": 6}
        theirs = Wav2Vec2BertConfig(**SIZES, **fields, architectures=["Wav2Vec2BertForCTC"])
        ours = CtcModel(Config.read(theirs.to_dict(), where="foo"), kernel="plain")
        shapes = {entry.name: entry.shape for entry in stored(ours).values()}
        assert shapes == {name: tuple(t.shape) for name, t in Wav2Vec2BertForCTC(theirs).state_dict().items()}
        assert len(stored(ours)) == len(shapes)
