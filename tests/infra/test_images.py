"""The Dockerfiles, as far as they can be held without building them."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
PUBLIC_HOSTS: set[str] = set()


def constraints() -> dict[str, str]:
    lines = (ROOT / "infra/constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of each, continued lines joined, comments dropped."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in pairs]


@pytest.fixture(params=["cpu", "gpu"])
def dockerfile(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    return instructions((ROOT / f"infra/docker/{request.param}.Dockerfile").read_text())


def sources(dockerfile: list[tuple[str, str]]) -> list[str]:
    """What COPY takes from the repository."""
    words = [shlex.split(rest) for name, rest in dockerfile if name == "COPY"]
    own = [line for line in words if not any(word.startswith("--from") for word in line)]
    return [word for line in own for word in line[:-1] if not word.startswith("--")]


def test_the_python_is_the_one_that_is_tested(dockerfile: list[tuple[str, str]]) -> None:
    arguments = dict(rest.split("=") for name, rest in dockerfile if name == "ARG" and "=" in rest)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert arguments["PYTHON_VERSION"] in SpecifierSet(project["requires-python"])
    assert {rest.split()[0] for name, rest in dockerfile if name == "FROM"} == {
        "python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE}"
    }


def test_both_images_have_one_python_for_ray_compares_them() -> None:
    images = [instructions((ROOT / f"infra/docker/{n}.Dockerfile").read_text()) for n in ("cpu", "gpu")]
    assert images[0][:2] == images[1][:2]
    assert [name for name, _ in images[0][:2]] == ["ARG", "ARG"]


def test_what_is_copied_exists(dockerfile: list[tuple[str, str]]) -> None:
    assert [name for name in sources(dockerfile) if not (ROOT / name).exists()] == []
    assert "pipeline" in sources(dockerfile)


def test_what_is_copied_reaches_the_builder(dockerfile: list[tuple[str, str]]) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    assert {f"!{name}" for name in sources(dockerfile)} <= set(ignore)


def test_everything_is_installed_under_the_constraints(dockerfile: list[tuple[str, str]]) -> None:
    installs = [rest for name, rest in dockerfile if name == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert all("--constraint /tmp/constraints.txt" in command for command in installs)
    copied = [rest.split() for name, rest in dockerfile if name == "COPY"]
    assert ["infra/constraints.txt", "/tmp/constraints.txt"] in copied
    assert "/tmp/wheels/*.whl" in installs[-1]


def test_the_user_is_not_root(dockerfile: list[tuple[str, str]]) -> None:
    users = [rest for name, rest in dockerfile if name == "USER"]
    assert users == ["voxmill"]
    last_run = max(i for i, (name, _) in enumerate(dockerfile) if name == "RUN")
    assert dockerfile.index(("USER", "voxmill")) > last_run


def test_only_public_hosts_are_named(dockerfile: list[tuple[str, str]]) -> None:
    text = "\n".join(rest for _, rest in dockerfile)
    assert set(re.findall(r"https?://([^/\s]+)", text)) <= PUBLIC_HOSTS


def test_kuberay_finds_its_probe(dockerfile: list[tuple[str, str]]) -> None:
    assert any("apt-get install" in rest and "wget" in rest for name, rest in dockerfile if name == "RUN")


def test_the_constraints_hold_every_requirement_inside_its_range() -> None:
    pinned = {name.lower().replace("_", "-"): version for name, version in constraints().items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in map(Requirement, needed):
        assert pinned[requirement.name.lower().replace("_", "-")] in requirement.specifier, requirement
    assert pinned["torch"] == "2.13.0"
    assert sys.version_info >= (3, 11)
