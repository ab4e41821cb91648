"""Resolve: what became of a write whose answer never came.

It was applied as soon as a read shows it. It was not applied only when a read begun sixty seconds after sending does not
show it. Until one of the two is known, that record waits and nothing is repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.core.fingerprint import OVERLAP, UNKNOWN_FOR, Likeness, Resemblance, arrived, holds_all, spelt_alike
from connector.core.line import BoundMapping, Line
from connector.core.model import ABSENT, Base, Gone, Json, LinkState, Moved, Pair, Record, Sent, Side, Write
from connector.core.unseen import Told, followed, values_told
from connector.engine.context import Context
from connector.engine.observe.case import Case, int_or
from connector.engine.observe.halves import may_have_made
from connector.ports import Page
from connector.store import intents, links
from connector.store.intents import Intent


@dataclass(slots=True)
class Ruling:
    """What is now known of a case's leftover intents: settled ones, or when to look again, or that a person must."""

    settled: Sequence[int] = ()
    applied: Sequence[Intent] = ()
    """Those of the settled ones whose write happened."""
    until: datetime | None = None
    parked: str | None = None


@dataclass(frozen=True, slots=True)
class Riddle:
    """Nobody can tell which record is ours: more look like our creates than there are, or one was edited since."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Records changed since the oldest open create of an object, as a read begun at `began` shows them."""

    records: Sequence[Record]
    began: datetime


class Resolver:
    """Rules on leftover intents before a case is planned."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def rule(self, case: Case, listings: dict[str, Listing]) -> Ruling:
        """Settles what can be settled; changes `case.link` where a create or update turns out to be applied.

        `listings` are those made for the batch so far, by object.
        """
        ruling = Ruling()
        for intent in case.leftovers:
            ruling = await self._one(case, intent, listings, ruling)
            if ruling.until is not None or ruling.parked is not None:
                return ruling
        return ruling

    async def _one(self, case: Case, intent: Intent, listings: dict[str, Listing], ruling: Ruling) -> Ruling:
        settled = replace(ruling, settled=[*ruling.settled, intent.id])
        applied = replace(settled, applied=[*ruling.applied, intent])
        if intent.op == "create" and case.link.crm_id is None:
            return await self._create(case, intent, listings, settled)
        if intent.op == "update" and isinstance(case.crm, Record) and case.mapping is not None:
            if not await self._happened(case, case.mapping, case.crm, intent):
                return settled if self._old(case, intent) else self._wait(intent)
            base = found_base(case, intent.base, case.crm)
            at = self.context.crm_time(intent.sent_at) - timedelta(seconds=self.context.clock_error)
            wrote = written(intent.replaced, base, intent.base.keys(), at)
            case.link = replace(case.link, base=base, sent=followed(case.link.sent, wrote))
            return applied
        if intent.op == "delete":
            if isinstance(case.crm, Gone) or self._died(case, intent):
                case.link = replace(case.link, state=LinkState.DELETED, died=Side.APP)
                return applied
            return settled if self._old(case, intent) else self._wait(intent)
        return settled

    async def _happened(self, case: Case, mapping: BoundMapping, record: Record, intent: Intent) -> bool:
        """True when the record shows what was sent; or else an event, or at last its history, tells that it did.

        Somebody may have taken it back since.
        """
        if holds_all(mapping, intent.base, intent.replaced, record):
            return True
        lines = [line for line in mapping.every_line if line.name in intent.base]
        sent, error = self.context.crm_time(intent.sent_at), timedelta(seconds=self.context.clock_error)
        if any(_told(line, intent, case.item.told, sent - error) for line in lines):
            return True
        if not self._old(case, intent) or not self.context.capabilities(record.object).history:
            return False
        if record.modified_at is not None and record.modified_at <= sent + error:
            return False
        told = await self.context.crm.history(record.object, [record.id], lane=case.item.lane)
        times = told.get(record.id, {})
        return any(times[f.key] > sent + error for line in lines for f in line.fields if f.key in times)

    def _died(self, case: Case, intent: Intent) -> bool:
        """True when an event tells that the record was deleted since, or that it was and has been restored."""
        since = self.context.crm_time(intent.sent_at) - timedelta(seconds=self.context.clock_error)
        return any(event.died and event.at is not None and event.at >= since for event in case.item.told)

    def _old(self, case: Case, intent: Intent) -> bool:
        return case.read_at >= intent.sent_at + UNKNOWN_FOR

    def _wait(self, intent: Intent) -> Ruling:
        return Ruling(until=intent.sent_at + UNKNOWN_FOR)

    async def _create(self, case: Case, intent: Intent, listings: dict[str, Listing], settled: Ruling) -> Ruling:
        if self.context.clock.now() < intent.sent_at + UNKNOWN_FOR:
            return self._wait(intent)
        listing = listings[intent.object] = listings.get(intent.object) or await self._list(intent, case)
        if listing.began < intent.sent_at + UNKNOWN_FOR:
            return self._wait(intent)
        if self.context.has_identity(intent.object):
            named = [r for r in listing.records if self._names(r, intent, case)]
            found: Record | Riddle | None = min(named, key=lambda r: int_or(r.id), default=None)
        else:
            found = await self._by_fingerprint(intent, listing)
            if isinstance(found, Riddle):
                return Ruling(parked="ambiguous")
        if not isinstance(found, Record):
            return settled
        case.link = replace(case.link, crm_id=found.id, state=LinkState.LINKED)
        if self._older(found, intent) and await self._has_a_row(found, case):
            case.crm, case.nameless = Moved(found.id), True
            case.link = replace(case.link, base=intent.base)
        else:
            case.crm = found
            case.link = replace(case.link, base=found_base(case, intent.base, found))
        return replace(settled, applied=[*settled.applied, intent])

    def _older(self, record: Record, intent: Intent) -> bool:
        """True for a record that was there before ours was sent."""
        began = self.context.crm_time(intent.sent_at) - timedelta(seconds=self.context.clock_error)
        return record.created_at is not None and record.created_at < began

    async def _has_a_row(self, record: Record, case: Case) -> bool:
        """True for a record with a living row of its own: ours was merged into it, and left it the name that we gave."""
        async with self.context.database.session() as db:
            known = await links.by_crm(db, self.context.name, record.object, [record.id])
        other = known.get(record.id)
        return (
            other is not None and other.id != case.link.id and other.app_key is not None and other.widow is not Side.CRM
        )

    def _names(self, record: Record, intent: Intent, case: Case) -> bool:
        """True when the record's identity names the intent; or its row, by a create that a restore has lost."""
        signature = self.context.signature
        number = signature.intent(record.identity)
        if number == intent.id:
            return True
        lost = self.context.gates.lost.covers(number) and may_have_made(self.context, case.link, record)
        return lost and signature.row(record.identity) == (case.link.mapping, case.link.app_key)

    async def _list(self, intent: Intent, case: Case) -> Listing:
        """By listing, not by search: the search index lags behind writes. By the CRM's clock as it goes now."""
        await self.context.hear_clock()
        began = self.context.clock.now()
        async with self.context.database.session() as db:
            open_ones = await intents.open_creates(db, self.context.name, intent.object)
        since = self.context.crm_time(min([i.sent_at for i in open_ones], default=intent.sent_at)) - OVERLAP
        found: list[Record] = []
        cursor: str | None = None
        while True:
            page: Page = await self.context.crm.changed(intent.object, since, cursor, lane=case.item.lane)
            found += page.records
            cursor = page.cursor
            if cursor is None:
                return Listing(found, began)

    async def _by_fingerprint(self, intent: Intent, listing: Listing) -> Record | Riddle | None:
        """N open creates that are alike against m unlinked records that look so: m ≤ n are ours, more is a riddle.

        So is one more record that somebody edited since and that may be ours.
        """
        async with self.context.database.session() as db, db.transaction(isolation="repeatable_read"):
            open_ones = await intents.open_creates(db, self.context.name, intent.object)
            like = [(r, self._closest(intent, r, open_ones)) for r in listing.records]
            like = [(r, likeness) for r, likeness in like if likeness is not Likeness.OTHER]
            taken = await links.by_crm(db, self.context.name, intent.object, [r.id for r, _ in like])
        free = [(r, likeness) for r, likeness in like if r.id not in taken or taken[r.id].app_key is None]
        alike = sorted((r for r, likeness in free if likeness is Likeness.ALIKE), key=lambda r: int_or(r.id))
        twins = [i for i in open_ones if i.fields == intent.fields]
        if len(alike) > max(len(twins), 1):
            return Riddle()
        told = [i.id for i in twins if i.sent_at + UNKNOWN_FOR <= listing.began]
        place = told.index(intent.id) if intent.id in told else 0
        if place < len(alike):
            return alike[place]
        return Riddle() if len(free) > len(alike) else None

    def _closest(self, intent: Intent, record: Record, open_ones: Sequence[Intent]) -> Likeness:
        """How like a record is to a create, unless it is more like another one that is open."""
        found = self._resemblance(intent, record)
        others = (i for i in open_ones if i.fields != intent.fields)
        nearer = found.likeness is not Likeness.OTHER and any(self._resemblance(i, record) > found for i in others)
        return Likeness.OTHER if nearer else found.likeness

    def _resemblance(self, intent: Intent, record: Record) -> Resemblance:
        return self.context.resemblance(intent.mapping, intent.base, record, intent.sent_at)


