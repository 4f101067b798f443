"""A vocabulary of letters from the transcripts."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.text import Tokenizer

BLANK, UNKNOWN, DELIMITER = "<pad>", "<unk>", "|"


def letters_of(transcripts: Iterable[str]) -> Tokenizer:
    """Every letter of the transcripts is a token, in Unicode order, behind the blank, the unknown and the delimiter."""
    letters = sorted({letter for text in transcripts for letter in text} - {DELIMITER} - set(" \t\r\n"))
    return Tokenizer(tokens=(BLANK, UNKNOWN, DELIMITER, *letters), blank_id=0, unknown_id=1, word_delimiter=DELIMITER)
