"""How every command reads its arguments: a mistake is one line."""

from __future__ import annotations

import argparse
import difflib
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and the nearest option, then leave with the code for wrong usage."""
        for word in message.split():
            near = difflib.get_close_matches(word.split("=")[0], self._option_string_actions, n=1)
            if message.startswith("unrecognized") and word.startswith("--") and near:
                message += f" (did you mean {near[0]}?)"
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help\n")
