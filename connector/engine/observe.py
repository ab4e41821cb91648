"""Observe: everything that planning a batch of links needs, in a fixed number of queries and reads whatever the count."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from connector.core.filter import crm_reader, failing
from connector.core.fingerprint import Likeness
from connector.core.line import BoundMapping, Refs
from connector.core.mapping import Condition, DeletePolicy, Test
from connector.core.merge import Parent
from connector.core.model import (
    ABSENT,
    AppKey,
    Base,
    Clocks,
    CrmId,
    CrmValue,
    Gone,
    Json,
    Lane,
    Link,
    LinkId,
    LinkState,
    Moved,
    NotVisible,
    Record,
    Side,
)
from connector.core.plan import MERGE_UNSENT, Readiness, Situation, unsent
from connector.core.unseen import unseen
from connector.engine.candidates import find_candidates
from connector.engine.case import Case
from connector.engine.context import Context, Rules, identity_intent
from connector.engine.kinship import find_kin
from connector.engine.slices import in_slices
from connector.local import tables
from connector.store import aliases, intents, links, match_keys
from connector.store.db import Connection
from connector.store.intents import Intent
from connector.store.work import Item

TAKEN = Gone("merged")
"""What a record is to the second row on one survivor."""


@dataclass(slots=True)
class Lookup:
    """References and memberships of a whole batch."""

    refs: Refs = field(default_factory=Refs)
    unreachable: frozenset[Parent] = frozenset()
    dead: frozenset[Parent] = frozenset()
    members: frozenset[tuple[str, str]] = frozenset()
    unread: frozenset[str] = frozenset()
    """Objects of which a record waits to be read, that may match anything."""
    merging: frozenset[tuple[str, CrmId | None]] = frozenset()
    """(object, id) of the CRM halves to which the link of a row will follow."""

    left_behind: Mapping[tuple[str, CrmId | None], Sequence[Link]] = field(default_factory=dict)
    """(object, id) of CRM halves → the links that the record left for other mappings, the newest first."""

    def linked_in(self, mapping: str, value: Json) -> bool:
        """True when the CRM id or app key belongs to a link of the mapping."""
        return (mapping, str(value)) in self.members


class Observer:
    """Turns claimed items into cases with situations."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def cases(self, items: Sequence[Item], given: Mapping[CrmId, Record], began: datetime | None) -> list[Case]:
        """One case for every item whose link still exists. `given` are records read from `began` on."""
        async with self.context.database.session() as db:
            found = await links.by_id(db, [item.link_id for item in items])
            leftovers = await intents.of_links(db, list(found))
        now = self.context.clock.now()
        cases = [
            Case(item, found[item.link_id], self.context.rules, now, leftovers=leftovers.get(item.link_id, ()))
            for item in items
            if item.link_id in found
        ]
        await self.complete(cases, given, began)
        return cases

    async def complete(self, cases: Sequence[Case], given: Mapping[CrmId, Record], began: datetime | None) -> None:
        """Reads both sides of cases, also of such whose link nobody has stored."""
        await self._read_crm(cases, given, began)
        for case in cases:
            case.mapping = self._mapping_of(case)
        await self._read_rows(cases)

    async def situations(self, cases: Sequence[Case]) -> None:
        """Gives every case with a mapping its situation."""
        mapped = [case for case in cases if case.mapping is not None]
        kin = await find_kin(self.context, mapped)
        async with self.context.database.session() as db:
            lookup = await self._lookup(db, mapped)
            await find_candidates(self.context, db, mapped, lookup.refs)
            pending = await self._intents_of_halves(db, mapped)
            occupied = await self._occupied(db, mapped)
            lookup.unread = await self._unread(db, mapped)
            lookup.merging = await self._merging(db, mapped)
            lookup.left_behind = await self._left_behind(db, mapped)
        async for case in in_slices(sorted(mapped, key=_age)):
            case.situation = replace(self._situation(case, lookup, pending, occupied), kin=kin.get(case.link.id))
            joined = case.situation.intent_link
            if joined is not None:  # a second record with that identity is a copy
                pending = {name: [i for i in open_ if i.link_id != joined] for name, open_ in pending.items()}

    # --- reading both sides ------------------------------------------------------------------------------------------

    async def _read_crm(self, cases: Sequence[Case], given: Mapping[CrmId, Record], began: datetime | None) -> None:
        wanted: dict[tuple[str, int], list[Case]] = defaultdict(list)
        for case in cases:
            if case.link.crm_id is None or case.link.released:
                continue
            record = given.get(case.link.crm_id)
            if record is not None and began is not None and not self._moved_since(case, began):
                case.crm, case.fresh, case.read_at = record, False, began
            else:
                wanted[case.link.object, case.item.lane].append(case)
        await asyncio.gather(*(self._read_object(name, group) for (name, _), group in wanted.items()))

    def _moved_since(self, case: Case, began: datetime) -> bool:
        """True when a page that was read from `began` on may be older than what is known of the record."""
        since = self.context.crm_time(began) - timedelta(seconds=self.context.clock_error)
        return _committed_since(case.link, began) or any(t.at is None or t.at >= since for t in case.item.told)

    async def _read_object(self, name: str, cases: Sequence[Case]) -> None:
        ids = [case.link.crm_id for case in cases if case.link.crm_id is not None]
        answers = {**await self.context.crm.read(name, ids, lane=cases[0].item.lane)}
        answers |= await self._moved(name, [key for key in ids if not isinstance(answers.get(key), Record)])
        for case in cases:
            if case.link.crm_id is not None:
                case.crm = answers.get(case.link.crm_id, NotVisible())

    async def _moved(self, name: str, ids: Sequence[CrmId]) -> Mapping[CrmId, Moved]:
        """Where records that are gone were merged into, as far as events have told."""
        if not ids:
            return {}
        async with self.context.database.session() as db:
            found = await aliases.survivors(db, self.context.name, name, ids)
        return {loser: Moved(survivor) for loser, survivor in found.items()}

    async def _read_rows(self, cases: Sequence[Case]) -> None:
        groups: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            if case.mapping is not None and case.link.app_key is not None:
                groups[case.mapping.name].append(case)
        async with self.context.database.session() as db:
            for name, group in groups.items():
                shape = group[0].rules.shapes[name]
                rows = await tables.read(db, shape, {case.link.app_key for case in group if case.link.app_key})
                for case in group:
                    case.row = rows.get(case.link.app_key) if case.link.app_key is not None else None

    def _mapping_of(self, case: Case) -> BoundMapping | None:
        """A CRM half belongs to the first mapping in file order whose filter it passes, else to the first."""
        if case.link.mapping is not None:
            return case.rules.bound.mappings.get(case.link.mapping)
        choices = [m for m in case.rules.of_object(case.link.object) if m.hears]
        if len(choices) < 2 or not isinstance(case.crm, Record):  # noqa: PLR2004
            return choices[0] if choices else None
        return _taker(case.rules, choices, case.crm) or choices[0]

    # --- references, candidates, intents -----------------------------------------------------------------------------

    async def _lookup(self, db: Connection, cases: Sequence[Case]) -> Lookup:
        by_app: set[tuple[str, AppKey]] = set()
        by_crm: set[tuple[str, str, CrmId]] = set()
        for case in cases:
            for target, app_key, crm_id in _named(case):
                name = case.rules.bound.mappings[target].object if target in case.rules.bound.mappings else ""
                if app_key is not None:
                    by_app.add((target, app_key))
                if crm_id is not None:
                    by_crm.add((target, name, crm_id))
        rows = await links.references_by_app(db, self.context.name, by_app) if by_app else ()
        records = await links.references_by_crm(db, self.context.name, by_crm) if by_crm else ()
        known = {(ref.mapping, ref.app_key) for ref in rows if ref.crm_id is not None}
        never = self._targets_that_never_come(by_app, by_crm) | await self._dangling(db, by_app - known)
        return _resolved(self.context.rules.bound.mappings, [*rows, *records], never)

    async def _dangling(self, db: Connection, wanted: Iterable[tuple[str, AppKey]]) -> frozenset[Parent]:
        """Parents that no row has: nothing guards the reference, or the row was deleted before its child was."""
        groups: dict[str, set[AppKey]] = defaultdict(set)
        shapes = self.context.rules.shapes
        for target, key in wanted:
            if target in shapes:
                groups[target].add(key)
        found: set[Parent] = set()
        for target, keys in groups.items():
            there = await tables.existing(db, shapes[target], keys)
            found |= {Parent(target, Side.APP, key) for key in keys - there}
        return frozenset(found)

    def _targets_that_never_come(
        self, by_app: Iterable[tuple[str, AppKey]], by_crm: Iterable[tuple[str, str, CrmId]]
    ) -> frozenset[Parent]:
        """Parents in mappings that are broken, and records that their mapping never takes in."""
        mappings = self.context.rules.bound.mappings
        app = {Parent(t, Side.APP, k) for t, k in by_app if t not in mappings}
        deaf = {Parent(t, Side.CRM, k) for t, _, k in by_crm if t not in mappings or not mappings[t].hears}
        return frozenset(app | deaf)

    async def _intents_of_halves(self, db: Connection, cases: Sequence[Case]) -> Mapping[str, Sequence[Intent]]:
        objects = {case.link.object for case in cases if case.link.app_key is None}
        return {name: await intents.open_creates(db, self.context.name, name) for name in sorted(objects)}

    async def _merging(self, db: Connection, cases: Sequence[Case]) -> frozenset[tuple[str, CrmId | None]]:
        """The CRM halves to which the link of a row will follow."""
        halves: dict[str, list[CrmId]] = defaultdict(list)
        for case in cases:
            if case.link.app_key is None and case.link.crm_id is not None:
                halves[case.link.object].append(case.link.crm_id)
        found: set[tuple[str, CrmId | None]] = set()
        for name, ids in halves.items():
            found |= {(name, key) for key in await aliases.awaited(db, self.context.name, name, ids)}
        return frozenset(found)

    async def _left_behind(
        self, db: Connection, cases: Sequence[Case]
    ) -> Mapping[tuple[str, CrmId | None], Sequence[Link]]:
        """By (object, id) of CRM halves: the links that the record left, in the table to which it belongs now."""
        halves: dict[str, dict[CrmId, str]] = defaultdict(dict)
        for case in cases:
            shared = len(case.rules.of_object(case.link.object)) > 1
            if shared and case.mapping is not None and case.link.app_key is None and case.link.crm_id is not None:
                halves[case.link.object][case.link.crm_id] = case.mapping.name
        found: dict[tuple[str, CrmId | None], Sequence[Link]] = {}
        for name, ids in halves.items():
            left = await links.left_behind(db, self.context.name, name, ids)
            found |= {(name, crm_id): behind for crm_id, behind in left.items()}
        return found

    async def _unread(self, db: Connection, cases: Sequence[Case]) -> frozenset[str]:
        """Objects of rows that look for a match while a record of the object waits to be read."""
        names = sorted({case.link.object for case in cases if case.hashes and case.link.crm_id is None})
        return await links.unread(db, self.context.name, names) if names else frozenset()

    async def _occupied(self, db: Connection, cases: Sequence[Case]) -> Mapping[bytes, LinkId]:
        wanted = sorted({hash_ for case in cases for hash_ in case.hashes})
        return await intents.occupied(db, self.context.name, wanted) if wanted else {}

    # --- the situation -----------------------------------------------------------------------------------------------

    def _situation(
        self, case: Case, lookup: Lookup, pending: Mapping[str, Sequence[Intent]], occupied: Mapping[bytes, LinkId]
    ) -> Situation:
        mapping = case.mapping
        assert mapping is not None  # noqa: S101 (callers pass mapped cases only)
        maker, undecided = self._maker(case, pending.get(case.link.object, ()))
        mine, flying = case.link.id, self.context.keys_in_flight
        rivals = any((flying.get(hash_) or occupied.get(hash_, mine)) != mine for hash_ in case.hashes)
        rivals |= case.link.crm_id is None and case.link.object in lookup.unread
        gates = self.context.gates
        return Situation(
            mapping=mapping,
            link=case.link,
            row=case.row,
            crm=case.crm,
            metadata=case.rules.metadata,
            now=self.context.clock.now(),
            clocks=self._clocks(case, mapping),
            refs=lookup.refs,
            unreachable=lookup.unreachable,
            dead=lookup.dead,
            candidates=case.candidates,
            rivals=rivals,
            peers=case.peers,
            intent_link=maker,
            intents_pending=undecided,
            linked_in=lookup.linked_in,
            ready=Readiness(
                sends=mapping.name in gates.fetched and not gates.sends_paused,
                listed=mapping.object in gates.listed or not mapping.hears,
            ),
            unseen=_unseen(mapping, case),
            merging=(case.link.object, case.link.crm_id) in lookup.merging,
            contested=case.contested,
            evidence=case.item.evidence,
            heir=_heir(case, mapping, lookup),
            left_behind=lookup.left_behind.get((case.link.object, case.link.crm_id), ()),
        )

    def _maker(self, case: Case, pending: Sequence[Intent]) -> tuple[LinkId | None, bool]:
        """(the link whose create made this CRM half, may another open create still turn out to have made it)."""
        if case.link.app_key is not None or not isinstance(case.crm, Record):
            return None, False
        if self.context.has_identity(case.link.object):
            number = identity_intent(case.crm.identity) if case.crm.identity is not None else None
            named = (intent.link_id for intent in pending if intent.id == number)
            return (next(named, None) if number is not None else None), False
        record = case.crm
        likenesses = (self.context.resemblance(i.mapping, i.base, record, i.sent_at).likeness for i in pending)
        return None, any(likeness is not Likeness.OTHER for likeness in likenesses)

    def _clocks(self, case: Case, mapping: BoundMapping) -> Clocks:
        offset = timedelta(seconds=self.context.clock_offset)
        record = case.crm if isinstance(case.crm, Record) else None
        app_record = case.item.app_at
        if mapping.updated_at is not None and case.row is not None:
            stamp = case.row.columns.get(mapping.updated_at)
            app_record = _moment(stamp) if stamp else app_record
        return Clocks(
            app=case.item.app_changed,
            crm={name: at - offset for name, at in case.item.crm_changed.items()},
            app_record=app_record,
            crm_record=record.modified_at - offset if record is not None and record.modified_at else None,
            band=self.context.clock_error + 1.0,
        )

    async def date(self, cases: Sequence[Case]) -> None:
        """Asks the CRM when each field of these records changed, where it can tell; an event's own time is kept."""
        offset = timedelta(seconds=self.context.clock_offset)
        groups: dict[tuple[str, Lane], dict[CrmId, Case]] = defaultdict(dict)
        for case in cases:
            if case.link.crm_id is not None:
                groups[case.link.object, case.item.lane][case.link.crm_id] = case
        for (name, lane), group in groups.items():
            told = await self.context.crm.history(name, list(group), lane=lane)
            for crm_id, times in told.items():
                case = group[crm_id]
                assert case.situation is not None  # noqa: S101 (only planned cases are dated)
                clocks = case.situation.clocks
                crm = {**{key: at - offset for key, at in times.items()}, **clocks.crm}
                case.situation = replace(case.situation, clocks=replace(clocks, crm=crm))

    # --- merges ------------------------------------------------------------------------------------------------------

    async def merge(self, case: Case, survivor: CrmId) -> None:
        """The link follows to the survivor, unless the survivor already has a row of its own."""
        async with self.context.database.session() as db:
            owner = (await links.by_crm(db, self.context.name, case.link.object, [survivor])).get(survivor)
            taken = owner is not None and owner.app_key is not None and owner.id != case.link.id
            if owner is not None and taken:
                case.crm, case.contested = TAKEN, await self._contested(db, case, owner)
        if not taken:
            state = LinkState.DELETED if case.link.state.tombstone else case.link.state  # to be found alive
            case.link = replace(case.link, crm_id=survivor, state=state)
            answers = await self.context.crm.read(case.link.object, [survivor], lane=case.item.lane)
            case.crm = answers[survivor]
        await self.situations([case])

    async def _contested(self, db: Connection, case: Case, owner: Link) -> bool:
        """True while the survivor's row holds unsent edits; once parked for that, until a person says go on."""
        mapping = case.rules.bound.mappings.get(owner.mapping or "")
        if case.item.cause == MERGE_UNSENT:
            return case.item.lane is not Lane.MANUAL
        if mapping is None or owner.app_key is None:
            return False
        rows = await tables.read(db, case.rules.shapes[mapping.name], [owner.app_key])
        row = rows.get(owner.app_key)
        return row is not None and unsent(mapping, owner, row)

    # --- adopting ----------------------------------------------------------------------------------------------------

    async def adopt(self, cases: Sequence[tuple[Case, str]]) -> None:
        """Reads the other half of each case and makes the case a pair."""
        for case, key in cases:
            half = case.link
            case.adopted = Side.CRM if half.crm_id is None else Side.APP
            assert case.mapping is not None  # noqa: S101 (only planned cases adopt)
            case.link = replace(
                half,
                mapping=case.mapping.name,
                app_key=half.app_key or AppKey(key),
                crm_id=half.crm_id or CrmId(key),
                base=_agreed_before(case, key),
            )
        wanted = [case for case, _ in cases if case.adopted is Side.CRM]
        await self._read_crm(wanted, {}, None)
        await self._forget_dead([case.link for case in wanted if not isinstance(case.crm, Record)])
        await self._read_rows([case for case, _ in cases if case.adopted is Side.APP])
        await self.situations([case for case, _ in cases])

    async def _forget_dead(self, halves: Sequence[Link]) -> None:
        """A record that was found by its key and is no more must not be found again."""
        for half in halves:
            async with self.context.change() as db:
                await match_keys.remove(db, self.context.name, half.object, [half.crm_id] if half.crm_id else [])


