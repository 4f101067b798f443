"""The picture of the README is what its script draws, and needs nothing from elsewhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def overview() -> ModuleType:
    spec = importlib.util.spec_from_file_location("overview", INFRA / "overview.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_what_the_script_draws(overview: ModuleType) -> None:
    assert (INFRA / "overview.svg").read_text(encoding="utf-8") == overview.draw()


def test_it_is_well_formed_and_brings_everything_along(overview: ModuleType) -> None:
    drawn = overview.draw()
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    assert root.get("aria-label")
    assert {element.tag.removeprefix(SVG) for element in root} == {"style", "rect", "path", "text"}
    assert not any(word in drawn for word in ("href", "url(", "@import", "<script"))


def test_every_class_has_a_colour_in_both_schemes(overview: ModuleType) -> None:
    used = {word for element in ElementTree.fromstring(overview.draw()) for word in element.get("class", "").split()}
    assert overview.LIGHT.keys() == overview.DARK.keys()
    assert used <= overview.LIGHT.keys() | {"title", "name", "note", "mono", "line", "check"}


def test_everything_lies_on_the_ground(overview: ModuleType) -> None:
    for element in ElementTree.fromstring(overview.draw()):
        if element.tag == f"{SVG}rect":
            x, y, width, height = (float(element.get(name, "nan")) for name in ("x", "y", "width", "height"))
            assert 0 <= x < x + width <= overview.WIDTH
            assert 0 <= y < y + height <= overview.HEIGHT