def _told(line: Line, intent: Intent, told: Iterable[Told], since: datetime) -> bool:
    """True when an event since then tells that the line held what was sent."""
    sent, replaced = intent.base[line.name].crm, intent.replaced.get(line.name, ABSENT)
    return any(arrived(line, sent, replaced, held) for held in values_told(line, told, since))


def found_base(case: Case, sent: Mapping[str, Pair], found: Record) -> Base:
    """The base after a send that a later read shows: what differs by then from what was sent is somebody's change.

    But for how the CRM spells it: that it stored.
    """
    stored = stored_base(case, sent, found)
    lines = {line.name: line for line in case.mapping.every_line} if case.mapping is not None else {}
    changed = {
        name: pair
        for name, pair in sent.items()
        if name not in lines
        or not (lines[name].converter.same_crm(stored[name].crm, pair.crm) or spelt_alike(stored[name].crm, pair.crm))
    }
    return {**stored, **changed}


def written(replaced: Mapping[str, Json], base: Base, moved: Collection[str], at: datetime) -> Sequence[Write]:
    """What an update put in the place of what: its echo will tell whether that was still so.

    `moved`: the lines that it changed; `at`: the CRM's time, before which it was not applied.
    """
    lines = {
        name: Sent(seen, base[name].crm if name in moved else seen) for name, seen in replaced.items() if name in base
    }
    return [Write(at.timestamp(), lines)] if lines else []


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
