"""Pool sizes: everything fits, nothing waits for ever."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.memory import Largest, Needs, needs
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


@given(nodes=st.integers(1, 64), cpus=st.integers(1, 64), reads=st.one_of(st.none(), st.integers(1, 4)))
def test_no_stage_finds_every_node_full_in_whatever_order_workers_start(nodes, cpus, reads):
    cluster = Cluster(cpus=nodes * cpus, nodes=nodes, memory=1 << 50)
    pools = choose(cluster, gpus_per_actor=None, model_bytes=7_000_000, read_tasks=reads if cpus * nodes > 4 else None)
    for workers, share in (
        (pools.read_tasks, pools.read_cpus),
        (pools.feature_actors, pools.feature_cpus),
        (pools.commit_tasks, pools.commit_cpus),
    ):
        free = cluster.cpus - (pools.cpus - workers * share)
        assert free / nodes >= share - 1e-9  # where all others have their place, some node has as much left


@given(node_cpus=st.lists(st.integers(1, 64), min_size=1, max_size=16), models=st.integers(1, 64))
def test_models_have_places_on_the_nodes_that_there_are(node_cpus, models):
    cluster = Cluster(cpus=sum(node_cpus), nodes=len(node_cpus), node_cpus=tuple(node_cpus), memory=1 << 50)
    with contextlib.suppress(UserError):
        pools = choose(cluster, gpus_per_actor=None, model_bytes=7_000_000, model_actors=models)
        others = _others(pools)
        spread = list(node_cpus)
        for share in others:
            spread[spread.index(max(spread))] -= share
        assert sum(int(free / pools.model_cpus + 1e-9) for free in spread) >= models
        # To leave no place for any model, all others together would have to take more than they do.
        assert sum(max(0.0, cpus - pools.model_cpus) for cpus in node_cpus) >= sum(others) - 1e-9


def _others(pools):
    pairs = (
        (pools.feature_actors, pools.feature_cpus),
        (pools.read_tasks, pools.read_cpus),
        (pools.commit_tasks, pools.commit_cpus),
    )
    return [share for count, share in pairs for _ in range(count)]


@pytest.mark.parametrize(("node_cpus", "models", "share"), [
    ((2, 2), 1, 1.0), ((2, 2, 2), 1, 1.0), ((8, 8, 8, 8), 5, 3.0), ((64, 4, 4), 1, 60.0), ((64, 4, 4), 3, 20.0),
])  # fmt: skip
def test_a_model_has_no_more_cpus_than_a_node_has_beside_all_others(node_cpus, models, share):
    cluster = Cluster(cpus=sum(node_cpus), nodes=len(node_cpus), node_cpus=node_cpus, memory=1 << 50)
    pools = choose(cluster, gpus_per_actor=None, model_bytes=7_000_000, model_actors=models)
    assert (pools.model_actors, pools.model_cpus) == (models, share)


def test_few_models_for_want_of_memory_have_no_more_threads_than_a_node():
    cluster = Cluster(cpus=32, nodes=4, memory=14 * GB)
    pools = choose(cluster, gpus_per_actor=None, model_bytes=7_000_000, needs=NEEDS)
    assert pools.model_actors * 8 < 32
    assert 6 <= pools.model_cpus < 8


@given(nodes=st.integers(1, 32), cpus=st.integers(4, 64))
def test_beside_gpus_no_stage_finds_every_node_full_either(nodes, cpus):
    cluster = Cluster(cpus=nodes * cpus, gpus=nodes, nodes=nodes, memory=1 << 50)
    pools = choose(cluster, gpus_per_actor=1.0, model_bytes=1)
    assert pools.model_actors == nodes
    largest = max(pools.feature_cpus, pools.model_cpus, pools.read_cpus, pools.commit_cpus)
    assert cluster.cpus - pools.cpus >= (nodes - 1) * largest - 1e-9


@pytest.mark.parametrize(("nodes", "cpus"), [(2, 1), (3, 1), (4, 8)])
def test_several_nodes_have_as_many_models_as_one_of_all_their_cpus(nodes, cpus):
    spread, one = (
        choose(Cluster(cpus=nodes * cpus, nodes=each, memory=1 << 50), gpus_per_actor=None, model_bytes=7_000_000)
        for each in (nodes, 1)
    )
    assert spread.model_actors == one.model_actors
    assert spread.model_cpus < one.model_cpus


def test_few_cpus_are_shared_by_what_each_stage_needs():
    pools = choose(Cluster(cpus=1), gpus_per_actor=None, model_bytes=7_000_000)
    assert pools.describe() == "1 read x 0.15 CPU, 1 features x 0.25 CPU, 1 model x 0.5 CPU, 1 commit x 0.1 CPU"


GB = 10**9
NEEDS = Needs(read=GB // 4, features=GB, commit=GB // 4, models=(2 * GB,))


@pytest.mark.parametrize(("gb", "features", "models"), [(100, 3, 15), (20, 3, 8), (8, 3, 2), (6, 3, 1), (4, 1, 1)])
def test_there_are_no_more_workers_than_have_room_for_their_memory(gb, features, models):
    pools = choose(Cluster(cpus=16, memory=gb * GB), gpus_per_actor=None, model_bytes=7_000_000, needs=NEEDS)
    assert (pools.feature_actors, pools.model_actors) == (features, models)
    assert pools.memory <= gb * GB


def test_models_that_are_fewer_for_want_of_memory_have_more_threads():
    pools = choose(Cluster(cpus=16, memory=8 * GB), gpus_per_actor=None, model_bytes=7_000_000, needs=NEEDS)
    assert pools.model_cpus >= 7


def test_workers_that_feed_gpus_are_no_more_than_have_room():
    cluster = Cluster(cpus=96, gpus=8, memory=64 * GB)
    pools = choose(cluster, gpus_per_actor=1.0, model_bytes=1, needs=NEEDS)
    assert pools.model_actors == 8
    assert pools.feature_actors == (64 - 3 - 1.5 - 16) // 1
    assert pools.memory <= cluster.memory


@given(cpus=st.integers(1, 256), gb=st.integers(1, 512), nodes=st.integers(1, 16), size=st.integers(0, 4))
def test_what_is_asked_for_fits_or_is_refused_with_its_size(cpus, gb, nodes, size):
    asked = needs(Largest(GB // 4, 3600.0 * size), [size * GB], gpu=False)
    cluster = Cluster(cpus=cpus * nodes, memory=gb * nodes * GB, nodes=nodes)
    with contextlib.suppress(UserError):
        pools = choose(cluster, gpus_per_actor=None, model_bytes=size * GB, needs=asked)
        assert pools.memory <= cluster.memory
        assert asked.largest <= gb * GB
        return
    with pytest.raises(UserError, match="GB of memory|CPUs") as refused:
        choose(cluster, gpus_per_actor=None, model_bytes=size * GB, needs=asked)
    assert gb < 12 or "CPUs" in str(refused.value)


def test_memory_that_is_not_there_is_refused_with_the_sums_and_a_remedy():
    with pytest.raises(
        UserError,
        match=r"ask for 3.5 GB of memory \(1 read x 0.15 CPU \+ 0.25 GB, 1 features x 0.25 CPU \+ 1 GB, .*"
        r"the cluster has 3.0 GB; use fewer --model-actors.*--unit-seconds",
    ):
        choose(Cluster(cpus=2, memory=3 * GB), gpus_per_actor=None, model_bytes=1, needs=NEEDS)


def test_a_worker_that_fits_no_node_is_refused():
    with pytest.raises(UserError, match=r"one worker asks for 2.0 GB of memory .* a node has 1.5 GB; use larger nodes"):
        choose(Cluster(cpus=16, memory=24 * GB, nodes=16), gpus_per_actor=None, model_bytes=1, needs=NEEDS)


def test_overrides_that_do_not_fit_into_memory_are_refused():
    with pytest.raises(UserError, match="GB of memory .*use fewer --model-actors"):
        choose(Cluster(cpus=64, memory=8 * GB), gpus_per_actor=None, model_bytes=1, model_actors=9, needs=NEEDS)


def test_a_cluster_that_does_not_tell_its_memory_is_asked_for_none():
    pools = choose(Cluster(cpus=16, memory=0), gpus_per_actor=None, model_bytes=7_000_000, needs=NEEDS)
    assert (pools.model_actors, pools.needs) == (15, Needs())


def test_a_model_for_which_no_cpu_is_left_is_refused():
    with pytest.raises(UserError, match=r"1 model x 0.25 CPU.* the cluster has 1, "):
        choose(Cluster(cpus=1), gpus_per_actor=None, model_bytes=1, read_tasks=4)


@pytest.mark.parametrize(
    ("gpus", "cpus", "expected"),
    [
        (1, 2, "1 read x 0.25 CPU, 1 features x 1 CPU, 1 model x 1 GPU + 0.5 CPU, 1 commit x 0.25 CPU"),
        (1, 8, "1 read x 0.25 CPU, 6 features x 1 CPU, 1 model x 1 GPU + 1 CPU, 1 commit x 0.25 CPU"),
        (1, 96, "2 read x 0.25 CPU, 94 features x 1 CPU, 1 model x 1 GPU + 1 CPU, 1 commit x 0.25 CPU"),
        (8, 96, "12 read x 0.25 CPU, 83 features x 1 CPU, 8 model x 1 GPU + 1 CPU, 6 commit x 0.25 CPU"),
    ],
)
def test_what_the_gpus_leave_decodes_and_featurises(gpus, cpus, expected):
    assert choose(Cluster(cpus=cpus, gpus=gpus), gpus_per_actor=1.0, model_bytes=1).describe() == expected


def test_shares_that_do_not_add_up_in_floats_still_fill_a_gpu():
    assert choose(Cluster(cpus=64, gpus=0.3), gpus_per_actor=0.1, model_bytes=1).model_actors == 3


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="0 model actors with 1 GPU each need 1 GPUs, the cluster has 0.5"):
        choose(Cluster(cpus=64, gpus=0.5), gpus_per_actor=1.0, model_bytes=1)


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
