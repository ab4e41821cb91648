"""How commands talk to people: one clear line on stderr on failure, a traceback only with --debug, fixed exit codes."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

import asyncpg
import typer

from connector.core.errors import ConnectorError, MappingSetError
from connector.postgres.errors import ClusterError

OK: Final = 0
ERROR: Final = 1
TIMED_OUT: Final = 3
USAGE: Final = 64
INTERRUPTED: Final = 130

_LIBRARY: Final[Sequence[Any]] = typer.BadParameter.__mro__
"""BadParameter, UsageError, ClickException: the library's own, or the copy that newer ones carry."""
USAGE_ERROR: Final[type[Exception]] = _LIBRARY[1]
SAID: Final[tuple[type[Exception], ...]] = (_LIBRARY[2], typer.Exit, typer.Abort)
"""What the command-line library raises to end a command: its own errors, an exit code, an interruption."""


class Talk:
    """What the global options chose."""

    debug: bool = False


def fail(error: ConnectorError) -> NoReturn:
    """Says what happened and what to do, and exits 1."""
    if Talk.debug:
        traceback.print_exception(error)
    if isinstance(error, MappingSetError):
        for problem in error.problems:
            print(problem, file=sys.stderr)
    else:
        advice = f"\n  {error.advice}" if error.advice else ""
        print(f"connector: {error.message}{advice}", file=sys.stderr)
    raise typer.Exit(ERROR)


def guarded(action: Callable[[], int | None]) -> None:
    """Runs an action; its number is the exit code, whatever it raises becomes one clear line."""
    try:
        code = action()
        sys.stdout.flush()
    except SAID:
        raise
    except BrokenPipeError:  # whoever read the answer has seen enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    except Exception as error:  # noqa: BLE001 (the last one to catch: a person reads what remains)
        fail(clear(error))
    if code:
        raise typer.Exit(code)


def clear(error: Exception) -> ConnectorError:
    """The error in words for people. Texts of the database and of defects are left out: they may quote values."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, ClusterError | OSError):
        said = ConnectorError(str(error) or type(error).__name__)
    elif isinstance(error, asyncpg.InsufficientPrivilegeError):
        said = ConnectorError(
            "the database refuses: its user lacks a right", "connector check DIR prints the GRANT for it"
        )
    elif isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        said = ConnectorError(f"the database refuses: {type(error).__name__}", "is it up, and may this user do that?")
    else:
        said = ConnectorError(f"defect: {type(error).__name__}", "please report it with what `--debug` shows")
    said.__cause__ = error
    return said


def note(text: str) -> None:
    """Tells a person something that is not the answer."""
    print(text, file=sys.stderr, flush=True)


def say_json(value: Any) -> None:  # noqa: ANN401 (whatever JSON can hold)
    """The answer for a program: one line on stdout."""
    print(json.dumps(value, default=_spelt), flush=True)


def _spelt(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, answer: bool = True) -> None:
    """Aligned columns under a head; nothing without rows. What is not the `answer` goes to stderr."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not texts:
        return
    widths = [max(len(line[at]) for line in [list(head), *texts]) for at in range(len(head))]
    for line in [list(head), *texts]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(),
            file=sys.stdout if answer else sys.stderr,
        )


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    return "never" if since is None else span(now - since)


def span(length: timedelta) -> str:
    """A length of time in the largest unit that fits."""
    seconds = max(length.total_seconds(), 0.0)
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
