"""The manifest of a run on Kubernetes, held against the constraints, the package and the job's options."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SPEC_FIELDS = {
    "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec",
}  # fmt: skip
CLUSTER_FIELDS = {
    "rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs",
}  # fmt: skip
GROUP_FIELDS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
UNITS = {"Gi": 2**30, "Mi": 2**20}


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((ROOT / "infra/kuberay/rayjob.yaml").read_text()))
    assert len(documents) == 1
    found: dict[str, Any] = documents[0]
    return found


def groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def container(group: dict[str, Any]) -> dict[str, Any]:
    (only,) = group["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def amount(quantity: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", quantity).groups()  # type: ignore[union-attr]
    return float(number) * UNITS.get(unit, 1)


def test_the_fields_are_those_of_a_rayjob(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) == SPEC_FIELDS
    assert set(job["spec"]["rayClusterSpec"]) == CLUSTER_FIELDS
    assert all(set(group) == GROUP_FIELDS for group in groups(job)[1:])
    for group in groups(job):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_a_retry_is_worth_it_and_the_cluster_ends_with_the_job(job: dict[str, Any]) -> None:
    spec = job["spec"]
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert "--exit-zero-on-errors" in spec["entrypoint"]


def test_versions_are_those_of_the_constraints_and_the_package(job: dict[str, Any]) -> None:
    pins = (ROOT / "infra/constraints.txt").read_text().splitlines()
    assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}" in pins
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tags = [container(group)["image"].rpartition(":")[2] for group in groups(job)]
    assert tags == [f"{version}-cpu", f"{version}-cpu", f"{version}-gpu"]


def test_the_head_takes_no_tasks(job: dict[str, Any]) -> None:
    assert groups(job)[0]["rayStartParams"]["num-cpus"] == "0"


def test_requests_equal_limits_and_only_the_model_gets_gpus(job: dict[str, Any]) -> None:
    for group in groups(job):
        resources = container(group)["resources"]
        assert resources["requests"] == resources["limits"]
        assert all(isinstance(value, str) for value in resources["limits"].values())
        assert ("nvidia.com/gpu" in resources["limits"]) == (group.get("groupName") == "gpu")


def test_replicas_lie_in_their_bounds(job: dict[str, Any]) -> None:
    for group in groups(job)[1:]:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_every_pod_has_the_credentials(job: dict[str, Any]) -> None:
    for group in groups(job):
        assert group["template"]["spec"]["serviceAccountName"] == "voxmill"
        assert container(group)["envFrom"][0]["secretRef"]["optional"] is True
        assert "env" not in container(group)  # no secret stands in the manifest


def test_the_gpus_that_the_run_asks_for_can_come(job: dict[str, Any]) -> None:
    words = shlex.split(job["spec"]["entrypoint"])
    asked = float(words[words.index("--gpus") + 1])
    group = groups(job)[2]
    assert asked <= group["maxReplicas"] * amount(container(group)["resources"]["limits"]["nvidia.com/gpu"])


def test_the_pools_fit_into_the_cluster(job: dict[str, Any]) -> None:
    from pipeline.engine.resources import Cluster, choose

    limits = [container(group)["resources"]["limits"] for group in groups(job)[1:]]
    most = [group["maxReplicas"] for group in groups(job)[1:]]
    cluster = Cluster(
        cpus=sum(n * amount(limit["cpu"]) for n, limit in zip(most, limits, strict=True)),
        gpus=sum(n * amount(limit.get("nvidia.com/gpu", "0")) for n, limit in zip(most, limits, strict=True)),
        memory=int(0.7 * sum(n * amount(limit["memory"]) for n, limit in zip(most, limits, strict=True))),
    )
    pools = choose(cluster, gpus_per_actor=1.0, model_bytes=2_400_000_000)
    assert pools.model_actors == 2
    assert pools.feature_actors >= 8
    assert pools.cpus <= cluster.cpus


def test_the_entrypoint_is_a_command_of_this_repository(job: dict[str, Any]) -> None:
    python, script, *options = shlex.split(job["spec"]["entrypoint"])
    assert python == "python"
    said = subprocess.run(
        [sys.executable, script, *options, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    offered = set(re.findall(r"--[a-z][a-z-]*", said.stdout))
    assert {word for word in options if word.startswith("--")} <= offered
