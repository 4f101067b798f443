"""Decoding in a process of its own: a file that crashes its decoder, or keeps it for ever, costs only itself."""

from pipeline.isolation.lengths import Lengths
from pipeline.isolation.process import Isolated, Limits

__all__ = ["Isolated", "Lengths", "Limits"]
