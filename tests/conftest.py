"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pipeline.storage import secrets
from tests.needs import unavailable
from tests.speech import FOLDER
from tests.tones import write_bare, write_tones

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def speech() -> Path:
    """Folder of human recordings."""
    if not (FOLDER / "digits.csv").is_file():
        unavailable(f"no human recordings at {FOLDER}; set VOXMILL_SPEECH to run this test")
    return FOLDER


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """Folder of the small digits checkpoint."""
    return ROOT / "pipeline/demo/digits-ctc"


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of tones with labels of every kind."""
    return write_tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Folder with nothing but the config.json of a tiny model."""
    return write_bare(tmp_path / "bare")


@pytest.fixture(autouse=True)
def secrets_of_this_test() -> None:
    """Look for secrets anew: a variable that came may be as many as one that went with the test before."""
    secrets._found = secrets._NOTHING


def pytest_configure(config: pytest.Config) -> None:
    """Register the S3 fixtures, kept in a file of their own; by path, for tests are no package."""
    # How long an example takes says more about the machine's other work than about the code.
    settings.register_profile("voxmill", deadline=None)
    settings.load_profile("voxmill")
    # Ray's workers are nice by default, and hardly run beside processes that are busy; those of tests are not.
    os.environ.update(RAY_worker_niceness="0")
    spec = importlib.util.spec_from_file_location("fixtures_s3", ROOT / "tests/fixtures_s3.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    config.pluginmanager.register(module, spec.name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of one file stay together, and so do those that share a cluster or a gateway: each is started once."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _shared(nodeid)

    return Together(config, log)


def _shared(nodeid: str) -> str:
    """What a test has in common with others."""
    file = nodeid.partition("::")[0]
    if "[radosgw" in nodeid:
        return "radosgw"
    return "ray" if "ray_cluster" in (ROOT / file).read_text() else file


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One local Ray for all tests of this process, with more logical CPUs than the machine may have."""
    home = tmp_path_factory.mktemp("home")
    variables = {"RAY_AUTH_MODE": "disabled", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "HOME": str(home)}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    # Workers inherit the environment of the raylet: they find tests and package, and S3 servers that start later.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    import ray

    _start_ray()
    yield
    ray.shutdown()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _start_ray(tries: int = 3) -> None:
    """Start a local Ray; again where its 30 s for a node, which nothing sets, are too short on a busy machine."""
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=4,
            include_dashboard=False,
            object_store_memory=200 << 20,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:
        if tries == 1 or "timed out during startup" not in str(error):
            raise
        ray.shutdown()
        _start_ray(tries - 1)
