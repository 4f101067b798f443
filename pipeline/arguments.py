"""How every command reads its arguments: a mistake is one line."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.elsewhere: dict[str, str] = {}
        """Options that this command has not -> the commands that have them."""

    @property
    def option_names(self) -> set[str]:
        """All options, as they are spelled."""
        return set(self._option_string_actions)

    def parse_mixed(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Read arguments of which options may stand between the others: `SOURCE --model DIR OUTPUT`."""
        words = sys.argv[1:] if argv is None else list(argv)
        # Read apart from the options, what follows `--` would be taken for options again.
        return self.parse_args(words) if "--" in words else self.parse_intermixed_args(words)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and the nearest option, then leave with the code for wrong usage."""
        if message.startswith("unrecognized"):
            options = [word.partition("=")[0] for word in message.split() if word.startswith("--")]
            message += "".join(map(self._hint, options))
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help\n")

    def _hint(self, option: str) -> str:
        if option in self.elsewhere:
            return f" ({option} is an option of {self.elsewhere[option]})"
        near = difflib.get_close_matches(option, self._option_string_actions, n=1, cutoff=0.7)
        return f" (did you mean {near[0]}?)" if near else ""
