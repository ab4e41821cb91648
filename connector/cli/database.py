"""``connector database``: which database this is after a restore or a copy, and a person's word on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from connector.app.commands import Desk
from connector.app.role import words_of
from connector.cli.place import AsJson, Data, at_desk
from connector.cli.talk import age, note, say_json
from connector.core.identity import Place, Role
from connector.store import roles

database = typer.Typer(
    help="After a restore or a copy of the database: show what was found, say which one it is."
    "\n\nExample: connector database show",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Name = Annotated[str | None, typer.Argument(metavar="[CONNECTION]", help="Default: every connection.")]


@database.command()
def show(data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show which database is on record and which was found, what is refused and why, and what to do.

    Example: connector database show
    """
    at_desk(data, lambda desk: _show(desk, as_json=as_json))


@database.command()
def original(connection: Name = None, data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Say that this database is the real one: it was moved or restored.

    Everything is listed and paired again, nothing is made twice, and what the CRM has of later stays; then sends go on.
    After a restore it may be said before anything was noticed.

    Example: connector database original acme
    """
    at_desk(data, lambda desk: _choose(desk, connection, Role.RETURNING, as_json=as_json))


@database.command()
def copy(connection: Name = None, data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Say that this database is a copy: it receives, but never sends, and leaves webhooks to the original.

    Example: connector database copy
    """
    at_desk(data, lambda desk: _choose(desk, connection, Role.COPY, as_json=as_json))


async def _show(desk: Desk, *, as_json: bool) -> None:
    found = [await _state(desk, name) for name in desk.sets]
    if as_json:
        say_json({"connections": found})
        return
    if not found:
        note("no connection yet: start `connector run DIR` once")
    for each in found:
        _say(desk, each)


async def _state(desk: Desk, connection: str) -> dict[str, Any]:
    async with desk.database.session() as db:
        stand, here = await roles.load(db, connection), await roles.here(db)
        words = words_of(stand)
        return {
            "connection": connection,
            "role": stand.role.value,
            "doubt": stand.doubt.value if stand.doubt is not None else None,
            "why": words.why,
            "advice": words.advice,
            "sends": stand.role is Role.ORIGINAL and _known(stand.place, here),
            "on_record": _place(stand.place),
            "found": _place(here),
            "same": _known(stand.place, here),
            "last_intent": await roles.last_intent(db),
            "highest_seen": stand.highest_seen,
            "not_paired_yet": await roles.marked(db, connection),
            "restores": [
                {"after": after, "until": until, "at": at} for after, until, at in await roles.ranges(db, connection)
            ],
        }


def _known(before: Place | None, here: Place) -> bool:
    return before is None or here.was(before)


def _place(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {"system_identifier": place.system, "database": place.database, "table": place.table}


def _say(desk: Desk, state: dict[str, Any]) -> None:
    print(f"{state['connection']}: {state['role'].replace('_', ' ')}")
    if state["why"]:
        print(f"  {state['why']}")
    if not state["same"] and state["role"] == Role.ORIGINAL:
        print("  another database than the one on record: the daemon will refuse to send until one is chosen")
    if state["advice"]:
        print(f"  {state['advice']}")
    print(f"  on record: {_spelt(state['on_record'])}")
    print(f"  found:     {_spelt(state['found'])}{'' if state['same'] else '  (another one)'}")
    print(f"  last number of a write here: {state['last_intent']}")
    if state["highest_seen"]:
        print(f"  highest number in the CRM that this database did not give: {state['highest_seen']}")
    if state["not_paired_yet"]:
        print(f"  links not compared again yet: {state['not_paired_yet']}")
    for one in state["restores"]:
        until = one["until"] if one["until"] is not None else "…"
        print(f"  numbers {one['after'] + 1} to {until} are another's, since {age(one['at'], desk.clock.now())} ago")


def _spelt(place: dict[str, Any] | None) -> str:
    if place is None:
        return "nothing yet"
    system = place["system_identifier"] or "unknown (this role may not ask)"
    return f"system identifier {system}, database {place['database']}, table {place['table']}"


async def _choose(desk: Desk, connection: str | None, role: Role, *, as_json: bool) -> None:
    names = [desk.connection(connection).name] if connection is not None else desk.every()
    for name in names:
        async with desk.database.transaction() as db:
            await roles.choose(db, name, role, await roles.here(db))
        if await desk.owned(name):
            await desk.ask(name, "gates", {})
    _told(names, role, as_json=as_json)


def _told(names: Sequence[str], role: Role, *, as_json: bool) -> None:
    if as_json:
        say_json([{"connection": name, "role": role.value} for name in names])
        return
    for name in names:
        if role is Role.COPY:
            note(f"{name}: a copy; it receives and sends nothing")
        else:
            note(f"{name}: the original; it is compared with the CRM, then sends go on (connector database show)")
