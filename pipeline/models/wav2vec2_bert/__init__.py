"""Wav2Vec2-BERT: config, attention, convolution, block, encoder, adapter, heads, in this order."""
