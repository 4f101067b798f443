#!/usr/bin/env python3
"""Label the frames of a corpus: python jobs/label_frames.py SOURCE OUTPUT --model DIR_OR_HUB_ID."""

import sys
from pathlib import Path

# A working directory that a cluster unpacked is not installed; the package lies beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from pipeline.early import heed_signals

    heed_signals()
    from pipeline.cli import run_job
    from pipeline.leaving import leave
except ModuleNotFoundError as missing:
    sys.exit(f"{sys.executable} has no package {missing.name}; after `make demo` use .venv/bin/python")

if __name__ == "__main__":
    leave(run_job("frames", prog="python jobs/label_frames.py"))
