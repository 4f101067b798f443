"""What a process may take, set by itself."""

from __future__ import annotations

import mmap
import resource
from pathlib import Path

_STATM = Path("/proc/self/statm")


def limit_memory(more: int | None) -> None:
    """Let this process have so many bytes more than now, where the system tells what it has; None is no limit."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = hard
    if more is not None and _STATM.exists():
        soft = int(_STATM.read_text().split()[0]) * mmap.PAGESIZE + more
    limited = hard if hard != resource.RLIM_INFINITY and (soft > hard or soft == resource.RLIM_INFINITY) else soft
    resource.setrlimit(resource.RLIMIT_AS, (limited, hard))
