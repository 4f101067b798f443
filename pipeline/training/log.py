"""What a training says: lines in a file of the output, which the command shows as they come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.corpus import Seconds

LOG = "training.log"
PAUSE: Seconds = 0.5
"""Between two looks at the file."""


def teller(path: Path) -> Callable[[str], None]:
    """Give a function that adds a line to the file."""

    def say(words: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(words + "\n")

    return say


@contextmanager
def followed(path: Path, show: Callable[[str], None], *, pause: Seconds = PAUSE) -> Iterator[None]:
    """Show every line that is added to the file while the block runs, whoever writes it."""
    start = path.stat().st_size if path.exists() else 0
    done = threading.Event()
    thread = threading.Thread(target=_follow, args=(path, start, show, done, pause), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _follow(path: Path, start: int, show: Callable[[str], None], done: threading.Event, pause: Seconds) -> None:
    ended = False
    while not ended:
        # Looked at before the file: what was written before the end is still shown.
        ended = done.wait(pause)
        if not path.exists():
            continue
        with path.open("rb") as file:
            file.seek(start)
            found = file.read()
        whole = found[: found.rfind(b"\n") + 1]
        start += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            show(line)
