"""A commit that takes its time before and after each step, so that a kill finds it half done."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

from pipeline.engine import stages
from pipeline.table import commit

MOST = 0.1
"""Seconds of each pause."""


class Commit(stages.Commit):
    """Pauses before and after a link is made, and before and after an object is put."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        os.link = _paused(os.link)
        commit.put_if_absent = _paused(commit.put_if_absent)


def _paused(step: Callable[..., Any]) -> Callable[..., Any]:
    def pausing(*given: Any, **named: Any) -> Any:
        time.sleep(random.uniform(0, MOST))
        done = step(*given, **named)
        time.sleep(random.uniform(0, MOST))
        return done

    return pausing
