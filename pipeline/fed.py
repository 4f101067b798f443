"""Frames that encoders computed, and how many of them are of no recording's own."""

from __future__ import annotations

from typing import NamedTuple


class Fed(NamedTuple):
    """Counts of frames; those of several encoders, units and runs add up.

    A step that lays a few empty rows between recordings for itself alone, as the plain convolution does, is not
    counted: every other step computes as many frames as are here.
    """

    frames: int = 0
    """All, with context and padding."""
    context: int = 0
    """Of windows, on both sides of a cut: their neighbours compute them too."""
    padding: int = 0
    """Behind the recordings of a batch, so that batches have few sizes."""

    def plus(self, other: Fed) -> Fed:
        """Both together."""
        return Fed(self.frames + other.frames, self.context + other.context, self.padding + other.padding)

    @property
    def context_share(self) -> float:
        """Of all frames, 0 to 1."""
        return self.context / self.frames if self.frames else 0.0

    @property
    def padding_share(self) -> float:
        """Of all frames, 0 to 1."""
        return self.padding / self.frames if self.frames else 0.0
