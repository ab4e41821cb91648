"""Gates: what is open for a connection, as the database says, and what becomes due when a pause ends."""

from __future__ import annotations

from connector.engine.context import Context
from connector.store import connections, sweeps, work
from connector.store.connections import ConnectionRow

LOOK = 0.25
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
    context.webhook_at = context.webhook_at or row.webhook_at
    gates.fetched |= {name for name, done in fetched.items() if done}
    gates.listed |= {name for (name, kind), s in known.items() if kind == "fetch_all" and s.finished_at is not None}
    ended = PAUSES if first else _ended(context, row, paused)
    gates.paused, gates.sends_paused, gates.paused_mappings = row.paused, row.sends_paused, paused
    if first and row.state == "held":
        async with context.database.transaction(context.fence) as db:
            await connections.set_state(db, context.fence, "ok", None, None)
    await _rearm(context, ended)


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


async def opened(context: Context) -> None:
    """Returns once the connection is neither paused nor held."""
    while context.gates.closed:
        await context.clock.sleep(LOOK)
