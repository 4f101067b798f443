"""Strings and logits: the vocabulary of a checkpoint, and from CTC outputs words with times."""

from pipeline.text.ctc import best_path, ctc_decode, words_of
from pipeline.text.tokenizer import Tokenizer
from pipeline.text.transcript import Letter, Transcript, batch_decode
from pipeline.text.words import Word, confidence_of, text_of

__all__ = [
    "Letter",
    "Tokenizer",
    "Transcript",
    "Word",
    "batch_decode",
    "best_path",
    "confidence_of",
    "ctc_decode",
    "text_of",
    "words_of",
]
