"""``connector status``: what an operator wants to know, from the database; only the owner can tell the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from connector.app.commands import Desk
from connector.app.role import words_of
from connector.cli.place import AsJson, Data, at_desk
from connector.cli.talk import age, note, say_json, span, table
from connector.core import advice
from connector.core.brake import SIDES
from connector.core.errors import ConnectorError
from connector.core.identity import Role
from connector.store import brakes, budgets, report, roles, sweeps
from connector.store.db import Connection
from connector.store.report import ConnectionState, Now

PATIENCE = 3.0
"""Seconds for the owner to tell the budget."""


def status(data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show connections, their work, sweeps, mappings, and what needs a person.

    Example: connector status --json
    """
    at_desk(data, lambda desk: _status(desk, as_json=as_json))


async def _status(desk: Desk, *, as_json: bool) -> None:
    async with desk.database.session() as db:
        states = await report.connection_states(db, desk.clock.now())
    found = [await _told(desk, state) for state in states]
    if as_json:
        say_json({"connections": found})
        return
    if not found:
        note("no connection yet: start `connector run DIR` once")
    for each in found:
        _say(desk, each)


async def _told(desk: Desk, state: ConnectionState) -> dict[str, Any]:
    async with desk.database.session() as db:
        told = asdict(state) | await _counts(db, Now(state.connection, desk.clock.now()))
        stand = await roles.load(db, state.connection)
    database = {"role": stand.role.value, **asdict(words_of(stand))}
    return told | {"database": database, "budget": await _budget(desk, state)}


async def _counts(db: Connection, now: Now) -> dict[str, Any]:
    """All that the database counts."""
    return {
        "lanes": [asdict(each) for each in await report.work_items(db, now)],
        "unfinished": await report.unfinished(db, now),
        "needs_person": await report.needs_person(db, now),
        "parked": _by_cause(await report.parked(db, now), advice.for_parked),
        "held": _by_cause(await report.held_values(db, now), advice.for_held),
        "waiting": _by_cause(await report.waiting(db, now), advice.for_waiting),
        "quarantined": [
            {"mapping": mapping, "line": line, "reason": why, "advice": advice.for_aside(why)}
            for mapping, line, why in await report.quarantined(db, now)
        ],
        "brake": [asdict(each) for each in await brakes.tripped(db, now.connection)],
        "sweeps": [
            {
                "object": s.object,
                "kind": s.kind,
                "finished_at": s.finished_at,
                "age_seconds": (now.at - s.finished_at).total_seconds() if s.finished_at is not None else None,
                "running": s.cursor is not None,
                "seen": s.seen,
            }
            for _, s in sorted((await sweeps.load(db, now.connection)).items())
        ],
        "mappings": [asdict(each) for each in await report.mapping_states(db, now)],
    }


def _by_cause(counted: Sequence[tuple[str | None, str, int]], advised: Callable[[str], str]) -> list[dict[str, object]]:
    return [{"mapping": m, "cause": cause, "count": n, "advice": advised(cause)} for m, cause, n in counted]


async def _budget(desk: Desk, state: ConnectionState) -> Any:  # noqa: ANN401 (as the owner says)
    """The windows as the owner knows them; None when it does not say in time. Without one, what was noted last."""
    if state.owner is None:
        return await _noted(desk, state.connection)
    try:
        async with asyncio.timeout(PATIENCE):
            return (await desk.ask(state.connection, "budget", {}))["windows"]
    except (TimeoutError, ConnectorError):
        return None


async def _noted(desk: Desk, connection: str) -> Sequence[Mapping[str, object]] | None:
    """The day's budget as the last owner left it; None once that day is over."""
    async with desk.database.session() as db:
        spending = await budgets.load(db, connection)
    if spending is None or spending.limit is None or spending.day != desk.clock.now().date():
        return None
    left = spending.limit - spending.spent if spending.remaining is None else spending.remaining
    return [
        {
            "name": "daily",
            "limit": spending.limit,
            "remaining": left,
            "resets_at": None,
            "unit": "tokens",
            "forecast_seconds": None,
        }
    ]


# --- for people ------------------------------------------------------------------------------------------------------


