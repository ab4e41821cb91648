"""``connector fetch-all``: first load and full resync, counted and confirmed before it begins."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from connector.app.commands import Desk
from connector.cli.place import AsJson, Data, at_desk
from connector.cli.talk import note, say_json, table
from connector.cli.wait import pauses, working
from connector.core.errors import ConnectorError
from connector.engine.sweeps.preview import allowances
from connector.store import connections, report
from connector.store.report import Now

LOOK = 0.1
COLUMNS = {
    "creates": "creates in the CRM",
    "inserts": "new rows",
    "adopts": "pairs found",
    "overwrites_app": "first-sight overwrites, app",
    "overwrites_crm": "first-sight overwrites, CRM",
    "ambiguous": "ambiguous",
    "duplicates": "duplicates",
}


def fetch_all(
    mapping: Annotated[str | None, typer.Argument(metavar="[M]", help="[CONNECTION/]MAPPING; default: all.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Begin without asking.")] = False,  # noqa: FBT002
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List everything on both sides, find pairs, make what is missing. Counts first, and asks before it begins.

    Interrupted, it goes on with the daemon, or where it was when it is called again.

    Example: connector fetch-all acme/contact
    """
    at_desk(data, lambda desk: _fetch_all(desk, mapping, yes=yes, as_json=as_json))


async def _fetch_all(desk: Desk, mapping: str | None, *, yes: bool, as_json: bool) -> None:
    told = {}
    chosen = desk.chosen(mapping) if mapping is not None else [(each, None) for each in await working(desk)]
    for connection, name in chosen:
        await _refuse_paused(desk, connection, name)
        names = [name] if name is not None else []
        told[connection] = await desk.served(
            connection,
            lambda c=connection, n=names: _one(desk, c, n, yes=yes),  # type: ignore[misc]
        )
    if as_json:
        say_json(told)


async def _refuse_paused(desk: Desk, connection: str, mapping: str | None) -> None:
    async with desk.database.session() as db:
        row = await connections.get(db, connection)
        mappings = await connections.paused_mappings(db, connection)
    if row.paused or mapping in mappings:
        what = connection if row.paused else f"{connection}/{mapping}"
        raise ConnectorError(f"{what} is paused", f"connector resume {what}")
    if row.state == "held":
        raise ConnectorError(f"{connection} is held: {row.reason}", row.advice or "")


async def _one(desk: Desk, connection: str, names: Sequence[str], *, yes: bool) -> Mapping[str, Any]:
    with bar() as progress:
        task = progress.add_task(f"{connection}: counting", total=None)
        found = await desk.ask(
            connection, "fetch_all_preview", {"mappings": names}, lambda p: _show(progress, task, connection, p)
        )
    _say(connection, found)
    if not yes:
        await _confirm(connection)
    args = {"mappings": names, "allow": allowances(found["mappings"])}
    with bar() as progress:
        await _run(desk, connection, args, progress)
    return {**found, **await _left(desk, connection)}


def _say(connection: str, found: Mapping[str, Any]) -> None:
    """The numbers that are asked about, on stderr."""
    head = ("", *COLUMNS.values())
    rows = [(name, *(counts[word] for word in COLUMNS)) for name, counts in found["mappings"].items()]
    table(head, rows, answer=False)
    for name, counts in found["mappings"].items():
        if counts["samples"]:
            note(f"{name}: ambiguous or double in the CRM, for example {', '.join(counts['samples'])}")
    note(f"{connection}: about {found['tokens']} of the CRM's tokens")


async def _confirm(connection: str) -> None:
    """ConnectorError unless a person says yes."""
    try:
        agreed = await asyncio.to_thread(typer.confirm, f"Fetch all of {connection}?", err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise ConnectorError("nothing was done", "answer y, or give --yes")


# --- while it runs ---------------------------------------------------------------------------------------------------


async def _run(desk: Desk, connection: str, args: Mapping[str, Any], progress: Progress) -> None:
    """Asks for the fetch-all, and returns once all that it found is done, or needs a person."""
    task = progress.add_task(f"{connection}: listing", total=None)
    await desk.ask(connection, "fetch_all", args, lambda p: _show(progress, task, connection, p))
    ended = Now(connection, desk.clock.now())
    total = left = await _loading(desk, ended)
    while left:
        total = max(total, left)
        progress.update(task, description=f"{connection}: settling", completed=total - left, total=total)
        await desk.clock.sleep(LOOK)
        left = await _loading(desk, ended)


async def _loading(desk: Desk, ended: Now) -> int:
    async with desk.database.session() as db:
        return await report.loading(db, ended)


async def _left(desk: Desk, connection: str) -> Mapping[str, Any]:
    """What needs a person now, said and returned."""
    async with desk.database.session() as db:
        person = await report.needs_person(db, Now(connection, desk.clock.now()))
    if any(person.values()):
        words = ", ".join(f"{n} {word}" for word, n in person.items() if n)
        note(f"{connection}: needs a person: {words} (connector status)")
    for paused in await pauses(desk.database, connection):
        note(f"{connection}: {paused}")
    note(f"{connection}: done")
    return {"needs_person": person}


def bar() -> Progress:
    """A progress bar on stderr; nothing where that is not a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True)


def _show(progress: Progress, task: Any, connection: str, said: Mapping[str, Any]) -> None:  # noqa: ANN401 (rich's own)
    words = " ".join(str(said[name]) for name in ("object", "phase") if name in said)
    progress.update(task, description=f"{connection}: {words}", completed=said.get("seen", 0))
