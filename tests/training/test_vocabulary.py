"""A vocabulary of letters."""

from __future__ import annotations

from pipeline.training.vocabulary import letters_of


def test_letters_are_in_order_and_no_kind_of_space_is_one() -> None:
    assert letters_of(["b a\u00a0é\tb", "c|a\u2009\n"]).tokens == ("<pad>", "<unk>", "|", "a", "b", "c", "é")
