"""Discard: a person accepts the difference of parked records. The base becomes what both sides hold now.

A record of which only one side can be seen is kept apart until a person pairs it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connector.core.errors import ConnectorError
from connector.core.model import ABSENT, Base, Lane, LinkId, LinkState, Pair, Record, Side
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.engine.reconcile import Reconciler
from connector.store import intents, journal, link_writes, work
from connector.store.journal import Entry
from connector.store.link_writes import LinkWrite
from connector.store.work import Deferral, Item, WorkState

BATCH = 200
DISCARDED = "discarded"


class Discarder:
    """Accepts differences on one connection."""

    def __init__(self, context: Context, reconciler: Reconciler) -> None:
        self.context, self.reconciler = context, reconciler

    async def discard(self, parked: Sequence[LinkId]) -> int:
        """Ends the work of parked links with what is there as the agreement; how many that were."""
        done = 0
        for first in range(0, len(parked), BATCH):
            done += await self._batch(parked[first : first + BATCH])
        return done

    async def _batch(self, ids: Sequence[LinkId]) -> int:
        context = self.context
        async with context.change() as db:
            items = await work.claim_links(db, context.fence, ids, Lane.MANUAL, context.clock.now())
        try:
            cases = await self.reconciler.observer.cases(items, {}, None)
        except ConnectorError:
            await self._park_again(items)
            raise
        await self._accept(cases)
        return len(cases)

    async def _park_again(self, items: Sequence[Item]) -> None:
        """Nothing could be read: they stay as they were."""
        back = [
            Deferral(i.link_id, i.generation, WorkState.PARKED, None, i.cause or "unknown", i.attempt) for i in items
        ]
        async with self.context.change() as db:
            await work.defer(db, back, self.context.clock.now())

    async def _accept(self, cases: Sequence[Case]) -> None:
        context, now = self.context, self.context.clock.now()
        async with context.change() as db:
            await link_writes.save(db, [accepted(case) for case in cases], now)
            await intents.close(db, [intent.id for case in cases for intent in case.leftovers])
            await journal.append(db, context.name, [_entry(case) for case in cases], now)
            await work.finish(db, [(case.item.link_id, case.item.generation) for case in cases], now)
            await work.wake(db, [case.link.id for case in cases], now)


def accepted(case: Case) -> LinkWrite:
    """The link with what was observed as its base; without both sides it is kept apart."""
    link = case.link
    base = observed_base(case)
    name = case.mapping.name if case.mapping is not None and link.app_key is not None else link.mapping
    version = case.crm.version if isinstance(case.crm, Record) else link.version
    apart = LinkWrite(
        link.id, name, link.app_key, link.crm_id, LinkState.UNLINKED, link.base, cause=DISCARDED, conflicts={}
    )
    return apart if base is None else replace(apart, state=LinkState.LINKED, base=base, cause=None, version=version)


def observed_base(case: Case) -> Base | None:
    """Every line as both sides hold it now; None unless both sides are there."""
    if case.mapping is None or case.row is None or not isinstance(case.crm, Record):
        return None
    base: dict[str, Pair] = dict(case.link.base)
    for line in case.mapping.every_line:
        held = line.converter.read_crm(case.crm.fields)
        if held is not ABSENT:
            base[line.name] = Pair(line.converter.read_app(case.row.columns), held, line.rule)
    return base


def _entry(case: Case) -> Entry:
    link = case.link
    return Entry(
        link.id, link.object, link.mapping, link.app_key, link.crm_id, Side.APP, "discard", "manual", DISCARDED
    )
