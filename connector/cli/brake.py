"""``connector brake``: what mass change waits for a person, and letting it go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from connector.app.commands import Desk
from connector.cli.place import AsJson, Data, at_desk
from connector.cli.talk import age, note, say_json, table
from connector.store import brakes, report

brake = typer.Typer(
    help="Mass change that waits for a person: show it, let it go on.\n\nExample: connector brake show",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@brake.command()
def show(data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show every tripped brake: since when, what was done in the last hour, and what waits.

    Example: connector brake show
    """
    at_desk(data, lambda desk: _show(desk, as_json=as_json))


@brake.command()
def release(
    mapping: Annotated[str | None, typer.Argument(metavar="[M]", help="[CONNECTION/]MAPPING; default: all.")] = None,
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Let everything that the brake stopped go on, and nothing beyond it.

    Example: connector brake release acme/contact
    """
    at_desk(data, lambda desk: _release(desk, mapping, as_json=as_json))


async def _show(desk: Desk, *, as_json: bool) -> None:
    found = [await _state(desk, name) for name in desk.sets]
    if as_json:
        say_json(found)
        return
    rows = [_line(desk, state["connection"], one) for state in found for one in state["stopped"]]
    table(("mapping", "would", "records", "CRM ids"), rows)
    for state in found:
        _say_tripped(desk, state)
    if not any(state["tripped"] or state["stopped"] for state in found):
        note("no brake is tripped")


async def _state(desk: Desk, connection: str) -> dict[str, Any]:
    now = desk.clock.now()
    async with desk.database.session() as db:
        tripped = await brakes.tripped(db, connection)
        counts = await brakes.counts(db, connection, now)
        stopped = await report.braked(db, report.Now(connection, now))
    return {
        "connection": connection,
        "tripped": [{"mapping": m, "side": side, "since": since} for m, side, since in tripped],
        "last_hour": [asdict(count) for count in counts if count.records > 0],
        "stopped": [asdict(each) for each in stopped],
    }


def _line(_: Desk, connection: str, one: dict[str, Any]) -> Sequence[object]:
    return (f"{connection}/{one['mapping']}", told(one["effects"]), one["records"], " ".join(one["crm_ids"]))


def told(effects: str) -> str:
    """`app_delete,crm_create` in words."""
    words = [each.partition("_") for each in effects.split(",")]
    return ", ".join(f"{effect} in the {'CRM' if side == 'crm' else 'app'}" for side, _, effect in words)


def _say_tripped(desk: Desk, state: dict[str, Any]) -> None:
    for one in state["tripped"]:
        name = f"{state['connection']}/{one['mapping']}"
        done = [
            f"{each['records']} {each['effect']}"
            for each in state["last_hour"]
            if (each["mapping"], each["side"]) == (one["mapping"], one["side"])
        ]
        past = f"; done in the last hour: {', '.join(done)}" if done else ""
        note(f"{name} ({one['side']}): tripped {age(one['since'], desk.clock.now())} ago{past}")
        note(f"  let it go on: connector brake release {name}")


async def _release(desk: Desk, mapping: str | None, *, as_json: bool) -> None:
    released = {}
    for connection, name in desk.chosen(mapping):
        released[connection] = await _let_go(desk, connection, name)
    if as_json:
        say_json({"released": released})
        return
    for connection, records in released.items():
        note(f"{connection}: {records} records go on")


async def _let_go(desk: Desk, connection: str, mapping: str | None) -> int:
    """Where nobody owns the connection nobody remembers the brake either, and the database is all there is."""
    if await desk.owned(connection):
        return int((await desk.ask(connection, "brake_release", {"mapping": mapping}))["released"])
    async with desk.database.transaction() as db:
        return await brakes.release(db, connection, mapping, desk.clock.now())
