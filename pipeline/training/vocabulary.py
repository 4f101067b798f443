"""A vocabulary of letters from the transcripts."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.text import Tokenizer

BLANK, UNKNOWN, DELIMITER = "<pad>", "<unk>", "|"


def letters_of(transcripts: Iterable[str]) -> Tokenizer:
    """Every letter of the transcripts is a token, in Unicode order, behind the blank, the unknown and the delimiter."""
    # Split as targets are, so that no kind of space becomes a token that nothing is spelled with.
    letters = sorted({letter for text in transcripts for word in text.split() for letter in word} - {DELIMITER})
    return Tokenizer(tokens=(BLANK, UNKNOWN, DELIMITER, *letters), blank_id=0, unknown_id=1, word_delimiter=DELIMITER)
