"""Stages that take their time, so that a kill finds each of them at work, and commits half done."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

from pipeline.engine import stages
from pipeline.table import commit

MOST = 0.3
"""Seconds that a unit takes longer in a stage."""


class Read(stages.Read):
    def __call__(self, *given: Any) -> Any:
        return _paused(super().__call__)(*given)


class Features(stages.Features):
    def __call__(self, *given: Any) -> Any:
        return _paused(super().__call__)(*given)


class Inference(stages.Inference):
    def __call__(self, *given: Any) -> Any:
        return _paused(super().__call__)(*given)


class Commit(stages.Commit):
    """Pauses before and after a link is made, and before and after an object is put."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        os.link = _paused(os.link)
        commit.put_if_absent = _paused(commit.put_if_absent)


def _paused(step: Callable[..., Any]) -> Callable[..., Any]:
    def pausing(*given: Any, **named: Any) -> Any:
        time.sleep(random.uniform(0, MOST / 2))
        done = step(*given, **named)
        time.sleep(random.uniform(0, MOST / 2))
        return done

    return pausing
