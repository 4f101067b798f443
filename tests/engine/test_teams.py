"""Which models share an actor, and what of a GPU each actor gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.resources import Cluster, choose
from pipeline.engine.teams import LEAST_GPU, WEIGHTS_SHARE, Team, team_up
from pipeline.errors import UserError

GB = 10**9
SMALL = {"a": 2 * GB, "b": 1 * GB}


def test_models_that_fit_share_an_actor():
    assert team_up(SMALL, asked="auto", gpus_per_actor=1.0, room=80 * GB) == [Team(("a", "b"), 3 * GB, 1.0)]
    assert team_up(SMALL, asked="auto", gpus_per_actor=1.0, room=None) == [Team(("a", "b"), 3 * GB, 1.0)]


def test_on_cpus_they_share_one_unless_told_otherwise():
    assert team_up(SMALL, asked="auto", gpus_per_actor=None, room=None) == [Team(("a", "b"), 3 * GB, 0.0)]
    apart = team_up(SMALL, asked="never", gpus_per_actor=None, room=None)
    assert [(team.encoders, team.gpus) for team in apart] == [(("a",), 0.0), (("b",), 0.0)]


def test_models_that_do_not_fit_together_are_parted_in_the_order_in_which_they_run():
    sizes = {"a": 20 * GB, "b": 20 * GB, "c": 5 * GB}
    teams = team_up(sizes, asked="auto", gpus_per_actor=1.0, room=50 * GB)
    assert teams == [Team(("a",), 20 * GB, 1.0), Team(("b", "c"), 25 * GB, 1.0)]
    pools = choose(Cluster(cpus=64, gpus=5), gpus_per_actor=2.0, model_bytes=45 * GB, teams=teams)
    assert pools.model_actors == 2
    assert "2 model x 1 GPU + 1 CPU (20,000 MB), 2 model x 1 GPU + 1 CPU (25,000 MB)" in pools.describe()
    with pytest.raises(UserError, match=r"models of 20.0 GB \+ 25.0 GB in actors of their own\) need 2 GPUs"):
        choose(Cluster(cpus=64, gpus=1), gpus_per_actor=2.0, model_bytes=45 * GB, teams=teams, model_actors=1)


@pytest.mark.parametrize(("asked", "sizes"), [("auto", {"a": 60 * GB}), ("always", {"a": 30 * GB, "b": 30 * GB})])
def test_models_that_fit_nowhere_are_refused_with_their_sizes(asked, sizes):
    with pytest.raises(UserError, match="weights are 60.0 GB, and an actor may hold 48.0 GB of weights on its 1 GPU"):
        team_up(sizes, asked=asked, gpus_per_actor=1.0, room=80 * GB)


@given(st.lists(st.integers(1, 10 * GB), min_size=2, max_size=5), st.sampled_from([0.5, 1.0]))
def test_each_by_itself_gets_a_share_by_its_size_and_no_more_than_all_together(sizes, gpus):
    named = {str(number): size for number, size in enumerate(sizes)}
    teams = team_up(named, asked="never", gpus_per_actor=gpus, room=None)
    assert [team.encoders for team in teams] == [(name,) for name in named]
    assert sum(team.gpus for team in teams) <= gpus
    assert all(team.gpus >= LEAST_GPU for team in teams)
    by_size = sorted(teams, key=lambda team: team.num_bytes)
    assert [team.gpus for team in by_size] == sorted(team.gpus for team in teams)


@given(st.lists(st.integers(1, 40 * GB), min_size=1, max_size=6))
def test_every_model_runs_once_in_order_and_no_actor_holds_more_than_fits(sizes):
    named = {str(number): size for number, size in enumerate(sizes)}
    teams = team_up(named, asked="auto", gpus_per_actor=1.0, room=70 * GB)
    assert [name for team in teams for name in team.encoders] == list(named)
    assert all(team.num_bytes == sum(named[name] for name in team.encoders) for team in teams)
    assert all(team.num_bytes <= WEIGHTS_SHARE * 70 * GB for team in teams)


def test_every_team_counts_when_cpus_are_shared_out():
    teams = [Team(("a",), GB), Team(("b",), GB)]
    pools = choose(Cluster(cpus=8), gpus_per_actor=None, model_bytes=2 * GB, teams=teams)
    assert pools.cpus <= 8
    assert pools.cpus > 4
    one = choose(Cluster(cpus=8), gpus_per_actor=None, model_bytes=2 * GB)
    assert 2 * pools.model_actors <= one.model_actors + 1
    assert pools.read_cpus == one.read_cpus


def test_a_part_of_a_gpu_holds_a_part_of_its_memory():
    with pytest.raises(UserError, match=r"may hold 12.0 GB of weights on its 0.25 GPU .* a larger --gpus-per-actor$"):
        team_up({"a": 40 * GB}, asked="auto", gpus_per_actor=0.25, room=80 * GB)
    with pytest.raises(UserError, match="may hold 48.0 GB of weights on its 1 GPU"):
        team_up({"a": 60 * GB}, asked="auto", gpus_per_actor=2.0, room=80 * GB)


def test_of_several_gpus_each_by_itself_gets_whole_ones():
    teams = team_up(SMALL, asked="never", gpus_per_actor=2.0, room=None)
    assert [team.gpus for team in teams] == [2.0, 2.0]
