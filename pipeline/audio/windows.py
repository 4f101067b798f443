"""Cut a long recording's frames into windows with context, and join what the model made of them.

Frames are the stacked ones, 50 a second; numbers are absolute. Where spans meet: see `crops` and `seams`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Window:
    """Frames [start, stop) are fed to the model, outputs of [keep_start, keep_stop) are kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def cut(num_frames: int, *, window: int, context: int) -> tuple[Window, ...]:
    """Cover [0, num_frames) with as few windows as possible, equally long to one frame.

    Every kept frame is fed with `context` frames on both sides, or all that there are; kept parts meet
    without gap or overlap.

    Args:
        num_frames: 0 gives no window.
        window: most frames that a window feeds, context included.
        context: frames on each side whose outputs are thrown away; less than half of `window`.

    Raises:
        ValueError: for a context that leaves nothing to keep.
    """
    if context < 0 or window <= 2 * context:
        raise ValueError(f"`window` must be more than twice `context` >= 0, got window={window}, context={context}")
    if num_frames <= 0:
        return ()
    if num_frames <= window:
        return (Window(0, num_frames, 0, num_frames),)
    inner = num_frames - 2 * context
    num_windows = -(-inner // (window - 2 * context))
    edges = [inner * index // num_windows for index in range(num_windows + 1)]
    seams = [0, *(edge + context for edge in edges[1:-1]), num_frames]
    return tuple(
        Window(edges[index], edges[index + 1] + 2 * context, seams[index], seams[index + 1])
        for index in range(num_windows)
    )


def join(windows: Sequence[Window], outputs: Sequence[NDArray[Scalar]]) -> NDArray[Scalar]:
    """Put the kept parts of frame-wise outputs together: the inverse of `cut`.

    Args:
        windows: what `cut` gave, at least one.
        outputs: for each the model's output for the frames fed, (stop - start, ...).

    Returns:
        (num_frames, ...) with the outputs' dtype.

    Raises:
        ValueError: where an output does not have one row for each frame fed.
    """
    kept = []
    for window, output in zip(windows, outputs, strict=True):
        if len(output) != window.stop - window.start:
            raise ValueError(f"`outputs` must hold {window.stop - window.start} rows for {window}, got {len(output)}")
        kept.append(output[window.keep_start - window.start : window.keep_stop - window.start])
    return np.concatenate(kept)
