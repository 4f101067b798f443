"""Pictures of scores, as bytes of PNG; matplotlib is imported when the first is drawn, and no window is opened."""

from __future__ import annotations

import io
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.scoring.classes import Confusion
from pipeline.scoring.durations import DurationGroup
from pipeline.scoring.speakers import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _BLUE, _PALE = "#1b1b1b", "#2b6cb0", "#8a8a8a"
_DOTS = 120
"""Dots an inch."""
MOST_LABELS = 40
"""Labels of a confusion matrix that can be read; of more, those that are confused most are drawn."""
_NUMBERED = 20
"""Up to so many labels the counts are written into the cells."""
_LONGEST_NAME = 18
_MOST_POINTS = 20_000
"""Points of a curve that are drawn; there may be millions."""
_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Where the axes of a DET curve have their ticks."""


def confusion_png(confusion: Confusion) -> bytes:
    """Draw the confusion matrix: rows are references and add up to 100 %, the numbers are recordings."""
    chosen = most_confused(confusion, MOST_LABELS)
    labels = [confusion.labels[i] for i in chosen]
    counts = confusion.counts[np.ix_(chosen, chosen)]
    shares = counts / np.maximum(confusion.counts.sum(axis=1)[chosen, None], 1)
    side = 2.2 + 0.34 * len(labels)
    figure, axes = _canvas(max(side, 4.2) + 0.8, max(side, 3.6))
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    names = [_short(label) for label in labels]
    angle = 45 if max(map(len, names)) > 2 else 0
    # A label with two dollars is a label, not a formula, and mostly no valid one.
    axes.set_xticks(range(len(names)), names, rotation=angle, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("given")
    axes.set_ylabel("reference")
    all_labels = len(labels) == len(confusion.labels)
    axes.set_title(
        "recordings" if all_labels else f"the {len(labels)} labels confused most of {len(confusion.labels):,}"
    )
    if len(labels) <= _NUMBERED:
        _write_counts(axes, counts, shares)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the recordings of a reference")
    return _png(figure)


def most_confused(confusion: Confusion, most: int) -> list[int]:
    """Places of the labels with the most errors, at most so many, in the matrix's order."""
    errors = [each.false_alarms + each.misses for each in confusion.per_label]
    return sorted(sorted(range(len(errors)), key=lambda i: -errors[i])[:most])


def det_png(curve: Curve) -> bytes:
    """Draw misses against false alarms on probit axes, where normally distributed scores give a straight line.

    Martin et al., "The DET Curve in Assessment of Detection Task Performance", 1997.
    """
    figure, axes = _canvas(5.4, 5.2)
    rate = curve.equal_error_rate
    top = max(0.45, min(1.3 * rate, 0.9))
    low = _lowest(curve, top)
    drawn = np.unique(np.linspace(0, len(curve.misses) - 1, _MOST_POINTS).astype(int))
    alarms, misses = curve.false_alarms[drawn], curve.misses[drawn]
    axes.plot(_probit(alarms, low), _probit(misses, low), color=_BLUE, linewidth=1.8)
    ends = _probit(np.array([low, 1 - low]), low)
    axes.plot(ends, ends, color=_PALE, linewidth=0.8, linestyle=":")
    (place,) = _probit(np.array([rate]), low)
    axes.plot([place], [place], "o", color=_INK, markersize=5)
    ticks = np.array([each for each in _RATES if low <= each])
    names = [f"{100 * each:g}" for each in ticks]
    axes.set_xticks(_probit(ticks, low), names)
    axes.set_yticks(_probit(ticks, low), names)
    limits = float(ends[0]), float(_probit(np.array([top]), low)[0])
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    axes.set_aspect("equal")
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_xlabel("false alarms, % of the trials with two speakers")
    axes.set_ylabel("misses, % of the trials with one speaker")
    axes.set_title(f"detection error trade-off, equal error rate {100 * rate:.1f} %")
    return _png(figure)


def durations_png(groups: Sequence[DurationGroup], *, what: str) -> bytes:
    """Draw error rates by duration; each bar has its number of recordings.

    Args:
        groups: what `durations.by_duration` gave.
        what: the rate, for the axis: "word error rate".
    """
    figure, axes = _canvas(max(4.6, 1.6 + 0.85 * len(groups)), 3.6)
    rates = [100 * (each.rate or 0.0) for each in groups]
    axes.bar(range(len(groups)), rates, color=_BLUE, width=0.7)
    for place, (each, rate) in enumerate(zip(groups, rates, strict=True)):
        told = f"{rate:.1f} %" if each.rate is not None else "none"
        axes.annotate(told, (place, rate), (0, 3), textcoords="offset points", ha="center", fontsize=8, color=_INK)
    axes.set_xticks(range(len(groups)), [f"{_span(each)}\nn={each.recordings:,}" for each in groups])
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylim(0, max(1.18 * max(rates, default=0.0), 1.0))
    axes.set_xlabel("duration, and how many recordings have it")
    axes.set_ylabel(f"{what}, %")
    axes.set_title(f"{what} by duration")
    return _png(figure)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Figure and axes of some inches, without pyplot, which would keep every figure and choose a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8, colors=_INK)
    return figure, axes


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _write_counts(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[row, column] > 0.55 else _INK
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=7, color=color)


def _short(label: str) -> str:
    """A label that fits beside an axis; long ones differ in their ends as often as in their beginnings."""
    half = _LONGEST_NAME // 2
    return label if len(label) <= _LONGEST_NAME else f"{label[: half - 1]}…{label[-half:]}"


def _lowest(curve: Curve, top: float) -> float:
    """Where the axes start: a little below the part of the curve where both rates are at most `top`."""
    inside = (curve.misses <= top) & (curve.false_alarms <= top)
    shares = np.concatenate([curve.misses[inside], curve.false_alarms[inside]])
    least = 0.7 * shares[shares > 0].min(initial=1.0)
    return float(min(max(least, 0.0005), 0.02))


def _probit(shares: NDArray[np.float64], low: float) -> NDArray[np.float64]:
    """Quantiles of the normal distribution, of shares kept inside of low to 1 - low."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(float(each)) for each in np.clip(shares, low, 1 - low)])


def _span(group: DurationGroup) -> str:
    return f"{_time(group.low)}+" if group.high is None else f"{_time(group.low)}–{_time(group.high)}"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"
