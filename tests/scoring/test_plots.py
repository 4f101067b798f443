"""Pictures: that they are drawn, how large, and what they show; how they look was looked at."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import pytest

from pipeline.scoring import plots
from pipeline.scoring.classes import confusion
from pipeline.scoring.durations import DurationGroup, by_duration
from pipeline.scoring.speakers import curve


def size(png: bytes) -> tuple[int, int]:
    """Width and height in the header of a PNG."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def pixels(png: bytes) -> np.ndarray:
    import io

    from matplotlib.image import imread

    return imread(io.BytesIO(png))


def test_a_larger_matrix_is_a_larger_picture() -> None:
    small = size(plots.confusion_png(confusion(["a", "b"], ["a", "a"])))
    names = [f"label {n}" for n in range(30)]
    large = size(plots.confusion_png(confusion(names, names)))
    assert small[0] < large[0] < 2500
    assert small[1] < large[1] < 2500


def test_of_many_labels_those_that_are_confused_most_are_drawn() -> None:
    names = [f"label {n:03}" for n in range(60)]
    found = confusion(names, [*names[:-1], names[0]])
    assert plots.most_confused(found, 2) == [0, 59]
    assert size(plots.confusion_png(found))[0] < 2500


def test_long_names_keep_both_ends() -> None:
    assert plots._short("a_long_label_name_017") == "a_long_l…_name_017"
    assert plots._short("short") == "short"


def test_labels_with_dollars_are_no_formulas() -> None:
    drawn = size(plots.confusion_png(confusion(["$\\frac$", "b"], ["b", "b"])))
    assert drawn == size(plots.confusion_png(confusion(["a-frac-c", "b"], ["b", "b"])))


def test_a_det_curve_is_drawn_for_any_trials() -> None:
    random = np.random.default_rng(0)
    targets = random.random(1000) < 0.2
    png = plots.det_png(curve(random.normal(size=1000) + 2 * targets, targets))
    blue = np.abs(pixels(png)[:, :, :3] - np.array([0x2B, 0x6C, 0xB0]) / 255).max(axis=2) < 0.05
    # The curve runs through the picture, from its upper left to its lower right.
    rows, columns = np.nonzero(blue)
    assert np.corrcoef(rows, columns)[0, 1] > 0.9
    assert size(plots.det_png(curve([1.0, 0.0], [True, False])))[0] > 300
    assert size(plots.det_png(curve([0.0, 1.0], [True, False])))[0] > 300


def test_probit_of_the_tables() -> None:
    found = plots._probit(np.array([0.5, 0.8413447, 0.0]), 0.0227501)
    assert found == pytest.approx([0.0, 1.0, -2.0], abs=1e-4)


def test_durations_have_bars_in_proportion() -> None:
    png = plots.durations_png(by_duration([0.5, 1.5], [1, 2], [10, 10]), what="word error rate")
    blue = np.abs(pixels(png)[:, :, :3] - np.array([0x2B, 0x6C, 0xB0]) / 255).max(axis=2) < 0.02
    heights = sorted(set(blue.sum(axis=0)) - {0})
    assert heights[-1] == pytest.approx(2 * heights[0], abs=4)


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [(0, 1, "0 s–1 s"), (30, 60, "30 s–1 min"), (1800, 3600, "30 min–1 h"), (3600, None, "1 h+")],
)
def test_groups_are_named_in_units_for_people(low: float, high: float | None, name: str) -> None:
    assert plots._span(DurationGroup(low, high, 1, 0, 1)) == name


def test_no_bars_are_drawn_without_recordings() -> None:
    assert size(plots.durations_png((), what="word error rate"))[1] > 100


def test_matplotlib_is_not_loaded_before_a_picture_is_drawn() -> None:
    script = "import sys, pipeline.scoring.plots; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
