"""The report of a dry run tells what there is, what is new, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.corpus import Recording
from pipeline.plan import format_report
from pipeline.sources import Problem

Make = Callable[..., Recording]


def test_tallies(plan: Any, make: Make) -> None:
    plan([make("old.wav", seconds=5.0, sample_rate=16_000)])
    report = plan(
        [
            make("old.wav", seconds=5.0, sample_rate=16_000),
            make("new.flac", seconds=3600.0, sample_rate=8_000),
            make("guess.mp3", seconds=20.0, seconds_from="estimate"),
            make("day.wav", seconds=40_000.0, size=10**7, sample_rate=16_000),
        ],
        dry_run=True,
    )
    assert (report.recordings, report.spans, report.new, report.unchanged) == (4, 12, 14, 1)
    assert report.hours * 3600 == 43_625.0
    assert {name: tally.recordings for name, tally in report.formats.items()} == {"wav": 2, "flac": 1, "mp3": 1}
    assert {name: tally.planned for name, tally in report.formats.items()} == {"wav": 1, "flac": 1, "mp3": 1}
    assert list(report.sample_rates) == ["unknown until read", "8,000 Hz", "16,000 Hz"]
    assert {name: tally.recordings for name, tally in report.lengths.items()} == {
        "1 to 10 s": 1, "10 to 30 s": 1, "1 to 4 h": 1, "above 4 h": 1,
    }  # fmt: skip
    assert report.seconds_from["estimate"].seconds == 20.0


def test_text(plan: Any, make: Make) -> None:
    problems = [Problem(f"file:///c/{n:02d}.tar", "ends in the middle of a member") for n in range(12)]
    text = format_report(plan([make("a.wav", seconds=1800.0), *problems], dry_run=True))
    assert "1 recording, 0.50 h listed" in text
    assert "new 1   changed 0   unchanged 0   vanished 0" in text
    assert "to do: 1 row, 0.50 h, in 1 unit of up to 147 s" in text
    assert "cannot be read: 12" in text
    assert "  file:///c/00.tar: ends in the middle of a member" in text
    assert "… and 2 more" in text
    assert all(len(line) < 100 for line in text.splitlines())


def test_little_audio_is_told_in_seconds_or_minutes(plan: Any, make: Make) -> None:
    text = format_report(plan([make("a.wav", seconds=12.0), make("b.flac", seconds=240.0)], dry_run=True))
    assert "2 recordings, 4.2 min listed" in text
    assert "to do: 2 rows, 4.2 min, in " in text
    assert any(line.split() == ["wav", "1", "12.0", "s", "1", "12.0", "s"] for line in text.splitlines())
    assert "0.00" not in text


def test_where_a_length_comes_from_is_told_in_words(plan: Any, make: Make) -> None:
    text = format_report(plan([make("a.wav", seconds=12.0), make("b.mp3", seconds_from="estimate")], dry_run=True))
    assert "header or manifest" in text
    assert "size, a guess" in text