def _taker(rules: Rules, choices: Iterable[BoundMapping], record: Record) -> BoundMapping | None:
    """The first of the mappings whose filter the record passes; where it points to is not looked at."""
    read = crm_reader(rules.metadata.fields.get(record.object, ()), rules.metadata, record.fields)
    return next((m for m in choices if failing(m.only_receive, read, lambda _m, _v: True) is None), None)


def _heir(case: Case, mapping: BoundMapping, lookup: Lookup) -> str | None:
    """The mapping that a linked record belongs to when it has left the filter of its own."""
    others = [m for m in case.rules.of_object(case.link.object) if m.hears and m.name != mapping.name]
    if not others or case.link.app_key is None or not isinstance(case.crm, Record):
        return None
    read = crm_reader(case.rules.metadata.fields.get(mapping.object, ()), case.rules.metadata, case.crm.fields)
    left = mapping.direction.receives and failing(mapping.only_receive, read, lookup.linked_in) is not None
    heir = _taker(case.rules, others, case.crm) if left else None
    return heir.name if heir is not None else None


def _agreed_before(case: Case, key: str) -> Base:
    """What the row and the record agreed on under another mapping of the table; it holds for lines of the same rule."""
    behind = case.situation.left_behind if case.situation is not None and case.link.app_key is None else ()
    return next((link.base for link in behind if link.app_key == key), case.link.base)


