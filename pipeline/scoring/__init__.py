"""How far labels are from references: pure functions of arrays and strings, one module a kind of label."""

from pipeline.scoring.words import CharacterErrors, WordErrors, character_errors, normalise, word_errors

__all__ = ["CharacterErrors", "WordErrors", "character_errors", "normalise", "word_errors"]
