"""The command line: every command by its name."""

from __future__ import annotations

import sys
from typing import Annotated

import click
import typer

from connector.cli.demo import demo
from connector.cli.run import run
from connector.cli.sandbox import sandbox
from connector.cli.talk import USAGE, Talk

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


for command in (demo, run, sandbox):
    app.command()(command)


def main() -> None:
    """Runs the command line; usage errors exit 64."""
    command = typer.main.get_command(app)
    try:
        code = command.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE if isinstance(error, click.UsageError) else 1)
    except click.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
