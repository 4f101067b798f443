"""How much arithmetic an encoder takes, counted from its configuration."""

from __future__ import annotations

from pipeline.models.wav2vec2_bert.config import Config


def operations(config: Config, frames: int) -> int:
    """Multiplications and additions of all matrix products for one recording of so many frames."""
    size, distances = config.hidden_size, config.left_max_position_embeddings + 1 + config.right_max_position_embeddings
    # Two feed-forwards; queries, keys, values and what comes out; the gated and the last layer of the convolution.
    weights = 4 * size * config.intermediate_size + (4 + 3) * size**2
    attention = 2 * frames * size + distances * size
    ends = size * (config.feature_projection_input_dim + config.vocab_size)
    return 2 * frames * (config.num_hidden_layers * (weights + attention) + ends)
