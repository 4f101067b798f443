"""What a unit costs by itself: many units that hold one recording without a sample, through the whole engine.

    python tests/benchmarks/units.py [--units 20000]

Prints milliseconds a unit, the time to the first committed unit, and the driver's memory.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import config  # noqa: E402
from pipeline.demo import checkpoint_folder  # noqa: E402
from pipeline.noise import kept_off  # noqa: E402
from pipeline.run import run  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=20_000)
    parser.add_argument("--num-cpus", type=int, default=2)
    given = parser.parse_args()
    header = io.BytesIO()
    soundfile.write(header, np.zeros(0, np.float32), 16000, format="WAV")
    with tempfile.TemporaryDirectory() as folder, kept_off(show=False) as (console, _):
        source = Path(folder) / "source"
        for number in range(given.units):
            file = source / f"{number // 1000:03d}" / f"{number:06d}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(header.getvalue())
        options = config.make(
            {"model": str(checkpoint_folder()), "unit_bytes": len(header.getvalue()), "num_cpus": given.num_cpus}
        )
        summary = run([str(source)], str(Path(folder) / "out"), options, console=console)
        report(summary, console)


def report(summary, console: Console) -> None:
    working = summary.work_seconds - summary.startup_seconds
    console.print(
        f"units={summary.units} rows={summary.rows} plan_s={summary.plan_seconds:.1f} "
        f"first_unit_s={summary.startup_seconds:.1f} "
        f"ms_per_unit={1000 * working / max(1, summary.units):.1f} driver_MB={summary.peak_bytes['driver'] / 1e6:.0f} "
        f"pending={summary.pending_units}"
    )
    console.print("stage seconds: " + " ".join(f"{name}={value:.1f}" for name, value in summary.stage_seconds.items()))


if __name__ == "__main__":
    main()
