"""What every command shares: noise aside, a mistake in one line, an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console

from pipeline.errors import StorageFault, UserError
from pipeline.noise import kept_off, removed, worth_naming
from pipeline.stopping import Stopped, stoppable
from pipeline.storage.secrets import redact, redacted_trace
from pipeline.summary import FAILURE, PARTIAL, USAGE


def shown(work: Callable[[Console], int], *, debug: bool) -> int:
    """Run the work with the libraries' noise kept off its console; what went wrong is said on standard error."""
    with kept_off(show=debug) as (console, aside):
        code = guarded(lambda: _stoppable(work, console), aside.errors, debug=debug)
        if code not in (FAILURE, PARTIAL):
            removed(aside.log)
        elif log := worth_naming(aside.log):
            said = f"log     {log} has what the libraries said; --debug shows it here"
            aside.errors.print(said, markup=False, soft_wrap=True)
    return code


def _stoppable(work: Callable[[Console], int], console: Console) -> int:
    with stoppable():
        return work(console)


def guarded(work: Callable[[], int], errors: Console, *, debug: bool) -> int:
    """Run the work; a mistake is one line, and only a bug is a traceback."""
    try:
        return work()
    except (UserError, StorageFault) as error:
        if debug:
            print(redacted_trace(), file=sys.stderr)
        errors.print(redact(str(error)), markup=False, soft_wrap=True)
        return code_of(error)
    # Ray's handler of SIGTERM, in place until ours is put back after its start, raises SystemExit.
    except (Stopped, KeyboardInterrupt, SystemExit) as stop:
        goes_on = "what is committed stays, the same command goes on from there"
        errors.print(f"stopped {told(stop)}: {goes_on}", markup=False, soft_wrap=True)
        return code_of(stop)
    except Exception as error:  # noqa: BLE001
        print(redacted_trace(), file=sys.stderr)
        if debug:
            return FAILURE
        errors.print(redact(f"failed: {type(error).__name__}: {error}"), markup=False, soft_wrap=True)
        return FAILURE


def code_of(error: BaseException) -> int:
    """Code that a command ends with, for what ended it."""
    if isinstance(error, UserError):
        return USAGE
    return PARTIAL if isinstance(error, StorageFault | Stopped | KeyboardInterrupt | SystemExit) else FAILURE


def told(error: BaseException) -> str:
    """What ended a command, as the end of `stopped …`, without credentials."""
    if isinstance(error, Stopped):
        return str(error)
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "by a signal"
    if isinstance(error, UserError):
        return redact(f"by an error: {error}")
    what = "by a fault:" if isinstance(error, StorageFault) else f"by a bug: {type(error).__name__}:"
    return redact(f"{what} {error}")
