"""What a run shows while it goes on: one block that redraws on a terminal, lines that grep well elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipeline.corpus import Seconds
from pipeline.quantities import counted, show_seconds
from pipeline.summary import RunSummary
from pipeline.tally import Tally


@contextmanager
def showing(tally: Tally, *, console: Console, run: str, every: Seconds) -> Iterator[None]:
    """Show the tally until the block is left."""
    if console.is_terminal:
        with _live(None, console, get_renderable=lambda: block(tally)):
            yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_print_lines, args=(tally, console, run, every, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
        console.print(line(tally, run=run, ended=True), soft_wrap=True, markup=False, highlight=False)


@contextmanager
def listing(console: Console, *, every: Seconds) -> Iterator[Callable[[int], None]]:
    """Show that a long listing is alive: a function to call with the number of recordings so far."""
    if console.is_terminal:
        spinner = Spinner("dots", "listing")
        with _live(spinner, console, transient=True):
            yield lambda count: spinner.update(text=f"listing: {count:,} recordings so far")
        return
    last = time.monotonic()

    def say(count: int) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            console.print(f"{_stamp(datetime.now(UTC))} listing recordings={count}", soft_wrap=True, highlight=False)

    yield say


@contextmanager
def waiting(console: Console, words: str) -> Iterator[None]:
    """Show on a terminal that something takes a while, and how long it has taken."""
    if not console.is_terminal:
        yield
        return
    begin, spinner = time.monotonic(), Spinner("dots")

    def look() -> Spinner:
        spinner.update(text=f"{words} ({time.monotonic() - begin:.0f} s)")
        return spinner

    with _live(None, console, get_renderable=look, transient=True):
        yield


def _live(renderable: Spinner | None, console: Console, **more: Any) -> Live:
    # Without redirection: libraries that load meanwhile would keep rich's proxy of a stream that is closed later.
    return Live(renderable, console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False, **more)


def line(tally: Tally, *, run: str, now: datetime | None = None, ended: bool = False) -> str:
    """One line of `key=value` about the run so far, UTC."""
    eta = 0.0 if ended or tally.done >= tally.recordings else tally.eta
    pairs = {
        "run": run,
        "recordings": f"{tally.done}/{tally.recordings}",
        "audio_h": f"{tally.done_seconds / 3600:.3f}/{tally.audio_seconds / 3600:.3f}",
        "x_realtime": _speed(tally.speed),
        "errors": sum(tally.errors.values()),
        **{f"err_{reason.split('.')[-1]}": count for reason, count in sorted(tally.errors.items())},
        "faults": len(tally.faults),
        "waiting_on": tally.slowest or "start",
        "eta_s": "?" if eta is None else f"{eta:.0f}",
    }
    return _pairs(now or datetime.now(UTC), pairs)


def closing(summary: RunSummary) -> str:
    """One line of `key=value` about a run that ended, UTC."""
    pairs = {
        "run": summary.run,
        "exit": summary.exit_code,
        "rows": summary.rows,
        "errors": sum(summary.errors.values()),
        "table_rows": summary.table_rows,
        "table_errors": summary.table_errors,
        "pending_units": summary.pending_units,
    }
    return _pairs(datetime.fromisoformat(summary.finished), pairs)


def _pairs(now: datetime, pairs: Mapping[str, object]) -> str:
    return " ".join([_stamp(now), *(f"{key}={value}" for key, value in pairs.items())])


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _speed(times: float) -> str:
    return f"{times:.1f}" if round(times, 1) < 10 else f"{times:.0f}"


def block(tally: Tally) -> Group:
    """The block that redraws, in lines that never wrap: progress, then stages, then errors."""
    finished = tally.done >= tally.recordings
    total = tally.done_seconds if finished else max(tally.audio_seconds, tally.done_seconds, 1e-9)
    bar = ProgressBar(total=total, completed=min(tally.done_seconds, total), width=30, pulse=tally.first_commit is None)
    head = Table.grid(padding=(0, 1))
    head.add_row("working", bar, _whole(f"{tally.done:,}/{tally.recordings:,} recordings"))
    eta = "" if tally.eta is None or finished else f"  ·  about {show_seconds(tally.eta)} left"
    audio = f"{show_seconds(tally.done_seconds)} of {show_seconds(total)} audio  ·  {tally.speed:,.0f}x real time{eta}"
    lines: list[Table | Text] = [head, _whole(f"  {audio}")]
    if tally.first_commit is None:
        lines.append(_whole(f"  starting workers, loading the model ({tally.elapsed:.0f} s)", style="dim"))
    else:
        shares = ", ".join(f"{stage} {share:.0%}" for stage, share in tally.busy.items())
        lines.append(_whole(f"  waiting on {tally.slowest}  ·  busy: {shares}", style="dim"))
    if tally.errors:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.errors.most_common(5))
        lines.append(_whole(f"  {counted(tally.errors.total(), 'error')}: {reasons}", style="yellow"))
    if tally.faults:
        lines.append(_whole(f"  {counted(len(tally.faults), 'unit')} failed, left pending", style="yellow"))
    return Group(*lines)


def _whole(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _print_lines(tally: Tally, console: Console, run: str, every: Seconds, stop: threading.Event) -> None:
    while not stop.wait(every):
        console.print(line(tally, run=run), soft_wrap=True, markup=False, highlight=False)
