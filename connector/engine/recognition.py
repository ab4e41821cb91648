"""Doubt: is this database the one that worked last, or was it restored or copied? Nothing is sent while nobody knows.

Three things raise a doubt: the database is not the one that was noted, the CRM has records of ours with numbers that this
database has not given out, or it forgot what this process had written.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog

from connector.core.identity import Doubt, Place, Role, highest
from connector.engine.context import Context
from connector.store import roles
from connector.store.db import Connection, Database, Fence

log = structlog.get_logger()


async def recognise(database: Database, fence: Fence, now: datetime, *, went_back: bool) -> Role:
    """Compares this database with the one that worked last, and notes the doubt; or where we are, at the first time."""
    async with database.transaction(fence) as db:
        stand, here = await roles.load(db, fence.connection), await roles.here(db)
        why = _doubt(stand.place, here, went_back=went_back)
        if why is None:
            await roles.note_place(db, fence.connection, here)
        else:
            await roles.doubt(db, fence.connection, why, now)
        after = await roles.load(db, fence.connection)
    if after.role is Role.IN_DOUBT:
        _say(fence.connection, after.doubt)
    return after.role


def _doubt(before: Place | None, here: Place, *, went_back: bool) -> Doubt | None:
    if before is not None and not here.was(before):
        return Doubt.MOVED
    return Doubt.WENT_BACK if went_back else None


def _say(connection: str, why: Doubt | None) -> None:
    log.error("database.in_doubt", connection=connection, reason=why)


def unknown(context: Context, identities: Iterable[str | None]) -> int:
    """The highest number in identities of our mappings beyond those that we know to have given; 0 where none is."""
    number = highest(identities, {spec.name for spec in context.rules.spec.mappings})
    return number if number > context.known_intent else 0


async def look(context: Context, db: Connection, identities: Iterable[str | None]) -> None:
    """Doubts the database when the CRM shows records of ours that it does not know.

    Before anything was fetched they are a former installation's: nothing is sent yet, and a person is asked before it is.
    """
    number = unknown(context, identities)
    if not number:
        return
    context.known_intent = await roles.last_intent(db)
    if number <= context.known_intent or context.gates.role is Role.COPY:
        return
    if await roles.fresh(db, context.name):
        await roles.skip(db, context.name, number, context.clock.now())
        context.known_intent, context.gates.lost = number, (await roles.load(db, context.name)).lost
        context.gates.turns += 1
        return
    await roles.note_seen(db, context.name, number)
    if context.gates.role is Role.ORIGINAL:
        await roles.doubt(db, context.name, Doubt.BEHIND, context.clock.now())
        context.gates.role = Role.IN_DOUBT
        context.gates.turns += 1
        _say(context.name, Doubt.BEHIND)
