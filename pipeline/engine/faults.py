"""What fails in a cluster, wherever it shows, as the fault that a run tells and another one mends."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray.exceptions import RayError

from pipeline.errors import StorageFault


@contextmanager
def of_cluster(seen: Callable[[], None]) -> Iterator[None]:
    """Turn what the cluster raises into a fault in one line; our own bugs stay what they are.

    Args:
        seen: is called before one is raised.

    Raises:
        StorageFault: the cluster failed, or did not answer in time.
    """
    try:
        yield
    except (RayError, TimeoutError, RuntimeError) as error:
        if _is_bug(error):
            raise
        seen()
        raise StorageFault(f"the cluster stopped the run: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The line that says why: the last one where a worker's traceback stands before it, else the first."""
    text = _COLOUR.sub("", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if _TRACEBACK.search(text) else lines[0]


_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_TRACEBACK = re.compile(r'^ *File ".*", line \d+, in ', re.MULTILINE)


def _is_bug(error: BaseException) -> bool:
    """Whether it was raised by this package: Ray has RuntimeErrors of its own, and Python calls some bugs so too."""
    *_, (raised, _) = traceback.walk_tb(error.__traceback__)
    ours = str(raised.f_globals.get("__name__")).startswith("pipeline.")
    return ours and isinstance(error, RuntimeError) and not isinstance(error, RayError)
