"""What is shown while a run goes on."""

import io
import re
from datetime import UTC, datetime

import pytest
from rich.console import Console

from pipeline.display import block, closing, line, listing, showing, waiting
from pipeline.receipts import Receipt
from pipeline.summary import ERRORS, RunSummary
from pipeline.tally import Tally


def some_tally():
    tally = Tally(recordings=20, audio_seconds=7200.0, workers={"read": 1})
    tally.record(Receipt("a", "committed", rows=5, audio_seconds=3600.0, errors={"decode.empty": 2}))
    return tally


def test_a_log_line_greps_well():
    text = line(some_tally(), run="r1", now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert text.startswith("2026-01-02T03:04:05Z run=r1 recordings=5/20 audio_h=1.000/2.000 x_realtime=")
    assert "errors=2 err_empty=2" in text
    assert re.fullmatch(r"\S+( [a-z_]+=\S+)+", text)


def test_without_a_terminal_lines_are_printed_whole():
    stream = io.StringIO()
    with showing(some_tally(), console=Console(file=stream, width=40), run="r1", every=60):
        pass
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert "recordings=5/20" in lines[0]


def test_the_block_names_errors_and_progress():
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    console.print(block(some_tally()))
    shown = console.file.getvalue()
    assert "5/20 recordings" in shown
    assert "2 errors: decode.empty 2" in shown


def test_before_the_first_unit_the_block_says_what_it_waits_for():
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    console.print(block(Tally(recordings=1, audio_seconds=1.0, workers={})))
    assert "starting workers, loading the model" in console.file.getvalue()


def test_what_takes_a_while_tells_its_seconds(monkeypatch):
    clock = iter([100.0])
    monkeypatch.setattr("pipeline.display.time.monotonic", lambda: next(clock, 107.2))
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    with waiting(console, "starting Ray"):
        pass
    assert "starting Ray (7 s)" in console.file.getvalue()


def test_a_long_listing_without_a_terminal_says_that_it_is_alive():
    stream = io.StringIO()
    with listing(Console(file=stream, width=200), every=0.0) as show:
        show(1000)
        show(2000)
    assert [text.split(" ", 1)[1] for text in stream.getvalue().splitlines()] == [
        "listing recordings=1000",
        "listing recordings=2000",
    ]


def test_a_listing_does_not_flood_the_log():
    stream = io.StringIO()
    with listing(Console(file=stream, width=200), every=60.0) as show:
        for count in range(100):
            show(count)
    assert stream.getvalue() == ""


def a_great_run():
    """Numbers as long as they get, with errors and faults."""
    clock = iter([0.0])
    workers = {"read": 1, "decode": 4, "features": 4, "model": 1, "commit": 1}
    tally = Tally(recordings=9_214_733, audio_seconds=9e7, workers=workers, clock=lambda: next(clock, 50.0))
    reasons = {f"decode.reason_number_{number}": 10_000 + number for number in range(9)}
    receipt = Receipt("a", "committed", rows=8_048_120, audio_seconds=4.5e7, errors=reasons)
    receipt.timings.seconds.update(dict.fromkeys(workers, 100.0))
    tally.record(receipt)
    tally.record(Receipt("b", "fault", fault="s3://b: 503", fault_trace=""))
    return tally


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize(
    "tally", [a_great_run(), some_tally(), Tally(recordings=9_214_733, audio_seconds=9e7, workers={})]
)
def test_the_block_fits_its_terminal_and_says_nothing_twice(tally, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(block(tally))
    lines = [text.rstrip() for text in console.file.getvalue().splitlines()]
    assert all(len(text) <= width for text in lines)
    assert len(lines) == len(set(lines)) == len(block(tally).renderables)


def test_a_wide_enough_block_says_all():
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(block(a_great_run()))
    shown = console.file.getvalue()
    assert "8,048,120/9,214,733 recordings" in shown
    assert "waiting on " in shown
    assert "1 unit failed" in shown
    assert " left" in shown


def test_the_last_line_of_a_run_has_no_time_left():
    stream, tally = io.StringIO(), a_great_run()
    assert not line(tally, run="r1").endswith("eta_s=0")
    with showing(tally, console=Console(file=stream), run="r1", every=60):
        pass
    assert stream.getvalue().splitlines()[-1].endswith("eta_s=0")


def test_a_run_whose_recordings_were_shorter_than_planned_ends_at_zero_too():
    tally = some_tally()
    tally.record(Receipt("b", "committed", rows=15, audio_seconds=60.0))
    assert line(tally, run="r1").endswith("eta_s=0")


@pytest.mark.parametrize(("seconds", "shown"), [(30.0, "0.5"), (597.0, "9.9"), (599.9, "10"), (6000.0, "100")])
def test_a_slow_run_has_a_decimal(seconds, shown):
    clock = iter([0.0])
    tally = Tally(recordings=2, audio_seconds=1e6, workers={}, clock=lambda: next(clock, 60.0))
    tally.record(Receipt("a", "committed", rows=1, audio_seconds=seconds))
    assert f" x_realtime={shown} " in line(tally, run="r1")


def test_the_closing_line_greps_well():
    summary = RunSummary(name="t", table_rows=50, table_errors=6, 
        run="r1", exit_code=ERRORS, output="out", task="transcribe", model={}, config={}, sources=(), rows=20,
        started="2026-01-02T03:04:05+00:00", finished="2026-01-02T03:05:05.123+00:00", errors={"a": 2, "b": 1},
        pending_units=4,
    )  # fmt: skip
    assert closing(summary) == (
        "2026-01-02T03:05:05Z run=r1 exit=3 rows=20 errors=3 table_rows=50 table_errors=6 pending_units=4"
    )
