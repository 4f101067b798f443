"""Inputs that grow by what they reach: a door under atheris, which watches the branches of our parsers.

    python -m pip install atheris          # no dependency: it has wheels for Linux on x86-64 and CPython alone
    python tests/fuzz/guided.py tar [options of libFuzzer, such as -max_total_time=60]

Ends with the first input that something is wrong with, which libFuzzer writes into a file of the working folder.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def main() -> int:
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: python -m pip install atheris; tests/fuzz/run.py needs none", file=sys.stderr)
        return 2
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    # Before anything imports them, for what is imported here is what is watched.
    with atheris.instrument_imports(
        include=["pipeline.sources", "pipeline.documents", "pipeline.text", "pipeline.plan"]
    ):
        from tests.fuzz.run import doors

        (door,) = doors([sys.argv[1]])
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as corpus:
        opened = door.open(Path(folder))
        for number, seed in enumerate(opened.seeds):
            Path(corpus, str(number)).write_bytes(seed)

        def one(data: bytes) -> None:
            opened.check(data)

        atheris.Setup([sys.argv[0], *sys.argv[2:], corpus], one)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
