"""Preparation: the capture triggers of an applied set, made without a daemon."""

from __future__ import annotations

from connector.app.commands import Desk
from connector.engine.rules import METADATA, PINS, make_rules, prepare_tables
from connector.store import connections, lease

OWNER = "connector migrate"


async def prepare(desk: Desk, connection: str) -> str:
    """Makes or renews the triggers of a connection that nobody owns; what was done, for a person."""
    async with desk.database.session() as db:
        row = await connections.get(db, connection)
        fence = await lease.acquire(db, connection, OWNER, desk.clock.now())
    if fence is None:
        return "in the hands of a running daemon, which keeps the triggers itself"
    try:
        if row.metadata is None:
            return "never reached its CRM; the first run makes the triggers"
        spec = desk.connection(connection).spec
        metadata, pins = METADATA.validate_json(row.metadata), PINS.validate_json(row.pins)
        rules = await make_rules(desk.database, spec, metadata, pins, applied=True)
        rules = (await prepare_tables(desk.database, fence, rules, desk.clock.now())).rules
    finally:
        async with desk.database.session() as db:
            await lease.release(db, fence, desk.clock.now())
    locked = f"; left out, since their tables are locked: {', '.join(rules.locked)}" if rules.locked else ""
    return f"triggers of {len(rules.bound.mappings)} mappings are in place{locked}"
