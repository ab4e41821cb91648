"""Lookup: who the parents are that rows and records name, and to which mappings these belong, for a whole batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from connector.core.filter import row_reader
from connector.core.line import BoundMapping, Refs
from connector.core.mapping import Condition, DeletePolicy, Test
from connector.core.merge import Parent
from connector.core.model import ABSENT, AppKey, CrmId, CrmValue, Json, Record, Side
from connector.engine.context import Context
from connector.engine.observe.case import Case, key_refused
from connector.local import tables
from connector.store import aliases, references
from connector.store.db import Connection


@dataclass(frozen=True, slots=True)
class Lookup:
    """References and memberships of a whole batch."""

    refs: Refs
    unreachable: frozenset[Parent]
    dead: frozenset[Parent]
    members: frozenset[tuple[str, str]]

    def linked_in(self, mapping: str, value: Json) -> bool:
        """True when the CRM id or app key belongs to a link of the mapping."""
        return (mapping, str(value)) in self.members


async def look_up(context: Context, db: Connection, cases: Sequence[Case]) -> Lookup:
    """What is known of everything that the cases name."""
    by_app: set[tuple[str, AppKey]] = set()
    by_crm: set[tuple[str, str, CrmId]] = set()
    for case in cases:
        for target, app_key, crm_id in _named(case):
            name = case.rules.bound.mappings[target].object if target in case.rules.bound.mappings else ""
            if app_key is not None:
                by_app.add((target, app_key))
            if crm_id is not None:
                by_crm.add((target, name, crm_id))
    rows = await references.by_app(db, context.name, by_app) if by_app else ()
    records = await references.by_crm(db, context.name, by_crm) if by_crm else ()
    known = {(ref.mapping, ref.app_key) for ref in rows if ref.crm_id is not None}
    doubted = {(target, crm_id) for case in cases if key_refused(case.item) for target, _, crm_id in _named(case)}
    named = {(r.mapping, r.app_key) for r in records if r.app_key is not None and (r.mapping, r.crm_id) in doubted}
    absent = await _absent(context, db, (by_app - known) | named)
    never = _targets_that_never_come(context, by_app, by_crm) | {Parent(t, Side.APP, k) for t, k in absent}
    records = [replace(r, died=r.died or Side.APP) if (r.mapping, r.app_key) in absent else r for r in records]
    merged, survivors = await _merged(context, db, [*rows, *records])
    return _resolved(context.rules.bound.mappings, [*rows, *records, *survivors], never, merged)


async def _merged(
    context: Context, db: Connection, found: Iterable[references.Reference]
) -> tuple[Mapping[tuple[str, AppKey], CrmId], Sequence[references.Reference]]:
    """The survivors of records that were merged, by the rows whose they were; and what is known of them.

    The link of such a row may not know yet: it may be waiting for those that refer to the row.
    """
    mappings, groups = context.rules.bound.mappings, defaultdict[str, list[tuple[str, AppKey, CrmId]]](list)
    for ref in found:
        if ref.died is not Side.APP and ref.app_key is not None and ref.crm_id is not None and ref.mapping in mappings:
            groups[mappings[ref.mapping].object].append((ref.mapping, ref.app_key, ref.crm_id))
    merged: dict[tuple[str, AppKey], CrmId] = {}
    survivors: list[references.Reference] = []
    for name, lost in groups.items():
        moved = await aliases.survivors(db, context.name, name, [crm_id for _, _, crm_id in lost])
        into = {(m, name, moved[i]) for m, _, i in lost if i in moved}
        known = await references.by_crm(db, context.name, into) if into else ()
        alive = [ref for ref in known if ref.died is not Side.CRM]
        ids = {ref.crm_id for ref in alive}
        merged |= {(m, key): moved[i] for m, key, i in lost if moved.get(i) in ids}
        survivors += alive
    return merged, survivors


async def _absent(
    context: Context, db: Connection, wanted: Iterable[tuple[str, AppKey]]
) -> frozenset[tuple[str, AppKey]]:
    """Keys that no row has: nothing guards the reference, or the row went and PostgreSQL has told before its link knows."""
    groups: dict[str, set[AppKey]] = defaultdict(set)
    shapes = context.rules.shapes
    for target, key in wanted:
        if target in shapes:
            groups[target].add(key)
    found: set[tuple[str, AppKey]] = set()
    for target, keys in groups.items():
        there = await tables.existing(db, shapes[target], keys)
        found |= {(target, key) for key in keys - there}
    return frozenset(found)


def _targets_that_never_come(
    context: Context, by_app: Iterable[tuple[str, AppKey]], by_crm: Iterable[tuple[str, str, CrmId]]
) -> frozenset[Parent]:
    """Parents in mappings that are broken or only observe, and records that their mapping never takes in."""
    mappings = {name: mapping for name, mapping in context.rules.bound.mappings.items() if not mapping.observed}
    app = {Parent(t, Side.APP, k) for t, k in by_app if t not in mappings}
    deaf = {Parent(t, Side.CRM, k) for t, _, k in by_crm if t not in mappings or not mappings[t].hears}
    return frozenset(app | deaf)


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
        if condition.test is Test.IN and case.row is not None:
            told = row_reader(case.mapping.table.columns, case.row.columns)(condition.name)
            keys = told if isinstance(told, list) else [told]
            yield from ((str(condition.operands[0]), AppKey(str(key)), None) for key in keys if key is not None)


def _raw(case: Case, condition: Condition) -> Json:
    return case.crm.fields.get(condition.place) if isinstance(case.crm, Record) else None


def _resolved(
    mappings: Mapping[str, BoundMapping],
    found: Iterable[references.Reference],
    never: frozenset[Parent],
    merged: Mapping[tuple[str, AppKey], CrmId],
) -> Lookup:
    by_app: dict[tuple[str, AppKey], CrmId] = {}
    by_crm: dict[tuple[str, CrmId], AppKey] = {}
    unreachable, dead = set(never), set[Parent]()
    members: set[tuple[str, str]] = set(merged)
    for ref in found:
        gone = _gone_sides(mappings.get(ref.mapping), ref)
        if ref.app_key is not None and ref.crm_id is not None:
            if not (ref.released or ref.apart):
                members |= {(ref.mapping, ref.app_key), (ref.mapping, ref.crm_id)}
            if Side.CRM not in gone:
                by_app[ref.mapping, ref.app_key] = ref.crm_id
            if Side.APP not in gone:
                by_crm[ref.mapping, ref.crm_id] = ref.app_key
        if ref.app_key is not None and Side.CRM in gone and (ref.mapping, ref.app_key) not in merged:
            dead.add(Parent(ref.mapping, Side.APP, ref.app_key))
        if ref.crm_id is not None and Side.APP in gone:
            dead.add(Parent(ref.mapping, Side.CRM, ref.crm_id))
        if ref.app_key is not None and ref.crm_id is None and not ref.reachable:
            unreachable.add(Parent(ref.mapping, Side.APP, ref.app_key))
        if ref.crm_id is not None and ref.app_key is None and not ref.reachable:
            unreachable.add(Parent(ref.mapping, Side.CRM, ref.crm_id))
    return Lookup(
        Refs(by_app, by_crm, merged=merged), frozenset(unreachable | dead), frozenset(dead), frozenset(members)
    )


def _gone_sides(mapping: BoundMapping | None, ref: references.Reference) -> frozenset[Side]:
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
