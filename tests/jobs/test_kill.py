"""A driver that is killed loses nothing and doubles nothing."""

import pytest

from tests.jobs.killing import torment


@pytest.mark.slow
def test_killed_twice_and_finished(tmp_path):
    outcome = torment(tmp_path, kills=2, recordings=60, seed=7)
    assert outcome.kept, outcome
    assert outcome.kills == 2
    assert 0 < outcome.units_at_kill[0] < outcome.planned
    assert outcome.planned == 60
    assert outcome.globs > 0
