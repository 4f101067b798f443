"""Inputs that grow by what they reach: doors under atheris, which watches the branches of our parsers.

    python -m pip install atheris          # no dependency: it has wheels for Linux on x86-64 and CPython alone
    python tests/fuzz/guided.py [--doors tar,plan] [--minutes 1] [--folder found/] [options of libFuzzer, as -seed=3]

Each door runs in a process of its own, up to the first input that something is wrong with. Fails where there is one;
it lies in the folder, with what libFuzzer said of each door.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import importlib.util
import io
import os
import re
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.door import Door  # noqa: E402
from tests.fuzz.session import HANG, memory_folder  # noqa: E402


@dataclass(frozen=True, slots=True)
class Told:
    """What libFuzzer told of a door."""

    runs: int
    coverage: int
    """Branches of our code that ran."""
    finding: str
    """What went wrong, and the file that holds its input; nothing where all was well."""


def watched(names: Sequence[str] = ()) -> list[Door]:
    """Doors by their names, or all; atheris watches what is imported here first: our parsers."""
    import atheris

    # It looks at the first part of a name alone.
    with atheris.instrument_imports(include=["pipeline"]), contextlib.redirect_stderr(io.StringIO()):
        from tests.fuzz.run import doors

        return doors(names)


def guided(door: Door, folder: Path, options: Sequence[str]) -> Told:
    """Put inputs through a door until something is wrong with one, or libFuzzer ends.

    Args:
        door: which one.
        folder: for that input, and for what libFuzzer says.
        options: of libFuzzer; they win over our own.
    """
    log = folder.absolute() / f"{door.name}.log"
    # A process that libFuzzer ends leaves its files.
    with tempfile.TemporaryDirectory(dir=memory_folder()) as scratch:
        child = os.fork()
        if not child:
            try:
                _fuzz(door, Path(scratch), log, options)
            except BaseException:  # noqa: BLE001
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return told(log.read_text(errors="replace"), code)


def _fuzz(door: Door, scratch: Path, log: Path, options: Sequence[str]) -> None:
    """Never comes back where all is well."""
    import atheris

    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # libFuzzer leaves a signal to whoever took it before.
    faulthandler.disable()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    opened = door.open(scratch)
    corpus = scratch / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(opened.seeds):
        opened.check(seed)
        (corpus / str(number)).write_bytes(seed)

    def check(data: bytes) -> None:
        opened.check(data)

    ours = [*_bounds(door), f"-artifact_prefix={log.with_suffix('')}-"]
    atheris.Setup(["guided", *ours, *options, str(corpus)], check)
    libc = ctypes.CDLL(None)
    # The libraries that end after libFuzzer would wait for threads that a forked process does not have.
    libc.on_exit(libc._exit, None)
    try:
        atheris.Fuzz()
    except SystemExit:
        # An input raised something; libFuzzer keeps it at the exit of the C library, which os._exit passes by.
        libc.exit(1)


def _bounds(door: Door) -> list[str]:
    """Those of a door, as options of libFuzzer, which knows the most memory that a process ever held."""
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) + (door.memory >> 20)
    # Libraries in C talk about what they read.
    return [f"-timeout={HANG:.0f}", f"-rss_limit_mb={megabytes}", "-close_fd_mask=2"]


def told(log: str, code: int) -> Told:
    """What libFuzzer told in a process that ended with this code."""
    runs, coverage = (re.findall(pattern, log, re.M) for pattern in (r"^#(\d+)\s", r" cov: (\d+)"))
    return Told(int((runs or [0])[-1]), int((coverage or [0])[-1]), _finding(log, code) if code else "")


def _finding(log: str, code: int) -> str:
    why = re.search(r"Uncaught Python exception: ===\n(.*)|ERROR: libFuzzer: (.*)", log)
    kept = re.search(r"Test unit written to (.*)", log)
    return f"{why[1] or why[2] if why else f'exit code {code}'} with {Path(kept[1]).name if kept else 'no input'}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--doors", default="", help="names, with commas; default: all")
    parser.add_argument("--minutes", type=float, default=1, help="for each door")
    parser.add_argument("--folder", type=Path, help="where inputs that something is wrong with are kept")
    given, options = parser.parse_known_args()
    # What is none it takes for a folder of inputs.
    if unknown := [option for option in options if not re.fullmatch(r"-\w+=.*", option)]:
        parser.error(f"neither an option of ours nor one of libFuzzer, as -seed=3: {' '.join(unknown)}")
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: python -m pip install atheris; tests/fuzz/run.py needs none", file=sys.stderr)
        return 2
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fuzz-found-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    # To libFuzzer 0 seconds are no limit.
    limit = f"-max_total_time={max(1, round(60 * given.minutes))}"
    for door in watched(tuple(filter(None, given.doors.split(",")))):
        found = guided(door, folder, [limit, *options])
        print(f"{door.name:17} {found.runs:>9,} runs, coverage {found.coverage:>5,}, {bool(found.finding):d} findings")
        if found.finding:
            failed = True
            print(f"  {found.finding}")
        sys.stdout.flush()
    print(f"inputs of findings are in {folder}" if failed else "nothing was found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