def _unseen(mapping: BoundMapping, case: Case) -> Mapping[str, Json]:
    """By line: what our last write put away unseen, as the events of this item tell."""
    if not case.link.sent or not case.item.told:
        return {}
    sent = [(line, case.link.sent[line.name]) for line in mapping.lines if line.name in case.link.sent]
    found = {line.name: unseen(line, one, case.item.told) for line, one in sent}
    return {name: value for name, value in found.items() if value is not ABSENT}


def _age(case: Case) -> tuple[int, str]:
    """Sorts the CRM's records by their ids, as they were made."""
    return int_or(case.link.crm_id) if case.link.crm_id is not None else (0, "")


def int_or(crm_id: CrmId) -> tuple[int, str]:
    """Sorts numeric ids as numbers."""
    return (int(crm_id), "") if crm_id.isdigit() else (0, crm_id)


def _committed_since(link: Link, began: datetime) -> bool:
    return link.committed_at is not None and link.committed_at >= began


def _named(case: Case) -> Iterable[tuple[str, AppKey | None, CrmId | None]]:
    """Every reference that a case's row or record names: (target mapping, app key, CRM id)."""
    if case.mapping is None:
        return
    for line in case.mapping.every_line:
        if line.link is None:
            continue
        app = line.converter.read_app(case.row.columns) if case.row is not None else None
        crm: CrmValue = line.converter.read_crm(case.crm.fields) if isinstance(case.crm, Record) else None
        pair = case.link.base.get(line.name)
        for value in (app, pair.app if pair else None):
            if value is not None:
                yield line.link, AppKey(str(value)), None
        held = None if crm is ABSENT else crm
        for value in (held, pair.crm if pair else None):
            if value is not None:
                yield line.link, None, CrmId(str(value))
    yield from _memberships(case)


