"""What a Wav2Vec2-BERT's config.json says: every field that transformers knows, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pipeline.models.wav2vec2_bert.checks import check_fields, check_kind
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES, Head, head_of, labels_of


@dataclass(frozen=True, kw_only=True)
class Config:
    """The fields of config.json; defaults are those of `facebook/w2v-bert-2.0`."""

    document: Mapping[str, Any]
    """All of config.json as it was read, to be written back unchanged."""
    vocab_size: int = 0
    """V, tokens that a CTC head scores, blank included; 0 where config.json has none: then there is no such head."""
    hidden_size: int = 1024
    """d, channels of the encoder."""
    num_hidden_layers: int = 24
    """Blocks of the encoder."""
    num_attention_heads: int = 16
    """H; divides `hidden_size`."""
    intermediate_size: int = 4096
    """Channels inside a feed-forward."""
    feature_projection_input_dim: int = 160
    """Features of one frame: two stacked frames of 80 mel bins."""
    hidden_act: str = "swish"
    """Name of the activation in feed-forwards and convolutions."""
    layer_norm_eps: float = 1e-5
    """Added to the variance in every layer norm."""
    conv_depthwise_kernel_size: int = 31
    """Frames that the causal convolution sees: this one and those before it; odd."""

    position_embeddings_type: str | None = "relative_key"
    """How attention knows positions."""
    left_max_position_embeddings: int = 64
    """Distance in frames to the left beyond which `relative_key` tells no more."""
    right_max_position_embeddings: int = 8
    """The same to the right."""
    max_source_positions: int = 5000
    """Frames for which `relative` is made ahead elsewhere; limits nothing."""
    rotary_embedding_base: int = 10000
    """Ratio between the slowest and about the fastest angle of `rotary`."""

    add_adapter: bool = False
    """Whether strided attention layers stand on the encoder and lower the frame rate."""
    adapter_kernel_size: int = 3
    """Frames that a convolution of the adapter sees."""
    adapter_stride: int = 2
    """Frames in for a frame out, in each layer of the adapter."""
    num_adapter_layers: int = 1
    """Layers of the adapter."""
    adapter_act: str = "relu"
    """Name of the activation in the adapter's feed-forwards."""
    use_intermediate_ffn_before_adapter: bool = False
    """Whether half a feed-forward stands between encoder and adapter."""
    output_hidden_size: int | None = None
    """Channels of the adapter; null for `hidden_size`."""

    use_weighted_layer_sum: bool = False
    """Whether heads other than CTC see a learned mean of all layers instead of the last."""
    classifier_proj_size: int = 768
    """Channels that sequence classification pools."""
    tdnn_dim: tuple[int, ...] = (512, 512, 512, 512, 1500)
    """Channels out of each TDNN layer of an x-vector."""
    tdnn_kernel: tuple[int, ...] = (5, 3, 3, 1, 1)
    """Frames that each sees."""
    tdnn_dilation: tuple[int, ...] = (1, 2, 3, 1, 1)
    """Steps between them."""
    xvector_output_dim: int = 512
    """Channels of a speaker embedding."""

    initializer_range: float = 0.02
    """Standard deviation of the weights of a new head."""
    hidden_dropout: float = 0.0
    """Training: share dropped after feed-forwards and projection."""
    activation_dropout: float = 0.0
    """Training: share dropped inside feed-forwards."""
    attention_dropout: float = 0.0
    """Training: share of attention's weights dropped, and of what comes out of it."""
    feat_proj_dropout: float = 0.0
    """Training: share dropped after the feature projection."""
    conformer_conv_dropout: float = 0.1
    """Training: share dropped after convolutions, and after the attention of an adapter."""
    final_dropout: float = 0.1
    """Training: share dropped before the CTC head."""
    layerdrop: float = 0.1
    """Training: share of layers left out."""
    apply_spec_augment: bool = True
    """Training: whether masks are drawn at all."""
    mask_time_prob: float = 0.05
    """Share of frames masked in training; this or `mask_feature_prob` above 0 means a mask embedding."""
    mask_time_length: int = 10
    """Training: frames of one mask."""
    mask_time_min_masks: int = 2
    """Training: fewest masks of a recording."""
    mask_feature_prob: float = 0.0
    """Share of channels masked in training."""
    mask_feature_length: int = 10
    """Training: channels of one mask."""
    mask_feature_min_masks: int = 0
    """Training: fewest masks over channels."""
    ctc_loss_reduction: str = "sum"
    """Training: how losses of a batch become one."""
    ctc_zero_infinity: bool = False
    """Training: whether impossible alignments count as 0."""

    pad_token_id: int | None = 0
    """Token that a CTC head takes for its blank."""
    bos_token_id: int | None = 1
    """Unused here."""
    eos_token_id: int | list[int] | None = 2
    """Unused here."""

    @property
    def head(self) -> Head:
        """What stands on the encoder."""
        found = head_of(self.document)
        assert found is not None, "checked when it was read"
        return found

    @property
    def head_size(self) -> int:
        """D, channels of an attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def has_mask_embedding(self) -> bool:
        """Whether the checkpoint holds the vector that stands in for masked frames in training."""
        return self.mask_time_prob > 0 or self.mask_feature_prob > 0

    @property
    def adapter_size(self) -> int:
        """Channels of the adapter."""
        return self.hidden_size if self.output_hidden_size is None else self.output_hidden_size

    @property
    def output_size(self) -> int:
        """Channels of what encoder and adapter give."""
        return self.adapter_size if self.add_adapter else self.hidden_size

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of a classifier's scores; two where config.json names none."""
        return labels_of(self.document)

    @classmethod
    def read(cls, document: Mapping[str, Any], *, where: str, head: Head | None = None) -> Config:
        """Make it from a parsed config.json; `where` is what messages call the checkpoint.

        Another `head` than the document has becomes part of the document.

        Raises:
            UserError: naming every field, with its value, that we do not run or that contradicts another.
        """
        if head is not None and head_of(document) != head:
            document = {**document, "architectures": [ARCHITECTURES[head]]}
        check_kind(document, where=where)
        given = {f.name: document[f.name] for f in fields(cls) if f.name in document and f.name != "document"}
        if given.get("vocab_size", 0) is None:
            del given["vocab_size"]
        lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list) and "tdnn" in name}
        config = cls(document=dict(document), **{**given, **lists})
        check_fields(config, where=where)
        return config
