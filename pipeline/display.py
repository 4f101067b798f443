"""What a run shows while it goes on: one block that redraws on a terminal, lines that grep well elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
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
from pipeline.quantities import show_seconds
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
        console.print(line(tally, run=run), soft_wrap=True, markup=False, highlight=False)


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
            stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            console.print(f"{stamp} listing recordings={count}", soft_wrap=True, highlight=False)

    yield say


@contextmanager
def waiting(console: Console, words: str) -> Iterator[None]:
    """Show on a terminal that something takes a while."""
    if not console.is_terminal:
        yield
        return
    with _live(Spinner("dots", words), console, transient=True):
        yield


def _live(renderable: Spinner | None, console: Console, **more: Any) -> Live:
    # Without redirection: libraries that load meanwhile would keep rich's proxy of a stream that is closed later.
    return Live(renderable, console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False, **more)


def line(tally: Tally, *, run: str, now: datetime | None = None) -> str:
    """One line of `key=value` about the run so far, UTC."""
    stamp = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    pairs = {
        "run": run,
        "recordings": f"{tally.done}/{tally.recordings}",
        "audio_h": f"{tally.done_seconds / 3600:.2f}/{tally.audio_seconds / 3600:.2f}",
        "x_realtime": f"{tally.speed:.0f}",
        "errors": sum(tally.errors.values()),
        **{f"err_{reason.split('.')[-1]}": count for reason, count in sorted(tally.errors.items())},
        "faults": len(tally.faults),
        "waiting_on": tally.slowest or "start",
        "eta_s": "?" if tally.eta is None else f"{tally.eta:.0f}",
    }
    return f"{stamp} " + " ".join(f"{key}={value}" for key, value in pairs.items())


def block(tally: Tally) -> Group:
    """The block that redraws: progress, then stages, then errors."""
    finished = tally.done >= tally.recordings
    total = tally.done_seconds if finished else max(tally.audio_seconds, tally.done_seconds, 1e-9)
    eta = "" if tally.eta is None or finished else f"  ·  about {show_seconds(tally.eta)} left"
    errors = sum(tally.errors.values())
    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=total, completed=min(tally.done_seconds, total), width=36, pulse=tally.first_commit is None)
    words = (
        f"{tally.done}/{tally.recordings} recordings  ·  {show_seconds(tally.done_seconds)} of "
        f"{show_seconds(total)} audio  ·  {tally.speed:,.0f}x real time{eta}"
    )
    head.add_row(Text("transcribing"), bar, Text(words))
    lines: list[Table | Text] = [head]
    if tally.first_commit is None:
        lines.append(Text(f"  starting workers, loading the model ({tally.elapsed:.0f} s)", style="dim"))
    else:
        shares = "  ·  ".join(f"{stage} {share:.0%}" for stage, share in tally.busy.items())
        lines.append(Text(f"  busy: {shares}  (waiting on {tally.slowest})", style="dim"))
    if errors or tally.faults:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.errors.most_common(5))
        faults = f"  ·  {len(tally.faults)} units failed and stay pending" if tally.faults else ""
        lines.append(Text(f"  {errors} error{'s' * (errors != 1)}: {reasons}{faults}", style="yellow"))
    return Group(*lines)


def _print_lines(tally: Tally, console: Console, run: str, every: Seconds, stop: threading.Event) -> None:
    while not stop.wait(every):
        console.print(line(tally, run=run), soft_wrap=True, markup=False, highlight=False)
