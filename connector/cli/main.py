"""The command line: every command by its name."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from connector.cli.brake import brake
from connector.cli.check import check
from connector.cli.demo import demo
from connector.cli.failures import failures
from connector.cli.fetch_all import fetch_all
from connector.cli.migrate import migrate
from connector.cli.pause import pause, resume
from connector.cli.records import explain, sync
from connector.cli.run import run
from connector.cli.sandbox import sandbox
from connector.cli.schema import schema
from connector.cli.status import status
from connector.cli.talk import ERROR, INTERRUPTED, SAID, USAGE, USAGE_ERROR, Talk
from connector.cli.wait import wait

app = typer.Typer(
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


for command in (demo, run, sandbox, migrate, check, sync, explain, status, wait, pause, resume, schema):
    app.command()(command)
app.command("fetch-all")(fetch_all)
app.add_typer(failures, name="failures")
app.add_typer(brake, name="brake")


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
