"""Gates: what is open for a connection, as the database says, and what becomes due when a pause ends."""

from __future__ import annotations

from collections.abc import Mapping

from connector.engine.context import Context
from connector.store import connections, sweeps, work
from connector.store.connections import ConnectionRow
from connector.store.sweeps import Sweep

LOOK = 0.25
LISTINGS = ("fetch_all", "full")
PAUSES = ("paused", "sends_paused")


async def open_gates(context: Context, *, first: bool = False) -> None:
    """Reads what is open: fetched mappings, listed objects, pauses. What waited for a pause that is over becomes due.

    `first`: nothing is known of what was paused under the former owner, so whatever waits for a pause is looked at; and
    what held the connection then may be mended, as a new token is given with a restart. Else it is soon held again.
    """
    async with context.database.session() as db:
        row = await connections.get(db, context.name)
        fetched = await connections.fetched(db, context.name)
        known = await sweeps.load(db, context.name)
        paused = await connections.paused_mappings(db, context.name)
    gates = context.gates
    context.hearing.heard_at = context.hearing.heard_at or row.webhook_at
    gates.fetched |= {name for name, done in fetched.items() if done}
    complete = [s for (_, kind), s in known.items() if kind in LISTINGS and s.finished_at is not None]
    keyed = context.rules.keyed
    gates.listed |= {s.object: s.keys for s in complete if s.keys is not None and s.keys == keyed.get(s.object)}
    ended = PAUSES if first else _ended(context, row, paused)
    gates.paused, gates.sends_paused, gates.paused_mappings = row.paused, row.sends_paused, paused
    if first and row.state == "held":
        async with context.database.transaction(context.fence) as db:
            await connections.set_state(db, context.fence, "ok", None, None)
    await _rearm(context, ended)
    await _list_anew(context, known)


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
