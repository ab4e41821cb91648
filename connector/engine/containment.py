"""Containment: a defect of ours costs its own records, which a person then sees. The one place that catches everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import structlog

from connector.core.errors import ConnectorError, NotOwnerError
from connector.engine.context import Context
from connector.engine.reconcile import Listed, Reconciler
from connector.store import link_writes, links, work
from connector.store.db import AWAY, UNSTORABLE, Connection
from connector.store.work import Deferral, Item, WorkState

log = structlog.get_logger()


async def reconcile(reconciler: Reconciler, items: Sequence[Item], listed: Listed | None = None) -> None:
    """Reconciles a batch, or a page; what cannot be reconciled together is tried one by one."""
    try:
        await reconciler.run(items, listed)
    except (*AWAY, NotOwnerError) as error:
        if not isinstance(error, ValueError):  # asyncpg's word for a value that it cannot send
            raise
        await _isolate(reconciler, items, listed, error)
    except Exception as error:
        log.exception("reconcile.failed", count=len(items))
        await _isolate(reconciler, items, listed, error)


async def contained(fold: Callable[[], Awaitable[bool]]) -> bool | None:
    """What folding gave; None when the notes cannot be folded for what they hold.

    Trouble of the database itself is none of theirs.
    """
    try:
        return await fold()
    except (*AWAY, NotOwnerError, asyncpg.PostgresError) as error:
        if not isinstance(error, UNSTORABLE):
            raise
        log.exception("fold.failed")
    except Exception:
        log.exception("fold.failed")
    return None


async def _isolate(reconciler: Reconciler, items: Sequence[Item], listed: Listed | None, error: Exception) -> None:
    """What fails alone is parked; a page leaves all of its records to the queue, and the sweep goes on."""
    if listed is not None:
        async with reconciler.context.change() as db:
            await _queue(reconciler.context, db, items, listed)
    elif len(items) > 1:
        for item in items:
            await reconcile(reconciler, [item])
    else:
        await _park(reconciler.context, items[0], error)


async def _queue(context: Context, db: Connection, items: Sequence[Item], listed: Listed) -> None:
    now = context.clock.now()
    for name in {link.object for link in listed.new.values()}:
        ids = [link.crm_id for link in listed.new.values() if link.object == name and link.crm_id is not None]
        await link_writes.open_crm(db, context.name, name, ids, now)
        found = await links.of_records(db, context.name, name, ids)
        await work.ensure(db, context.name, list(found.values()), items[0].lane, now)
    stored = [item for item in items if item.link_id not in listed.new]
    await work.defer(db, [Deferral(i.link_id, i.generation, WorkState.DUE, now, "again") for i in stored], now)


async def _park(context: Context, item: Item, error: Exception) -> None:
    cause = f"defect:{type(error).__name__}".lower()
    if isinstance(error, ConnectorError):
        cause = type(error).__name__.lower()
    parked = Deferral(item.link_id, item.generation, WorkState.PARKED, None, cause, item.attempt + 1)
    async with context.change() as db:
        await work.defer(db, [parked], context.clock.now())
