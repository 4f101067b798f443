"""How every command reads its arguments: a mistake is one line."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line."""

    def parse_mixed(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Read arguments of which options may stand between the others: `SOURCE --model DIR OUTPUT`."""
        words = sys.argv[1:] if argv is None else list(argv)
        # Read apart from the options, what follows `--` would be taken for options again.
        return self.parse_args(words) if "--" in words else self.parse_intermixed_args(words)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and the nearest option, then leave with the code for wrong usage."""
        for word in message.split():
            near = difflib.get_close_matches(word.split("=")[0], self._option_string_actions, n=1)
            if message.startswith("unrecognized") and word.startswith("--") and near:
                message += f" (did you mean {near[0]}?)"
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help\n")
