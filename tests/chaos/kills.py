"""Kill the driver at seeded random moments, finish the run, and compare the plan with the table.

    python tests/chaos/kills.py [--kills 5] [--seed 1]

Fails on the first broken promise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.jobs.killing import torment  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = torment(Path(folder), kills=given.kills, recordings=given.recordings, seed=given.seed)
    print(
        f"seed={given.seed} kills={outcome.kills} units_at_kill={outcome.units_at_kill} planned={outcome.planned} "
        f"rows={outcome.rows} unique={outcome.unique} reads_in_the_middle={outcome.globs} broken={outcome.broken} "
        f"verify={'holds' if outcome.verified else 'broken'}"
    )
    return 0 if outcome.kept else 1


if __name__ == "__main__":
    sys.exit(main())
