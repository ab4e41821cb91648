"""Admission: how newcomers get their links, in the commit that says what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connector.core.model import CrmId, Lane, Link, LinkId, LinkState
from connector.engine.apply.result import Batch, Held, Result, grouped
from connector.engine.context import Context
from connector.store import link_writes, links, work
from connector.store.db import Connection


async def admit(context: Context, db: Connection, batch: Batch) -> None:
    """Leaves out those that somebody else took meanwhile, and stores those that something is still to happen to."""
    new = [result for result in batch.results if result.case.new]
    overtaken: set[LinkId] = set()
    for name, group in grouped(new, lambda r: r.case.link.object).items():
        known = await links.of_records(db, context.name, name, [_id(result) for result in group])
        if known:
            await work.ensure(db, context.name, list(known.values()), group[0].case.item.lane, batch.now)
        overtaken |= {r.case.link.id for r in group if _id(r) in known or not _held(context, r)}
    batch.results = [result for result in batch.results if result.case.link.id not in overtaken]
    staying = [result for result in new if result.case.link.id not in overtaken]
    batch.held |= {r.case.link.id: Held(None, r.case.link.crm_id, LinkState.OPEN, None) for r in staying}
    await store(context, db, [result for result in staying if _unsettled(result)], batch.now)


async def store(context: Context, db: Connection, results: Sequence[Result], now: datetime) -> None:
    """Stores newcomers as halves that are being worked on, like those of anybody else."""
    for result in results:
        result.case.new = False
    await open_claimed(context, db, [(result.case.link, result.case.item.lane) for result in results], now)


async def open_claimed(context: Context, db: Connection, newcomers: Sequence[tuple[Link, Lane]], now: datetime) -> None:
    """Makes half-open links of newcomers, with claimed work."""
    for name, group in grouped(newcomers, lambda one: one[0].object).items():
        ids = {link.crm_id: link.id for link, _ in group if link.crm_id is not None}
        await link_writes.open_crm_as(db, context.name, name, ids, now)
    for lane in {lane for _, lane in newcomers}:
        await work.claim_links(db, context.fence, [link.id for link, its in newcomers if its is lane], lane, now)


def _held(context: Context, result: Result) -> bool:
    return context.newcomers.holds(result.case.link.object, _id(result), result.case.link.id)


def _id(result: Result) -> CrmId:
    return CrmId(str(result.case.link.crm_id))


def _unsettled(result: Result) -> bool:
    """True when the work goes on after the commit, or the link takes in another half."""
    if result.drop or result.join is not None:
        return False
    return result.plan is None or result.again or result.deferral is not None or result.case.adopted is not None
