"""What is shown while a run goes on."""

import io
import re
from datetime import UTC, datetime

from rich.console import Console

from pipeline.display import block, line, listing, showing
from pipeline.receipts import Receipt
from pipeline.tally import Tally


def some_tally():
    tally = Tally(recordings=20, audio_seconds=7200.0, workers={"read": 1})
    tally.record(Receipt("a", "committed", rows=5, audio_seconds=3600.0, errors={"decode.empty": 2}))
    return tally


def test_a_log_line_greps_well():
    text = line(some_tally(), run="r1", now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert text.startswith("2026-01-02T03:04:05Z run=r1 recordings=5/20 audio_h=1.00/2.00 x_realtime=")
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
