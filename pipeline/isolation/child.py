"""The process that decodes: `python -m pipeline.isolation.child`, started by `pipeline.isolation.process`.

Whatever happens to it happens to the one file that it is at work on.
"""

from __future__ import annotations

import math
import mmap
import os
import resource
import socket
import sys
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import ErrorRow, VoxmillError
from pipeline.featurising import AudioFile, Buffer, featurise_file
from pipeline.isolation import messages

_STATM = Path("/proc/self/statm")


def main() -> None:
    """Answer until nobody asks."""
    channel, payload, limit = (int(each) for each in sys.argv[1:])
    # Where it crashes is told by its exit; a core of it would only fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=channel) as ends, ends.makefile("rb") as asked, ends.makefile("wb") as told:
        try:
            _answer_all(asked, told, payload, limit)
        except (EOFError, ConnectionError):
            return


def _answer_all(asked: BinaryIO, told: BinaryIO, payload: int, limit: int) -> None:
    messages.write(told, {"ready": True})
    told.flush()
    blob: Buffer = b""
    while True:
        message = messages.read(asked)
        if "size" in message:
            blob = _mapped(payload, message["size"])
            _limit_memory(limit)
            continue
        _limit_time(message["seconds"])
        _answer(told, blob, messages.to_file(message["file"]), limit)
        told.flush()


def _answer(told: BinaryIO, blob: Buffer, file: AudioFile, limit: int) -> None:
    try:
        results = featurise_file(blob, file)
    except MemoryError:
        needs = f"takes more than {limit / 1e9:g} GB of memory to decode; --recording-memory allows it more"
        results = file.failed(ErrorRow("decode", "memory", needs))
    except VoxmillError as error:
        messages.write(told, {"fault": str(error)})
        return
    messages.write_results(told, results)


def _mapped(payload: int, size: int) -> Buffer:
    """The unit's encoded bytes, which whoever asks has written into a file that both have open."""
    return memoryview(mmap.mmap(payload, size, prot=mmap.PROT_READ)) if size else b""


def _limit_memory(more: int) -> None:
    """Let this process have so many bytes more than it has now, where the system tells what it has."""
    if _STATM.exists():
        have = int(_STATM.read_text().split()[0]) * mmap.PAGESIZE
        _limit(resource.RLIMIT_AS, have + more)


def _limit_time(seconds: float) -> None:
    """End this process after so much time on every CPU: whoever asked would have ended it before, and so is gone."""
    spent = sum(os.times()[:2])
    _limit(resource.RLIMIT_CPU, math.ceil(spent + seconds * (os.cpu_count() or 1)) + 1)


def _limit(what: int, soft: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


if __name__ == "__main__":
    main()
