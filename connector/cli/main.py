"""The command line: every command by its name. A command's module is loaded when the command is called, or asked for help."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from connector.cli.talk import ERROR, INTERRUPTED, SAID, USAGE, USAGE_ERROR, Talk

MODULES: Final = {
    "demo": "demo",
    "run": "run",
    "sandbox": "sandbox",
    "migrate": "migrate",
    "check": "check",
    "fetch-all": "fetch_all",
    "sync": "records",
    "explain": "records",
    "status": "status",
    "wait": "wait",
    "pause": "pause",
    "resume": "pause",
    "schema": "schema",
    "failures": "failures",
    "conflicts": "conflicts",
    "brake": "brake",
    "database": "database",
}
"""Command → the module of this room that has a function or a group of that name."""


class Commands(TyperGroup):
    """All commands, none of them loaded before its time."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 (the library's class)
        """The names, in the order of the help."""
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 (the library's class)
        """The command of that name; None where there is none."""
        if cmd_name not in MODULES:
            return None
        module = import_module(f"connector.cli.{MODULES[cmd_name]}")
        found = getattr(module, cmd_name.replace("-", "_"))
        if not isinstance(found, typer.Typer):
            alone, function = typer.Typer(rich_markup_mode=None, add_completion=False), found
            alone.command(cmd_name)(function)
            found = alone
        command: Any = typer.main.get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=Commands,
    name="connector",
    help="Keeps the tables of your own PostgreSQL database and your CRM in agreement, both ways.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: FBT002
) -> None:
    """Options of every command."""
    Talk.debug = debug


def main() -> None:
    """Runs the command line; usage errors exit 64."""
    command: Any = typer.main.get_command(app)
    try:
        code = command.main(prog_name="connector", standalone_mode=False)
    except SAID as error:
        sys.exit(_ended(error))
    sys.exit(code if isinstance(code, int) else 0)


def _ended(error: Any) -> int:  # noqa: ANN401 (the library's class depends on its version)
    if not hasattr(error, "show"):
        return INTERRUPTED
    error.show()
    return USAGE if isinstance(error, USAGE_ERROR) else ERROR
