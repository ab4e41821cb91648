"""Gates: what is open for a connection, as the database says, and what becomes due when a pause ends."""

from __future__ import annotations

from collections.abc import Mapping

from connector.engine.context import Context
from connector.store import connections, roles, sweeps, work
from connector.store.connections import ConnectionRow
from connector.store.sweeps import Sweep

LOOK = 0.25
LISTINGS = ("fetch_all", "full")
PAUSES = ("paused", "sends_paused")
UNPROVEN = ("database", "first_look")
"""What waits until it is clear which database this is."""


async def open_gates(context: Context, *, first: bool = False) -> None:
    """Reads what is open: fetched mappings, listed objects, pauses. What waited for a pause that is over becomes due.

    `first`: nothing is known of what was paused under the former owner, so whatever waits for a pause is looked at; and
    what held the connection then may be mended, as a new token is given with a restart. Else it is soon held again.
    """
    gates = context.gates
    turns = gates.turns
    async with context.database.session() as db:
        row = await connections.get(db, context.name)
        fetched = await connections.fetched(db, context.name)
        known = await sweeps.load(db, context.name)
        paused = await connections.paused_mappings(db, context.name)
        stand = await roles.load(db, context.name)
    if gates.turns != turns:
        await open_gates(context, first=first)
        return
    context.hearing.heard_at = context.hearing.heard_at or row.webhook_at
    gates.fetched |= {name for name, done in fetched.items() if done}
    ended = (*PAUSES, *UNPROVEN) if first else _ended(context, row, paused)
    ended += UNPROVEN if (gates.role, gates.lost) != (stand.role, stand.lost) else ()
    gates.role, gates.lost = stand.role, stand.lost
    gates.listed |= _listed(context, known)
    gates.paused, gates.sends_paused, gates.paused_mappings = row.paused, row.sends_paused, paused
    if first and row.state == "held":
        async with context.database.transaction(context.fence) as db:
            await connections.set_state(db, context.fence, "ok", None, None)
    await _rearm(context, ended)
    await _list_anew(context, known)


def _listed(context: Context, known: Mapping[tuple[str, str], Sweep]) -> dict[str, str]:
    """Object → digest of the match rules, of the objects whose records are all known by them."""
    keyed = context.rules.keyed
    complete = [s for (_, kind), s in known.items() if kind in LISTINGS and s.finished_at is not None]
    listed = [s for s in complete if context.gates.in_force(s.started_at)]
    return {s.object: s.keys for s in listed if s.keys is not None and s.keys == keyed.get(s.object)}


def _ended(context: Context, row: ConnectionRow, paused: frozenset[str]) -> tuple[str, ...]:
    mapping = bool(context.gates.paused_mappings - paused)
    sends = context.gates.sends_paused and not row.sends_paused
    return tuple(cause for cause, over in zip(PAUSES, (mapping, sends), strict=True) if over)


async def _rearm(context: Context, causes: tuple[str, ...]) -> None:
    for cause in causes:
        async with context.database.transaction(context.fence) as db:
            await work.rearm(db, context.name, cause, context.clock.now())
    if causes:
        context.pulse.set()


async def _list_anew(context: Context, known: Mapping[tuple[str, str], Sweep]) -> None:
    """Asks for a full sweep of objects that were listed when their records were matched otherwise."""
    stale = []
    for name in context.rules.objects:
        full = known.get((name, "full"))
        if full is None or full.asked or context.listed(name):
            continue
        if full.finished_at is not None or full.keys != context.rules.keyed.get(name):
            stale.append(name)
    if stale:
        async with context.database.transaction(context.fence) as db:
            await sweeps.ask(db, context.name, "full", context.clock.now(), stale)


async def opened(context: Context) -> None:
    """Returns once the connection is neither paused nor held."""
    while context.gates.closed:
        await context.clock.sleep(LOOK)
