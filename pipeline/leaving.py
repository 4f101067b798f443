"""End a process with the code that its work came to.

Arrow's threads may still be at work while the interpreter takes itself down, and one that then wants a Python object
aborts the process: code 134 after all was well (apache/arrow #34314). So what is registered for the end is done, and
the process ends without being taken down.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Flush what was said, do what was registered for the end, and end the process."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # Closed, or with a reader that is gone: nobody misses the rest.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
