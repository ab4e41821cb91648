"""How commands talk to people: one clear line on stderr on failure, a traceback only with --debug, fixed exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

import typer

from connector.core.errors import ConnectorError, MappingSetError

OK: Final = 0
ERROR: Final = 1
TIMED_OUT: Final = 3
USAGE: Final = 64


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
    """Runs an action; its number is the exit code, an expected error becomes one clear line."""
    try:
        code = action()
    except ConnectorError as error:
        fail(error)
    if code:
        raise typer.Exit(code)
