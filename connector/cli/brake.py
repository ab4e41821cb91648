"""``connector brake``: what mass change waits for a person, and letting it go on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from connector.app.commands import Desk
from connector.cli.place import AsJson, Data, at_desk
from connector.cli.talk import age, note, say_json, table
from connector.core.brake import said
from connector.core.errors import ConnectorError
from connector.core.mapping import DeletePolicy, MappingSpec
from connector.store import brakes, report
from connector.store.report import Braked

brake = typer.Typer(
    help="Mass change that waits for a person: show it, let it go on.\n\nExample: connector brake show",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
PATIENCE = 3.0
"""Seconds for the owner to tell what calls cost."""
SAMPLES = 5
"""So many records are named to a person; a program is told ten."""


@brake.command()
def show(data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show what the brake stops: since when, how many, which records, and what a release would do and cost.

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


# --- show ------------------------------------------------------------------------------------------------------------


async def _show(desk: Desk, *, as_json: bool) -> None:
    found = [await _state(desk, name) for name in desk.sets]
    if as_json:
        say_json(found)
        return
    heads = ("mapping", "stopped", "records", "since", "rows", "CRM ids", "tokens")
    table(heads, [_line(desk, state["connection"], one) for state in found for one in state["stopped"]])
    for state in found:
        _say(desk, state)
    if not any(state["stopped"] for state in found):
        note("no brake is tripped")


async def _state(desk: Desk, connection: str) -> dict[str, Any]:
    now = desk.clock.now()
    async with desk.database.session() as db:
        tripped = await brakes.tripped(db, connection)
        counts = await brakes.counts(db, connection, now)
        stopped = await report.braked(db, report.Now(connection, now))
    prices = await _prices(desk, connection) if stopped else {}
    specs = {spec.name: spec for spec in desk.sets[connection].spec.mappings}
    return {
        "connection": connection,
        "tripped": [asdict(each) for each in tripped],
        "last_hour": [asdict(count) for count in counts if count.records > 0],
        "stopped": [
            asdict(each)
            | {"on_release": _on_release(each, specs.get(each.mapping or "")), "tokens": _cost(each, prices)}
            for each in stopped
        ],
    }


async def _prices(desk: Desk, connection: str) -> Mapping[str, Mapping[str, float]]:
    """Object → what its calls cost, as the owner knows it; nothing when none says so in time."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await desk.ask(connection, "prices", {}) if await desk.owned(connection) else {}
    except (TimeoutError, ConnectorError):
        return {}


def _cost(each: Braked, prices: Mapping[str, Mapping[str, float]]) -> int | None:
    """At most so many tokens; None where nobody says. A record is read before it is written, a new one is not."""
    price = prices.get(each.object)
    if price is None:
        return None
    calls = {"create": ("create",), "delete": ("read", "delete")}.get(each.effect, ("read", "update"))
    of_app = ("read",)
    return round(each.records * sum(price[call] for call in (calls if each.side == "crm" else of_app)))


def _on_release(each: Braked, spec: MappingSpec | None) -> str:
    """What a release would do, in a sentence."""
    records = f"{each.records} {each.object} record{'' if each.records == 1 else 's'} of the CRM"
    rows = f"{each.records} row{'' if each.records == 1 else 's'}" + (f" of {spec.schema}.{spec.table}" if spec else "")
    whom = records if each.side == "crm" else rows
    match each.effect:
        case "delete" if each.side == "app" and spec is not None and spec.deletes.receive is DeletePolicy.SET:
            return f"{', '.join(spec.deletes.set)} is set in {rows}, whose CRM records were deleted"
        case "delete":
            return f"{whom} will be deleted"
        case "create":
            return f"{each.records} new {each.object} record{'' if each.records == 1 else 's'} will be made in the CRM"
        case "clear":
            return f"{each.line} will be emptied in {whom}"
        case _:
            return f"{each.line} will be overwritten in {whom}, with what the other side holds"


def _line(desk: Desk, connection: str, one: Mapping[str, Any]) -> Sequence[object]:
    what = said(" ".join(filter(None, (f"{one['side']}_{one['effect']}", one["line"]))))
    samples = [
        " ".join(one[name][:SAMPLES]) + (" …" if len(one[name]) > SAMPLES else "") for name in ("keys", "crm_ids")
    ]
    since = age(one["since"], desk.clock.now())
    return (f"{connection}/{one['mapping']}", what, one["records"], since, *samples, one["tokens"])


def _say(desk: Desk, state: Mapping[str, Any]) -> None:
    """Per mapping and side: what was done before it tripped, what a release would do, and how it ends without one."""
    places = dict.fromkeys((one["mapping"], one["side"]) for one in state["tripped"])
    for mapping, side in places:
        name = f"{state['connection']}/{mapping}"
        here = [one for one in state["stopped"] if (one["mapping"] or "", one["side"]) == (mapping, side)]
        done = [
            f"{each['records']} {each['effect']}"
            for each in state["last_hour"]
            if (each["mapping"], each["side"]) == (mapping, side)
        ]
        past = f"; done in the last hour: {', '.join(done)}" if done else ""
        note(f"{name} ({side}): tripped {age(min(one['since'] for one in here), desk.clock.now())} ago{past}")
        for one in here:
            note(f"  on release: {one['on_release']}")
        note(f"  let it go on: connector brake release {name}")
    if places:
        note("or undo it where it was done (the rows or values as they were): then nothing is stopped any more")


# --- release ---------------------------------------------------------------------------------------------------------


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
