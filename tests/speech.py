"""Where the human recordings are: VOXMILL_SPEECH, or beside the clone."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ.get("VOXMILL_SPEECH", Path(__file__).resolve().parents[1] / "../shared/speech")).resolve()
