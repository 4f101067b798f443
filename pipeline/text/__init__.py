"""Strings and logits: the vocabulary of a checkpoint, and from CTC outputs words with times."""

from pipeline.text.ctc import SECONDS_PER_FRAME, best_path, ctc_decode, words_of
from pipeline.text.tokenizer import Tokenizer
from pipeline.text.words import Word, confidence_of, text_of

__all__ = [
    "SECONDS_PER_FRAME",
    "Tokenizer",
    "Word",
    "best_path",
    "confidence_of",
    "ctc_decode",
    "text_of",
    "words_of",
]
