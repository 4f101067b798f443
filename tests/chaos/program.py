"""The transcription job, changed in two ways: every stage takes its time, and models may ask for simulated GPUs.

python tests/chaos/program.py cpus|gpus SOURCE OUTPUT ...
"""

from __future__ import annotations

import dataclasses
import sys

from pipeline.cli import run_job
from pipeline.engine import dataset, resources
from tests.chaos import slow

choose = resources.choose


def on_gpus(*given: object, **named: object) -> resources.Pools:
    """As chosen, but each model actor needs a GPU, though it computes on the CPU."""
    return dataclasses.replace(choose(*given, **named), model_gpus=1.0)


if __name__ == "__main__":
    for stage in ("Read", "Features", "Inference", "Commit"):
        setattr(dataset, stage, getattr(slow, stage))
    if sys.argv.pop(1) == "gpus":
        resources.choose = on_gpus
    sys.exit(run_job("transcribe", prog="program.py"))
