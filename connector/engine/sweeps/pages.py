"""Pages: part of a listing is an observation like any other. What is not in agreement is claimed and reconciled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.core.model import CrmId, Lane, Link, LinkId, LinkState, Record, Side
from connector.engine.containment import reconcile
from connector.engine.context import Context
from connector.engine.gates import opened
from connector.engine.hearing import LATE
from connector.engine.observe.case import RecordKeys
from connector.engine.recognition import look, unknown
from connector.engine.reconcile import Listed, Reconciler
from connector.engine.sweeps.glance import unsettled
from connector.store import link_writes, links, match_keys, notes, work
from connector.store.db import Connection
from connector.store.links import Glance
from connector.store.work import Item


@dataclass(frozen=True, slots=True)
class Worked:
    """How many records of a page were not in agreement, and when those changed of which no event told, by our clock."""

    claimed: int
    untold: Sequence[datetime] = ()


class Pages:
    """Works on the pages of one connection's listings."""

    def __init__(self, context: Context, reconciler: Reconciler) -> None:
        self.context, self.reconciler = context, reconciler

    async def work_on(
        self, name: str, records: Sequence[Record], began: datetime, lane: Lane, *, confirmed: bool = False
    ) -> Worked:
        """Reconciles the records of a page that are not in agreement."""
        if not records:
            return Worked(0)
        await opened(self.context)
        await self._look_at([record.identity for record in records])
        known, rest, untold = await self._look(name, records, began)
        listed = await self._meet(name, known, rest, began)
        listed.confirmed = confirmed
        try:
            items = await self._claim(name, records, known, listed, lane)
            if items:
                await reconcile(self.reconciler, items, listed)
        finally:
            self.context.newcomers.leave(name, {n: link.crm_id for n, link in listed.new.items() if link.crm_id})
        return Worked(len(items), untold)

    async def _look_at(self, identities: Sequence[str | None]) -> None:
        """Before anything is made of them: do these records tell of what this database does not know?"""
        if unknown(self.context, identities):
            async with self.context.change() as db:
                await look(self.context, db, identities)

    async def _look(
        self, name: str, records: Sequence[Record], began: datetime
    ) -> tuple[Mapping[CrmId, Glance], Sequence[Record], Sequence[datetime]]:
        """The links that there are, the records that are not in agreement, and when those changed that no event told of."""
        async with self.context.database.session() as db:
            known = await links.glance(db, self.context.name, name, [record.id for record in records])
            rest = await unsettled(self.context, db, records, known)
            return (
                known,
                rest,
                await self._untold(db, name, [r for r in rest if self._unseen(known.get(r.id), r)], began),
            )

    def _unseen(self, known: Glance | None, record: Record) -> bool:
        """True for a version of a record that is not the one of our last commit."""
        if known is None:
            return self.context.rules.heard(record.object)
        return known.version != record.version

    async def _untold(
        self, db: Connection, name: str, records: Sequence[Record], began: datetime
    ) -> Sequence[datetime]:
        late = began - (LATE if self.context.pushed else timedelta(0))
        changed = {r.id: self.context.our_time(r.modified_at) for r in records if r.modified_at is not None}
        old = {crm_id: at for crm_id, at in changed.items() if at <= late}
        told = await notes.told(db, self.context.name, name, list(old)) if old else frozenset()
        return [at for crm_id, at in old.items() if crm_id not in told]

    async def _meet(self, name: str, known: Mapping[CrmId, Glance], rest: Sequence[Record], began: datetime) -> Listed:
        """What needs work, with links for those that have none; they are stored once it is done."""
        missing = [record.id for record in rest if record.id not in known] if self.context.rules.heard(name) else []
        async with self.context.database.session() as db:
            numbers = await link_writes.reserve(db, len(missing)) if missing else ()
        elsewhere = self.context.newcomers.among(name, missing, began)
        met = self.context.newcomers.meet(name, dict(zip(missing, numbers, strict=True)), began)
        new = {n: Link(n, name, None, None, crm_id, LinkState.OPEN, Side.CRM) for n, crm_id in met.items()}
        mine = {*known, *met.values(), *(crm_id for crm_id, older in elsewhere.items() if older)}
        return Listed({record.id: record for record in rest if record.id in mine}, began, new, elsewhere)

    async def _claim(
        self, name: str, records: Sequence[Record], known: Mapping[CrmId, Glance], listed: Listed, lane: Lane
    ) -> Sequence[Item]:
        """The work items of what needs work; the match keys of the page's records are kept first."""
        now = self.context.clock.now()
        keys = listed.keys = record_keys(self.context, name, records, known)
        items: Sequence[Item] = ()
        if keys or known or listed.elsewhere:
            async with self.context.change(durable=False) as db:
                await match_keys.replace(db, self.context.name, name, _hashes(keys))
                ids = {crm_id: link.id for crm_id, link in known.items()}
                ids |= await self._take_over(db, name, listed.elsewhere, lane)
                stored = [ids[crm_id] for crm_id in listed.records if crm_id in ids]
                await work.look_again(db, [link.id for link in known.values()], now)
                items = await work.claim_links(db, self.context.fence, stored, lane, now)
                if len(items) < len(stored):
                    await work.once_more(db, sorted({*stored} - {item.link_id for item in items}), now)
        return [*items, *(Item(number, lane, 1, noticed_at=now) for number in listed.new)]

    async def _take_over(
        self, db: Connection, name: str, elsewhere: Mapping[CrmId, bool], lane: Lane
    ) -> Mapping[CrmId, LinkId]:
        """Records that another page holds get their links at once. What is known of one from a later read is read anew."""
        if not elsewhere:
            return {}
        now = self.context.clock.now()
        self.context.newcomers.take(name, elsewhere)
        await link_writes.open_crm(db, self.context.name, name, elsewhere, now)
        found = await links.of_records(db, self.context.name, name, list(elsewhere))
        await work.ensure(db, self.context.name, [i for crm_id, i in found.items() if not elsewhere[crm_id]], lane, now)
        return {crm_id: link for crm_id, link in found.items() if elsewhere[crm_id]}


def record_keys(
    context: Context, name: str, records: Sequence[Record], known: Mapping[CrmId, Glance]
) -> Mapping[CrmId, RecordKeys]:
    """The match keys of a page's new and changed records; of all while the object is not listed under these rules.

    A second e-mail changes no line, but the record's version.
    """
    mappings = [m for m in context.rules.of_object(name) if m.match and m.hears]
    if not mappings:
        return {}
    every = not context.listed(name)
    changed = [r for r in records if every or r.id not in known or known[r.id].version != r.version]
    return {r.id: {m.name: context.hashed_keys(m, r.fields, r.id) for m in mappings} for r in changed}


def _hashes(keys: Mapping[CrmId, RecordKeys]) -> Mapping[CrmId, Sequence[bytes]]:
    return {
        crm_id: [hash_ for hashed in by_mapping.values() for hash_ in hashed] for crm_id, by_mapping in keys.items()
    }


async def keep_keys(context: Context, name: str, records: Sequence[Record], known: Mapping[CrmId, Glance]) -> None:
    """Keeps the match keys of a page that is only looked at."""
    keys = record_keys(context, name, records, known)
    if keys:
        async with context.change(durable=False) as db:
            await match_keys.replace(db, context.name, name, _hashes(keys))
