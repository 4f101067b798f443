"""Audio files to samples at 16 kHz, and samples to the features of Wav2Vec2-BERT; no torch, no storage."""

from pipeline.audio.constants import FEATURE_SIZE, SAMPLE_RATE
from pipeline.audio.decode import Decoded, decode, load
from pipeline.audio.extractor import FeatureExtractor, Padded
from pipeline.audio.fbank import fbank, num_stacked
from pipeline.audio.features import Facts, Featurised, Sampled, features_of_crops, samples_of_crops
from pipeline.audio.samples import of_one_kind
from pipeline.audio.windows import Window, cut, join

__all__ = [
    "FEATURE_SIZE",
    "SAMPLE_RATE",
    "Decoded",
    "Facts",
    "FeatureExtractor",
    "Featurised",
    "Padded",
    "Sampled",
    "Window",
    "cut",
    "decode",
    "fbank",
    "features_of_crops",
    "join",
    "load",
    "num_stacked",
    "of_one_kind",
    "samples_of_crops",
]
