"""``connector pause`` and ``connector resume``: a person stops and resumes work; nothing is lost meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from connector.app.commands import Desk
from connector.cli.place import AsJson, Data, at_desk
from connector.cli.talk import note, say_json
from connector.cli.wait import pauses
from connector.store import connections
from connector.store.db import Connection

What = Annotated[str | None, typer.Argument(metavar="[CONNECTION[/M]]", help="Default: every connection.")]
Sends = Annotated[bool, typer.Option("--sends", help="Only what is sent to the CRM; receiving goes on.")]
Places = Sequence[tuple[str, str | None]]


def pause(what: What = None, sends: Sends = False, data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Stop work on a connection or mapping. Changes on both sides are noted and wait.

    Example: connector pause acme --sends
    """
    _refuse_half(what, sends=sends)
    at_desk(data, lambda desk: _set(desk, what, paused=True, sends=sends, as_json=as_json))


def resume(what: What = None, sends: Sends = False, data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Resume what was paused; what waited becomes due at once. Without --sends a pause of sends is left as it is.

    Example: connector resume acme/contact
    """
    _refuse_half(what, sends=sends)
    at_desk(data, lambda desk: _set(desk, what, paused=False, sends=sends, as_json=as_json))


def _refuse_half(what: str | None, *, sends: bool) -> None:
    if sends and what is not None and "/" in what:
        raise typer.BadParameter("is of a whole connection: leave the mapping out", param_hint="--sends")


async def _set(desk: Desk, what: str | None, *, paused: bool, sends: bool, as_json: bool) -> None:
    places = named(desk, what)
    for connection, mapping in places:
        async with desk.database.transaction() as db:
            await _write(db, connection, mapping, paused=paused, sends=sends)
        if await desk.owned(connection):
            await desk.ask(connection, "gates", {})
    _say(places, paused=paused, sends=sends, as_json=as_json)
    if not paused:
        await _say_still_paused(desk, sorted({connection for connection, _ in places}))


async def _say_still_paused(desk: Desk, names: Sequence[str]) -> None:
    """What one `resume` leaves: sends, and mappings that were paused by themselves."""
    for name in names:
        for still in await pauses(desk.database, name):
            note(f"{name}: {still}")


def named(desk: Desk, what: str | None) -> Places:
    """(connection, mapping or all) that `CONNECTION[/M]` names."""
    if what is None:
        return desk.chosen(None)
    if "/" not in what:
        return [(desk.connection(what).name, None)]
    return desk.chosen(what)


async def _write(db: Connection, connection: str, mapping: str | None, *, paused: bool, sends: bool) -> None:
    if mapping is None:
        await connections.pause(db, connection, paused=paused, sends=sends)
    else:
        await connections.pause_mapping(db, connection, mapping, paused=paused)


def _say(places: Places, *, paused: bool, sends: bool, as_json: bool) -> None:
    if as_json:
        say_json([{"connection": c, "mapping": m, "sends": sends, "paused": paused} for c, m in places])
        return
    for connection, mapping in places:
        name = connection if mapping is None else f"{connection}/{mapping}"
        note(f"{name}: {'sends ' if sends else ''}{'paused' if paused else 'resumed'}")