def _say(desk: Desk, told: Mapping[str, Any]) -> None:
    print(f"{told['connection']}: {_state(told)}")
    database = told["database"]
    for line in filter(None, (told["advice"], database["why"], database["advice"], *_pauses(told))):
        print(f"  {line}")
    print(f"  owner: {told['owner'] or 'no daemon runs'}")
    if told["url"]:
        print(f"  account: {told['url']} (company {told['company']}, user {told['user']})")
    for window in told["budget"] or ():
        print(f"  budget {_window(window, desk.clock.now())}")
    now = desk.clock.now()
    if told["webhook_at"] is not None:
        print(f"  webhooks: last one {age(told['webhook_at'], now)} ago")
    if told["webhook_trouble"] is not None:
        print(f"  webhooks: {told['webhook_trouble']}")
    print()
    first = [
        (m["mapping"], m["object"], m["table"], m["linked"], m["links"], m["frozen"], _first(m), _stands(told, m))
        for m in told["mappings"]
    ]
    table(("mapping", "object", "table", "linked", "links", "frozen", "first fetch-all", ""), first)
    _gap(table, ("lane", "work", "records", "oldest"), _lanes(told))
    _gap(table, ("sweep", "object", "age", "records"), [_sweep(desk, s) for s in told["sweeps"]])
    _gap(table, ("waiting", "cause", "records", "what to do"), [tuple(w.values()) for w in told["waiting"]])
    _gap(table, ("parked", "cause", "records", "what to do"), [tuple(p.values()) for p in told["parked"]])
    _gap(table, ("held values", "cause", "values", "what to do"), [tuple(h.values()) for h in told["held"]])
    _gap(table, ("quarantined", "line", "why", "what to do"), [tuple(q.values()) for q in told["quarantined"]])
    stopped = [
        (
            b["mapping"],
            f"{b['effect']} in {SIDES[b['side']]}",
            b["records"],
            age(b["since"], now),
            "connector brake show",
        )
        for b in told["brake"]
    ]
    _gap(table, ("brake", "stops", "records", "since", "what to do"), stopped)


def _window(window: Mapping[str, Any], now: datetime) -> str:
    """`daily: 29000 of 30000 tokens left, resets in 5 h, at the present rate spent in 3 d`."""
    said = f"{window['name']}: {window['remaining']:.0f} of {window['limit']:.0f} {window['unit']} left"
    if window["name"] != "daily":
        return said
    if window["resets_at"] is not None:
        said += f", resets in {span(datetime.fromisoformat(window['resets_at']) - now)}"
    if window["forecast_seconds"] is not None:
        said += f", at the present rate spent in {span(timedelta(seconds=window['forecast_seconds']))}"
    return said


def _state(told: Mapping[str, Any]) -> str:
    role = told["database"]["role"]
    stopped = told["paused"] or told["sends_paused"] or role != Role.ORIGINAL
    words = [told["state"]] if told["state"] != "ok" or not stopped else []
    words += [told["reason"]] if told["reason"] else []
    words += ["paused"] if told["paused"] else []
    words += ["sends paused"] if told["sends_paused"] else []
    words += [f"database {role.replace('_', ' ')}"] if role != Role.ORIGINAL else []
    return ", ".join(words)


def _pauses(told: Mapping[str, Any]) -> Sequence[str]:
    paused = [f"go on: connector resume {told['connection']}"] if told["paused"] else []
    return paused + ([f"go on: connector resume {told['connection']} --sends"] if told["sends_paused"] else [])


def _stands(told: Mapping[str, Any], mapping: Mapping[str, Any]) -> str:
    """What keeps the mapping as a whole from working, and how it goes on."""
    name = f"{told['connection']}/{mapping['mapping']}"
    paused = f"paused; go on: connector resume {name}" if mapping["paused"] else ""
    blocked = f"{mapping['blocked']}; {advice.for_aside(mapping['blocked'])}" if mapping["blocked"] else ""
    left = (
        "not in the set any more; its links are kept for when it comes back" if mapping["left_at"] is not None else ""
    )
    return "; ".join(filter(None, (left, paused, blocked)))


def _first(mapping: Mapping[str, Any]) -> str:
    return "done" if mapping["fetched_all_at"] is not None else "not yet: only receives"


def _lanes(told: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    return [(each["lane"], each["state"], each["count"], _span(each["oldest"])) for each in told["lanes"]]


def _span(seconds: float | None) -> str:
    return f"{seconds:.0f} s" if seconds is not None else ""


def _sweep(desk: Desk, sweep: Mapping[str, Any]) -> Sequence[object]:
    how = "running" if sweep["running"] else age(sweep["finished_at"], desk.clock.now())
    return (sweep["kind"], sweep["object"], how, sweep["seen"])


def _gap(show: Any, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:  # noqa: ANN401
    """A table with an empty line before it, where there is one."""
    if rows:
        print()
        show(head, rows)
