"""``connector explain`` and ``connector sync``: one record, its plan, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from connector.app.commands import Desk, Target
from connector.cli.place import AsJson, Crm, Data, at_desk
from connector.cli.talk import ERROR, OK, note, say_json
from connector.cli.watch import settled
from connector.core.errors import ConnectorError
from connector.core.model import LinkId, LinkState
from connector.store import connections

Mapped = Annotated[str, typer.Argument(metavar="M", help="[CONNECTION/]MAPPING")]
Key = Annotated[str | None, typer.Argument(metavar="[KEY]", help="The row's primary key.")]


def explain(mapping: Mapped, key: Key = None, crm: Crm = None, data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show per line of a record: base, app, CRM, clocks, rule, decision, and what blocks it. Writes nothing.

    Example: connector explain contact --crm 17
    """
    args = _args(key, crm)
    at_desk(data, lambda desk: _explain(desk, mapping, args, as_json=as_json))


def sync(  # noqa: PLR0917 (one parameter per option)
    mapping: Mapped,
    key: Key = None,
    crm: Crm = None,
    related: Annotated[bool, typer.Option("--related", help="First what the record refers to.")] = False,  # noqa: FBT002
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Reconcile one record now, print the plan and what became of it. A tombstone is paired again.

    Example: connector sync acme/deal 4711
    """
    args = _args(key, crm)
    at_desk(data, lambda desk: _sync(desk, mapping, args, related=related, as_json=as_json))


def _args(key: str | None, crm: str | None) -> dict[str, str]:
    if (key is None) == (crm is None):
        raise typer.BadParameter("give the row's key, or --crm ID", param_hint="KEY")
    return {"key": key} if key is not None else {"crm": str(crm)}


async def _explain(desk: Desk, name: str, args: Mapping[str, str], *, as_json: bool) -> None:
    target = desk.target(name)
    told = await desk.request(target.connection, "explain", {"mapping": target.mapping.name, **args})
    if as_json:
        say_json(told)
    else:
        show(told)


async def _sync(desk: Desk, name: str, args: Mapping[str, str], *, related: bool, as_json: bool) -> int:
    target = desk.target(name)
    await _refuse_paused(desk, target)

    async def job() -> tuple[Mapping[str, Any], str, Sequence[Mapping[str, str]]]:
        parents = await _parents(desk, target, args) if related else []
        first = [await _parent(desk, *parent) for parent in parents]
        return *await _carried_out(desk, target, args), first

    told, outcome, first = await desk.served(target.connection, job)
    if as_json:
        say_json({"outcome": outcome, **told, **({"related": first} if related else {})})
    else:
        show(told["plan"])
        for parent in first:
            note(f"related {parent['record']}: {parent['outcome']}")
        note(f"outcome: {outcome}")
    return OK if outcome == "done" else ERROR


async def _parents(desk: Desk, target: Target, args: Mapping[str, str]) -> Sequence[tuple[Target, Mapping[str, str]]]:
    """What the record refers to, and what that refers to in turn: whoever is referred to comes first, each once.

    A pair that is kept apart stays so: only who names it wants it together again.
    """
    found: dict[tuple[str, str], tuple[Target, Mapping[str, str]]] = {}
    seen: set[tuple[str, str]] = set()

    async def visit(here: Target, named: Mapping[str, str]) -> bool:
        seen.add(_named(here, named))
        told = await _told(desk, here, named)
        for parent, key in _references(desk, here, told):
            if _named(parent, key) not in seen and await visit(parent, key):
                found[_named(parent, key)] = (parent, key)
        return told["link"] is None or not LinkState(told["link"]["state"]).tombstone

    await visit(target, args)
    return list(found.values())


async def _told(desk: Desk, target: Target, args: Mapping[str, str]) -> Mapping[str, Any]:
    """The explanation; of a row or record that is not there, one without lines."""
    try:
        return await desk.ask(target.connection, "explain", {"mapping": target.mapping.name, **args})
    except ConnectorError:
        return {"lines": [], "link": None}


def _references(desk: Desk, here: Target, told: Mapping[str, Any]) -> Iterator[tuple[Target, Mapping[str, str]]]:
    """The rows, or where no row is known the records, that the lines with `link` name."""
    for line in told["lines"]:
        app, crm = line["app"], line.get("crm")
        if line["link"] is not None and (app is not None or crm is not None):
            named = {"key": str(app)} if app is not None else {"crm": str(crm)}
            yield desk.target(f"{here.connection}/{line['link']}"), named


def _named(target: Target, args: Mapping[str, str]) -> tuple[str, str]:
    ((side, key),) = args.items()
    return target.mapping.name, key if side == "key" else f"(record) {key}"


async def _parent(desk: Desk, target: Target, args: Mapping[str, str]) -> Mapping[str, str]:
    """What became of a record that is referred to; one that is not there keeps nobody."""
    try:
        _, outcome = await _carried_out(desk, target, args)
    except ConnectorError as error:
        outcome = error.message
    return {"record": " ".join(_named(target, args)), "outcome": outcome}


async def _refuse_paused(desk: Desk, target: Target) -> None:
    async with desk.database.session() as db:
        row = await connections.get(db, target.connection)
        mappings = await connections.paused_mappings(db, target.connection)
    if row.paused or target.mapping.name in mappings:
        what = target.connection if row.paused else f"{target.connection}/{target.mapping.name}"
        raise ConnectorError(f"{what} is paused", f"connector resume {what}")


async def _carried_out(desk: Desk, target: Target, args: Mapping[str, str]) -> tuple[Mapping[str, Any], str]:
    """The plan, and in a word what became of it: done, or the state and cause in which the record is."""
    told = await desk.ask(target.connection, "sync", {"mapping": target.mapping.name, **args})
    (outcome,) = await settled(desk, [LinkId(told["link"])])
    return told, outcome


# --- showing -----------------------------------------------------------------------------------------------------


def show(told: Mapping[str, Any]) -> None:
    """An explanation for people, values included: they asked for them."""
    plan, link, work = told["plan"], told["link"], told["work"]
    row = f"{told['table']} {told['app_key'] or '(no row)'}" + (" (gone)" if told["row"] == "gone" else "")
    record = f"{told['object']} {told['crm_id'] or '(no record)'}"
    print(f"{told['connection']}/{told['mapping']}: {row} ↔ {record}", told["crm_url"] or "", sep="  ")
    print(f"  link    {_link(link)}; the record: {told['record']}")
    if work is not None:
        print(
            f"  work    {work['state']} in lane {work['lane']}" + (f", cause {work['cause']}" if work["cause"] else "")
        )
    cause = f" ({plan['cause']})" if plan["cause"] else ""
    print(f"  plan    {plan['step']}: {plan['reason']}{cause}; then the link is {plan['state']}")
    for side in ("row", "record"):
        if plan[side] is not None:
            print(f"          {plan[side]['action']} {_value(plan[side]['values'])}")
    for block, advice in zip(told["blocks"], told["advice"], strict=True):
        print(f"  blocked {block}" + (f"\n          → {advice}" if advice else ""))
    for line in told["lines"]:
        _line(line)


def _link(link: Mapping[str, Any] | None) -> str:
    if link is None:
        return "none yet"
    cause = f" ({link['cause']})" if link["cause"] else ""
    return f"{link['id']} {link['state']}{cause}, first seen in the {link['origin']}, agreed {link['synced_at']}"


def _line(line: Mapping[str, Any]) -> None:
    base, clocks = line["base"], line["clocks"]
    reason = f" ({line['reason']})" if line["reason"] else ""
    cause = f": {line['cause']}" if line["cause"] else ""
    rule = f"{line['direction']}, conflict {line['conflict']}"
    print(f"\n  {line['line']}  [{rule}]  {line['decision'] or '-'}{reason}{cause}")
    stale = "" if base is None or base["valid"] else "  (of another rule: first sight)"
    agreed = "none" if base is None else f"{_value(base['app'])} | {_value(base['crm'])}"
    print(f"    base  {agreed}{stale}")
    print(f"    app   {_value(line['app'])}{_changed(clocks['app'])}")
    crm = _value(line["crm"]) if "crm" in line else "(not in the payload)"
    print(f"    CRM   {crm}{_changed(clocks['crm'])}")
    if line["asked"] is not None:
        _asked(line["asked"])
    if line["becomes"] is not None and line["decision"] in ("send", "receive"):
        print(f"    then  {_value(line['becomes']['app'])} | {_value(line['becomes']['crm'])}")


def _asked(asked: Mapping[str, Any]) -> None:
    keep = f"; chosen: {asked['keep']}" if asked["keep"] else ""
    print(f"    asked {_value(asked['app'])} | {_value(asked['crm'])}   since {asked['since']}{keep}")


def _changed(at: str | None) -> str:
    return f"   changed {at}" if at is not None else ""


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
