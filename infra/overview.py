"""Draw the picture of the README: audio shards -> Ray -> one Parquet table.

    python infra/overview.py            # writes infra/overview.svg

Plain SVG without fonts, scripts or images from elsewhere. It follows the system's light or dark setting, and
stands on a ground of its own, for a page may be dark where the system is light. The texts fit in a wide font
too (DejaVu Sans).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

WIDTH, HEIGHT = 1080, 336
TOP = 94
"""Upper edge of the shards and of the table."""
MIDDLE = 170
"""Height of the line along which everything flows."""
CAPTION = 306
"""Base line of the last line of each column."""

LIGHT = {
    "ground": "#ffffff", "edge": "#dfe5eb", "ink": "#1c2733", "soft": "#5d6b79",
    "card": "#ffffff", "rim": "#cfd8e1", "lane": "#f4f7fa", "head": "#e8f5f0", "rule": "#e6ebf0",
    "arrow": "#9aa7b4", "error": "#c2392b", "audio": "#e0762f",
    "read": "#64788c", "cpu": "#2b78d6", "gpu": "#7c4dd1", "table": "#0f8a6b",
}  # fmt: skip
DARK = {
    "ground": "#0f151c", "edge": "#2a3440", "ink": "#e8eef4", "soft": "#93a1b0",
    "card": "#18212b", "rim": "#3a4857", "lane": "#141b23", "head": "#16302a", "rule": "#27323d",
    "arrow": "#66737f", "error": "#f47c6c", "audio": "#f0934f",
    "read": "#8a9db0", "cpu": "#5b9ff2", "gpu": "#a780f0", "table": "#33b791",
}  # fmt: skip
"""What each colour means -> the colour; the classes of the picture have the same names."""

SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
LETTERS = f"""
text {{ font-family: {SANS} }}
.title {{ font-size: 19px; font-weight: 650 }}
.name {{ font-size: 16px; font-weight: 600 }}
.note {{ font-size: 14px }}
.mono {{ font-size: 12.5px; font-family: {MONO} }}
"""

ROWS = (
    ("ann-003", "four one nine", "0.98"),
    ("bob-001", "two zero six", "0.91"),
    ("broken-000", "not an audio file", ""),
    ("cleo-002", "eight three one", "0.97"),
    ("dev-004", "six zero seven", "0.95"),
)
"""What the table shows: id, text, confidence; none where the recording has an error."""


def main() -> None:
    """Write the picture beside this script."""
    target = Path(__file__).with_suffix(".svg")
    target.write_text(draw(), encoding="utf-8")
    print(target)


def draw() -> str:
    """The whole picture; the same at every call."""
    label = "Ray reads audio shards, computes features, runs the model and commits one Parquet table."
    style = f"{_rules(LIGHT)}{LETTERS}@media (prefers-color-scheme: dark) {{\n{_rules(DARK)}}}\n"
    ground = _box(0.5, 0.5, WIDTH - 1, HEIGHT - 1, "ground", radius=16)
    parts = [ground, *_shards(), *_arrow(220, 254), *_engine(), *_arrow(742, 776), *_table()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}">\n<style>\n{style}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _rules(colours: dict[str, str]) -> str:
    """The classes of one scheme."""
    filled = [f".{name} {{ fill: {colour} }}\n" for name, colour in colours.items()]
    return (
        "".join(filled)
        + f".ground {{ stroke: {colours['edge']} }}\n"
        + f".card, .lane {{ stroke: {colours['rim']} }}\n"
        + f".line {{ stroke: {colours['arrow']}; fill: none }}\n"
        + f".check {{ stroke: {colours['card']}; fill: none }}\n"
    )


def _shards() -> Iterator[str]:
    """Left: tar shards, each with its own speech."""
    yield _text(36, 48, "Audio shards", "title ink")
    yield _text(36, 71, "on S3 or on a disk", "note soft")
    for number in range(3):
        top = TOP + 63 * number
        yield _box(36, top, 172, 54, "card", radius=10)
        yield _text(48, top + 19, f"shard-{number:03}.tar", "mono soft")
        yield from _wave(48, top + 36, 148, seed=number)
    yield _text(36, CAPTION, "or folders, or manifests", "note soft")


def _wave(left: float, middle: float, width: float, *, seed: int) -> Iterator[str]:
    """Words of speech: bursts of bars between pauses."""
    rng = random.Random(seed)
    count, burst = int(width // 4), rng.uniform(7, 11)
    for bar in range(count):
        swell = abs(math.sin(math.pi * bar / burst)) ** 0.8
        height = 2 + 20 * swell * rng.uniform(0.45, 1.0)
        yield _box(left + 4 * bar, middle - height / 2, 2.4, height, "audio", radius=1.2)


def _engine() -> Iterator[str]:
    """Middle: the four stages on Ray, the two pools of actors as stacked cards."""
    yield _box(264, 20, 472, HEIGHT - 40, "lane", radius=14)
    yield _text(288, 48, "Ray Data", "title ink")
    yield _text(288, 71, "streaming, on one machine or on a cluster", "note soft")
    stages = (
        ("read", "in ranges", 1, "read", _bytes),
        ("features", "CPU actors", 3, "cpu", _spectrogram),
        ("model", "GPU actors", 3, "gpu", _layers),
        ("commit", "once", 1, "table", _file),
    )
    for number, (name, note, pool, colour, drawing) in enumerate(stages):
        left = 288 + 115 * number
        for behind in reversed(range(pool)):
            yield _box(left + 5 * behind, MIDDLE - 40 - 5 * behind, 80, 80, "card", radius=10)
        yield from drawing(left + 16, MIDDLE - 24)
        yield _text(left + 40, MIDDLE + 68, name, f"name {colour}", anchor="middle")
        yield _text(left + 40, MIDDLE + 89, note, "note soft", anchor="middle")
        if number:
            yield from _arrow(left - (18 if stages[number - 1][2] > 1 else 29), left - 6)
    yield _text(288, CAPTION, "one unit: minutes of audio, retried and committed whole", "note soft")


def _bytes(left: float, top: float) -> Iterator[str]:
    """Encoded bytes."""
    rng = random.Random(4)
    for row in range(5):
        for column in range(5):
            strength = rng.choice((0.25, 0.55, 1.0))
            yield _box(left + 10 * column, top + 10 * row, 7, 7, "read", radius=3.5, opacity=strength)


def _spectrogram(left: float, top: float) -> Iterator[str]:
    """Log-mel frames with two formants that move."""
    for column in range(8):
        for row in range(8):
            first = 5.4 - 1.6 * math.sin(column / 2.2)
            second = 2.2 + 1.2 * math.cos(column / 1.7)
            strength = max(0.1, 1.0 - 0.42 * min(abs(row - first), abs(row - second)))
            yield _box(left + 6 * column, top + 6 * row, 5.2, 5.2, "cpu", radius=1.2, opacity=strength)


def _layers(left: float, top: float) -> Iterator[str]:
    """Layers with a head on top."""
    for row, strength in enumerate((1.0, 0.75, 0.55, 0.38, 0.24)):
        inset = 12 if row == 0 else 0
        yield _box(left + inset, top + 10 * row, 48 - 2 * inset, 7, "gpu", radius=3.5, opacity=strength)


def _file(left: float, top: float) -> Iterator[str]:
    """A file that is whole."""
    outline = f"M{left + 8} {top}h20l12 12v32a4 4 0 0 1-4 4h-28a4 4 0 0 1-4-4v-40a4 4 0 0 1 4-4z"
    yield f'<path class="table" d="{outline}"/>'
    pen = 'stroke-width="4" stroke-linecap="round" stroke-linejoin="round"'
    yield f'<path class="check" d="M{left + 13} {top + 28}l6.5 6.5 12-13" {pen}/>'


def _table() -> Iterator[str]:
    """Right: the table, with one row for each recording."""
    left, width, line = 784, 260, 30
    yield _text(left, 48, "One Parquet table", "title ink")
    yield _text(left, 71, "every recording is exactly one row", "note soft")
    yield _box(left, TOP, width, line * (len(ROWS) + 1), "card", radius=10)
    corner = f"a9.5 9.5 0 0 1 9.5-9.5h{width - 20}a9.5 9.5 0 0 1 9.5 9.5"
    yield f'<path class="head" d="M{left + 0.5} {TOP + line}v-{line - 10}{corner}v{line - 10}z"/>'
    lines = (("id", "text", "confidence"), *ROWS)
    for number, (key, text, confidence) in enumerate(lines):
        base = TOP + line * number + 20
        colours = ("soft", "ink" if confidence else "error") if number else ("table", "table")
        if number:
            yield _box(left + 1, base - 20.5, width - 2, 1, "rule", radius=0)
        yield _text(left + 12, base, key, f"mono {colours[0]}")
        yield _text(left + 98, base, text, f"note {colours[1]}" if number else f"mono {colours[1]}")
        yield _text(left + width - 12, base, confidence, f"mono {colours[1]}", anchor="end")
    yield _text(left, CAPTION, "words with times, faults with reasons", "note soft")


def _arrow(start: float, end: float) -> Iterator[str]:
    yield f'<path class="line" stroke-width="2" stroke-linecap="round" d="M{start} {MIDDLE}H{end - 7}"/>'
    yield f'<path class="arrow" d="M{end} {MIDDLE}l-8.5-5.2v10.4z"/>'


def _box(
    left: float,
    top: float,
    width: float,
    height: float,
    style: str,
    *,
    radius: float = 8,
    opacity: float = 1.0,
) -> str:
    faint = "" if opacity == 1.0 else f' opacity="{opacity:.2f}"'
    place = f'x="{left:g}" y="{top:.1f}" width="{width:g}" height="{height:.1f}" rx="{radius:g}"'
    return f'<rect class="{style}" {place}{faint}/>'


def _text(left: float, base: float, words: str, style: str, *, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{left:g}" y="{base:g}" text-anchor="{anchor}">{words}</text>'


if __name__ == "__main__":
    main()
