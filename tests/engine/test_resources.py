"""Pool sizes: everything fits, nothing waits for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.resources import Cluster, choose
from pipeline.errors import UserError


@given(cpus=st.integers(1, 512), memory=st.integers(1, 2048), model=st.integers(1, 4 << 30))
def test_every_cpu_cluster_has_a_place_for_every_stage(cpus, memory, model):
    pools = choose(Cluster(cpus=cpus, memory=memory << 30), gpus_per_actor=None, model_bytes=model)
    assert pools.cpus <= cpus + 1e-9
    assert min(pools.read_tasks, pools.feature_actors, pools.model_actors, pools.commit_tasks) >= 1


@given(gpus=st.integers(1, 64), per_gpu=st.integers(3, 32), share=st.sampled_from([0.25, 0.5, 1.0]))
def test_every_gpu_cluster_uses_all_its_gpus(gpus, per_gpu, share):
    pools = choose(Cluster(cpus=gpus * per_gpu / share, gpus=gpus), gpus_per_actor=share, model_bytes=1)
    assert pools.model_actors * pools.model_gpus == pytest.approx(gpus)
    assert pools.cpus <= gpus * per_gpu / share + 1e-9


@pytest.mark.parametrize(("cpus", "models", "features"), [(1, 1, 1), (2, 2, 1), (4, 4, 1), (16, 15, 3), (64, 61, 10)])
def test_without_gpus_there_is_a_small_model_for_each_core_that_is_left(cpus, models, features):
    pools = choose(Cluster(cpus=cpus, memory=1 << 40), gpus_per_actor=None, model_bytes=7_000_000)
    assert (pools.model_actors, pools.feature_actors) == (models, features)
    assert 0.9 * cpus < pools.cpus <= cpus


def test_one_feature_actor_feeds_many_cores_of_a_large_model():
    pools = choose(Cluster(cpus=64, memory=1 << 40), gpus_per_actor=None, model_bytes=2_300_000_000)
    assert pools.feature_actors == 1


def test_a_large_model_gets_fewer_actors_with_more_threads():
    pools = choose(Cluster(cpus=16, memory=8 << 30), gpus_per_actor=None, model_bytes=2 << 30)
    assert pools.model_actors == 2
    assert pools.model_cpus >= 5


def test_overrides_stand():
    pools = choose(Cluster(cpus=16), gpus_per_actor=None, model_bytes=1, model_actors=3, feature_actors=2, read_tasks=5)
    assert (pools.model_actors, pools.feature_actors, pools.read_tasks) == (3, 2, 5)


def test_a_plan_that_would_hang_is_refused_with_the_sums():
    with pytest.raises(
        UserError,
        match="ask for .* CPUs .* the cluster has 2, and a stage without a place would wait for ever",
    ):
        choose(Cluster(cpus=2), gpus_per_actor=None, model_bytes=1, model_actors=2, feature_actors=9)


def test_more_gpu_actors_than_gpus_are_refused():
    with pytest.raises(UserError, match="4 model actors with 1 GPU each need 4 GPUs, the cluster has 2"):
        choose(Cluster(cpus=64, gpus=2), gpus_per_actor=1.0, model_bytes=1, model_actors=4)
