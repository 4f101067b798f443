"""Wav2Vec2-BERT: config, attention, convolution, block, encoder, heads, in this order."""