def _memberships(case: Case) -> Iterable[tuple[str, AppKey | None, CrmId | None]]:
    if case.mapping is None:
        return
    for condition in case.mapping.only_receive:
        held = _raw(case, condition)
        if condition.test is Test.IN and held is not None:
            yield str(condition.operands[0]), None, CrmId(str(held))
    for condition in case.mapping.only_send:
        key = case.row.columns.get(condition.name) if case.row is not None else None
        if condition.test is Test.IN and key is not None:
            yield str(condition.operands[0]), AppKey(key), None


def _raw(case: Case, condition: Condition) -> Json:
    fields = {f.name: f.key for f in case.rules.metadata.fields.get(case.link.object, ())}
    record = case.crm
    if not isinstance(record, Record):
        return None
    return record.fields.get(condition.name, record.fields.get(fields.get(condition.name, "")))


def _resolved(
    mappings: Mapping[str, BoundMapping], found: Iterable[links.Reference], never: frozenset[Parent]
) -> Lookup:
    by_app: dict[tuple[str, AppKey], CrmId] = {}
    by_crm: dict[tuple[str, CrmId], AppKey] = {}
    unreachable, dead = set(never), set[Parent]()
    members: set[tuple[str, str]] = set()
    for ref in found:
        gone = _gone_sides(mappings.get(ref.mapping), ref)
        if ref.app_key is not None and ref.crm_id is not None:
            if not ref.released:
                members |= {(ref.mapping, ref.app_key), (ref.mapping, ref.crm_id)}
            if Side.CRM not in gone:
                by_app[ref.mapping, ref.app_key] = ref.crm_id
            if Side.APP not in gone:
                by_crm[ref.mapping, ref.crm_id] = ref.app_key
        if ref.app_key is not None and Side.CRM in gone:
            dead.add(Parent(ref.mapping, Side.APP, ref.app_key))
        if ref.crm_id is not None and Side.APP in gone:
            dead.add(Parent(ref.mapping, Side.CRM, ref.crm_id))
        if ref.app_key is not None and ref.crm_id is None and not ref.reachable:
            unreachable.add(Parent(ref.mapping, Side.APP, ref.app_key))
        if ref.crm_id is not None and ref.app_key is None and not ref.reachable:
            unreachable.add(Parent(ref.mapping, Side.CRM, ref.crm_id))
    return Lookup(Refs(by_app, by_crm), frozenset(unreachable | dead), frozenset(dead), frozenset(members))


def _gone_sides(mapping: BoundMapping | None, ref: links.Reference) -> frozenset[Side]:
    """The sides of a tombstone that cannot be pointed to any more: the one that died, and the one it took along.

    Of a record that was dead when it was first looked at there never was a row.
    """
    if ref.died is Side.CRM and ref.app_key is None:
        return frozenset(Side)
    if ref.died is None:
        return frozenset()
    policy = None
    if mapping is not None:
        policy = mapping.deletes.receive if ref.died is Side.CRM else mapping.deletes.send
    return frozenset(Side) if policy is DeletePolicy.DELETE else frozenset({ref.died})


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
