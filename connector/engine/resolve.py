"""Resolve: what became of a write whose answer never came.

It was applied as soon as a read shows it. It was not applied only when a read begun sixty seconds after sending does not
show it. Until one of the two is known, that record waits and nothing is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connector.core.model import ABSENT, Base, Gone, LinkState, Pair, Record
from connector.engine.case import Case
from connector.engine.context import Context, identity_intent
from connector.engine.observe import OVERLAP, UNKNOWN_FOR, holds_all, int_or, may_have_made
from connector.ports import Page
from connector.store import intents, links
from connector.store.intents import Intent


@dataclass(slots=True)
class Ruling:
    """What is now known of a case's leftover intents: settled ones, or when to look again, or that a person must."""

    settled: Sequence[int] = ()
    until: datetime | None = None
    parked: str | None = None


@dataclass(frozen=True, slots=True)
class Riddle:
    """More records look like our creates than there are creates."""


@dataclass(slots=True)
class Listings:
    """Records changed since the oldest open create, one listing per object and batch."""

    by_object: dict[str, Sequence[Record]] = field(default_factory=dict)


class Resolver:
    """Rules on leftover intents before a case is planned."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def rule(self, case: Case, listings: Listings) -> Ruling:
        """Settles what can be settled; changes `case.link` where a create or update turns out to be applied."""
        ruling = Ruling()
        for intent in case.leftovers:
            ruling = await self._one(case, intent, listings, ruling)
            if ruling.until is not None or ruling.parked is not None:
                return ruling
        return ruling

    async def _one(self, case: Case, intent: Intent, listings: Listings, ruling: Ruling) -> Ruling:
        settled = replace(ruling, settled=[*ruling.settled, intent.id])
        if intent.op == "create" and case.link.crm_id is None:
            return await self._create(case, intent, listings, settled)
        if intent.op == "update" and isinstance(case.crm, Record) and case.mapping is not None:
            if not holds_all(case.mapping, intent, case.crm):
                return settled if self._old(case, intent) else self._wait(intent)
            case.link = replace(case.link, base=found_base(case, intent.base, case.crm))
            return settled
        if intent.op == "delete" and not isinstance(case.crm, Gone):
            return settled if self._old(case, intent) else self._wait(intent)
        return settled

    def _old(self, case: Case, intent: Intent) -> bool:
        return case.read_at >= intent.sent_at + UNKNOWN_FOR

    def _wait(self, intent: Intent) -> Ruling:
        return Ruling(until=intent.sent_at + UNKNOWN_FOR)

    async def _create(self, case: Case, intent: Intent, listings: Listings, settled: Ruling) -> Ruling:
        if self.context.clock.now() < intent.sent_at + UNKNOWN_FOR:
            return self._wait(intent)
        records = await self._created_since(intent, case, listings)
        if self.context.has_identity(intent.object):
            named = [r for r in records if identity_intent(r.identity) == intent.id]
            found: Record | Riddle | None = min(named, key=lambda r: int_or(r.id), default=None)
        else:
            found = await self._by_fingerprint(case, intent, records)
            if isinstance(found, Riddle):
                return Ruling(parked="ambiguous")
        if isinstance(found, Record):
            case.crm = found
            case.link = replace(case.link, crm_id=found.id, state=LinkState.LINKED)
            case.link = replace(case.link, base=found_base(case, intent.base, found))
        return settled

    async def _created_since(self, intent: Intent, case: Case, listings: Listings) -> Sequence[Record]:
        """By listing, not by search: the search index lags behind writes."""
        if intent.object not in listings.by_object:
            listings.by_object[intent.object] = await self._list(intent, case)
        return listings.by_object[intent.object]

    async def _list(self, intent: Intent, case: Case) -> Sequence[Record]:
        async with self.context.database.session() as db:
            open_ones = await intents.open_creates(db, self.context.name, intent.object)
        since = min([i.sent_at for i in open_ones], default=intent.sent_at)
        since += timedelta(seconds=self.context.clock_offset) - OVERLAP
        found: list[Record] = []
        cursor: str | None = None
        while True:
            page: Page = await self.context.crm.changed(intent.object, since, cursor, lane=case.item.lane)
            found += page.records
            cursor = page.cursor
            if cursor is None:
                return found

    async def _by_fingerprint(self, case: Case, intent: Intent, records: Sequence[Record]) -> Record | Riddle | None:
        """N open creates that are alike against m unlinked records that look so: m ≤ n are ours, more is a riddle."""
        alike = [r for r in records if may_have_made(self.context, intent, r)]
        async with self.context.database.session() as db:
            taken = await links.by_crm(db, self.context.name, intent.object, [r.id for r in alike])
            open_ones = await intents.open_creates(db, self.context.name, intent.object)
        free = sorted(
            (r for r in alike if r.id not in taken or taken[r.id].app_key is None), key=lambda r: int_or(r.id)
        )
        twins = [i for i in open_ones if i.fields == intent.fields]
        if len(free) > max(len(twins), 1):
            return Riddle()
        told = [i.id for i in twins if i.sent_at + UNKNOWN_FOR <= case.read_at]
        place = told.index(intent.id) if intent.id in told else 0
        return free[place] if place < len(free) else None


def found_base(case: Case, sent: Mapping[str, Pair], found: Record) -> Base:
    """The base after a send that a later read shows: what differs by then from what was sent is somebody's change."""
    stored = stored_base(case, sent, found)
    lines = {line.name: line for line in case.mapping.every_line} if case.mapping is not None else {}
    changed = {
        name: pair
        for name, pair in sent.items()
        if name not in lines or not lines[name].converter.same_crm(stored[name].crm, pair.crm)
    }
    return {**stored, **changed}


def stored_base(case: Case, sent: Mapping[str, Pair], stored: Record) -> Base:
    """The base after a send: the app's value as sent, the CRM's as it stored it."""
    mapping = case.mapping
    if mapping is None:
        return case.link.base
    base = dict(case.link.base)
    for line in mapping.every_line:
        if line.name in sent:
            held = line.converter.read_crm(stored.fields)
            pair = sent[line.name]
            base[line.name] = Pair(pair.app, pair.crm if held is ABSENT else held, pair.rule)
    return base
