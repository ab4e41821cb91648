"""``connector conflicts``: what `conflict: review` leaves to a person. Values are shown here: he asked for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from connector.app.commands import Desk
from connector.cli.place import AsJson, Crm, Data, at_desk
from connector.cli.talk import ERROR, OK, age, note, say_json
from connector.cli.watch import settled
from connector.core.errors import ConnectorError
from connector.core.model import LinkId, Side
from connector.store.conflicts import Asked, asked

conflicts = typer.Typer(
    help="Conflicts that a person settles (`conflict: review`): list them, say which side stays."
    "\n\nExample: connector conflicts list",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Found = Mapping[str, Sequence[Asked]]
"""Connection → open conflicts."""


@conflicts.command("list")
def list_(
    mapping: Annotated[str | None, typer.Argument(metavar="[M]", help="[CONNECTION/]MAPPING; default: all.")] = None,
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List open conflicts with the values of both sides, and when each was changed, by our clock.

    Example: connector conflicts list acme/contact
    """
    at_desk(data, lambda desk: _list(desk, mapping, as_json=as_json))


@conflicts.command()
def resolve(  # noqa: PLR0917 (one parameter per option)
    mapping: Annotated[str, typer.Argument(metavar="M", help="[CONNECTION/]MAPPING")],
    keep: Annotated[Side, typer.Option("--keep", help="The side whose value stays.")],
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="The row's primary key.")] = None,
    lines: Annotated[list[str] | None, typer.Argument(metavar="[LINE...]", help="Only these lines.")] = None,
    crm: Crm = None,
    everything: Annotated[bool, typer.Option("--all", help="All open conflicts of the mapping.")] = False,  # noqa: FBT002
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Keep one side's value on both; the other one stays in the journal. A conflict that has changed since is left open.

    With --crm or --all no KEY is given, and what stands in its place are lines.

    Example: connector conflicts resolve acme/contact 4711 phones --keep crm
    """
    words = [word for word in (key, *(lines or ())) if word is not None]
    by_key = crm is None and not everything
    if (crm is not None and everything) or (by_key and not words):
        raise typer.BadParameter("give the row's key, or --crm ID, or --all", param_hint="KEY")
    which = (words[0], None, words[1:]) if by_key else (None, crm, words)
    at_desk(data, lambda desk: _resolve(desk, mapping, which, keep, as_json=as_json))


async def _found(desk: Desk, mapping: str | None) -> Found:
    async with desk.database.session() as db:
        return {connection: await asked(db, connection, name) for connection, name in desk.chosen(mapping)}


async def _list(desk: Desk, mapping: str | None, *, as_json: bool) -> None:
    found = await _found(desk, mapping)
    if as_json:
        say_json([_told(connection, each) for connection, group in found.items() for each in group])
        return
    for connection, group in found.items():
        for each in group:
            _say(desk, connection, each)
    if not any(found.values()):
        note("no conflict is open")


def _told(connection: str, each: Asked) -> dict[str, object]:
    conflict = each.conflict
    return {
        "connection": connection,
        "mapping": each.mapping,
        "link": each.link,
        "key": each.app_key,
        "line": each.line,
        "since": conflict.since,
        "app": {"value": conflict.app, "changed_at": conflict.app_at},
        "crm": {
            "value": conflict.crm,
            "changed_at": conflict.crm_at,
            "object": each.object,
            "id": each.crm_id,
            "url": each.crm_url,
            "overwritten": conflict.overwritten,
        },
    }


def _say(desk: Desk, connection: str, each: Asked) -> None:
    conflict = each.conflict
    gone = "  (our write put it away before it was seen)" if conflict.overwritten else ""
    print(f"{connection}/{each.mapping} {each.app_key}  {each.line}  open for {age(conflict.since, desk.clock.now())}")
    print(f"  app  {_value(conflict.app)}{_changed(conflict.app_at)}")
    print(f"  CRM  {_value(conflict.crm)}{_changed(conflict.crm_at)}{gone}  {each.crm_url or ''}".rstrip())


def _changed(at: datetime | None) -> str:
    return f"   changed {at.isoformat(timespec='seconds')}" if at is not None else ""


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- resolving -------------------------------------------------------------------------------------------------------


async def _resolve(
    desk: Desk, name: str, which: tuple[str | None, str | None, Sequence[str]], keep: Side, *, as_json: bool
) -> int:
    target = desk.target(name)
    (every,) = (await _found(desk, f"{target.connection}/{target.mapping.name}")).values()
    chosen = _chosen(every, *which)
    answer = await desk.served(target.connection, lambda: _settle(desk, target.connection, chosen, keep))
    left = [each for each in chosen if (each.link, each.line) in answer["open"]]
    if as_json:
        done = [each for each in chosen if each not in left]
        told = {"resolved": [_told(target.connection, each) for each in done], "outcomes": answer["outcomes"]}
        say_json({"keep": keep, **told, "open": [[each.link, each.line] for each in left]})
    for each in chosen if not as_json else ():
        stays = (
            "still open: see connector conflicts list, connector explain"
            if each in left
            else f"the {keep}'s value stays"
        )
        note(f"{target.connection}/{each.mapping} {each.app_key}  {each.line}: {stays}")
    return ERROR if left else OK


def _chosen(found: Sequence[Asked], key: str | None, crm: str | None, lines: Sequence[str]) -> Sequence[Asked]:
    """Those of the open conflicts that a person means; ConnectorError where he means one that is not there."""
    whole = [each for each in found if key in (None, each.app_key) and crm in (None, each.crm_id)]
    missing = sorted(set(lines) - {each.line for each in whole})
    if missing or not whole:
        what = f"of {', '.join(missing)}" if missing else "there"
        raise ConnectorError(f"no conflict {what} is open", "see: connector conflicts list")
    return [each for each in whole if not lines or each.line in lines]


async def _settle(desk: Desk, connection: str, chosen: Sequence[Asked], keep: Side) -> Mapping[str, Any]:
    """Asks, and watches; `open` are those that stand as before: another value came, or something keeps the write back."""
    shown = [[each.link, each.line, each.conflict.mark] for each in chosen]
    await desk.ask(connection, "resolve", {"keep": keep, "shown": shown})
    links = sorted({LinkId(each.link) for each in chosen})
    outcomes = await settled(desk, links)
    async with desk.database.session() as db:
        still = {(each.link, each.line) for each in await asked(db, connection)}
    return {"outcomes": outcomes, "open": still}
