"""Which versions made a result."""

from __future__ import annotations

import functools
import platform
from importlib import metadata

PACKAGES = ("ray", "torch", "numpy", "pyarrow", "soundfile", "soxr")


@functools.cache
def versions() -> dict[str, str]:
    """Name -> version of Python, of Voxmill and of what changes numbers or messages."""
    from pipeline import __version__

    found = {"voxmill": __version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in PACKAGES}
