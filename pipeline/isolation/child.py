"""The process that decodes, or measures: `python -m pipeline.isolation.child`, started by `pipeline.isolation.handle`.

Whatever happens to it happens to the one file that it is at work on.
"""

from __future__ import annotations

import contextlib
import mmap
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline import sources
from pipeline.audio.reader import Reader
from pipeline.corpus import Recording, Seconds
from pipeline.errors import ErrorRow, RecordingError, VoxmillError
from pipeline.featurising import AudioFile, Buffer, featurise_file
from pipeline.isolation import messages
from pipeline.isolation.limits import limit_memory


def main() -> None:
    """Answer until nobody asks."""
    channel, shared, limit = (int(each) for each in sys.argv[1:])
    # Where it crashes is told by its exit; a core of it would only fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=channel) as ends, ends.makefile("rb") as asked, ends.makefile("wb") as told:
        try:
            messages.send(told, {"ready": True})
            told.flush()
            while True:
                order = messages.receive(asked)
                if "length" in order:
                    _answer_length(told, Recording(*order["length"]), limit=limit, seconds=order["seconds"])
                else:
                    _answer_unit(told, order, shared, limit)
        except (EOFError, ConnectionError):
            return


def _answer_length(told: BinaryIO, recording: Recording, *, limit: int, seconds: Seconds) -> None:
    try:
        with _bounded(limit, seconds), sources.open_audio(recording) as opened, Reader(opened) as reader:
            length = {"seconds": reader.declared_seconds(), "rate": reader.sample_rate}
    except RecordingError:
        length = {"seconds": None}
    except VoxmillError as error:
        _tell_fault(told, str(error))
        return
    except Exception:  # noqa: BLE001
        length = {"seconds": None}
    messages.send(told, length)
    told.flush()


def _answer_unit(told: BinaryIO, order: dict[str, Any], shared: int, limit: int) -> None:
    try:
        payload, files = _opened(shared, order["payload"], order["files"])
    except Exception as error:  # noqa: BLE001
        _tell_fault(told, f"{type(error).__name__}: {error}")
        return
    for file in files[order["first"] :]:
        _answer(told, payload, file, limit=limit, seconds=order["seconds"])


def _answer(told: BinaryIO, payload: Buffer, file: AudioFile, *, limit: int, seconds: float) -> None:
    try:
        with _bounded(limit, seconds):
            results = featurise_file(payload, file)
    except MemoryError:
        needs = f"takes more than {limit / 1e9:g} GB of memory to decode; --recording-memory allows it more"
        results = file.failed(ErrorRow("decode", "memory", needs))
    except VoxmillError as error:
        _tell_fault(told, str(error))
        return
    messages.send_results(told, results)
    told.flush()


@contextlib.contextmanager
def _bounded(limit: int, seconds: Seconds) -> Iterator[None]:
    # Ends this process, whatever it hangs in; but who asks has done so by then, unless it is gone.
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        limit_memory(limit)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        limit_memory(None)


def _tell_fault(told: BinaryIO, fault: str) -> None:
    messages.send(told, {"fault": fault})
    told.flush()


def _opened(shared: int, size: int, list_size: int) -> tuple[Buffer, list[AudioFile]]:
    """The unit's encoded bytes and its files, which whoever asks has written into a file that both have open."""
    view = memoryview(mmap.mmap(shared, size + list_size, prot=mmap.PROT_READ))
    return view[:size], messages.decode_files(bytes(view[size:]))


if __name__ == "__main__":
    main()
