"""A situation: everything that was observed of one case, as planning takes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.core.fingerprint import Likeness
from connector.core.identity import identity_intent, identity_row
from connector.core.line import BoundMapping
from connector.core.model import AppKey, Clocks, LinkId, Record
from connector.core.plan import LEANT_ON, Kin, Readiness, Situation
from connector.core.unseen import Heard, heard
from connector.engine.context import Context
from connector.engine.observe.belonging import heir
from connector.engine.observe.case import Case
from connector.engine.observe.halves import Halves, may_have_made
from connector.engine.observe.leaning import LOOKS
from connector.engine.observe.lookup import Lookup
from connector.ports import VersionOrder


def situation_of(context: Context, case: Case, lookup: Lookup, halves: Halves, kin: Kin | None = None) -> Situation:
    """The situation of a case that has a mapping."""
    mapping = case.mapping
    assert mapping is not None  # noqa: S101 (callers pass mapped cases only)
    maker, undecided = _maker(context, case, halves)
    mine, flying = case.link.id, context.keys_in_flight
    rivals = any((flying.get(hash_) or halves.occupied.get(hash_, mine)) != mine for hash_ in case.hashes)
    rivals |= case.link.crm_id is None and case.link.object in halves.unread
    gates, elsewhere = context.gates, halves.elsewhere.get(case.link.id, ())
    return Situation(
        mapping=mapping,
        link=case.link,
        row=case.row,
        crm=case.crm,
        metadata=case.rules.metadata,
        now=context.clock.now(),
        clocks=_clocks(context, case, mapping),
        refs=lookup.refs,
        unreachable=lookup.unreachable,
        dead=lookup.dead,
        candidates=case.candidates,
        rivals=rivals,
        peers=case.peers,
        intent_link=maker,
        intents_pending=undecided,
        own_key=_own_key(mapping, case, halves),
        unplaced=context.unplaced(case.crm, halves.lost) if isinstance(case.crm, Record) else None,
        linked_in=lookup.linked_in,
        ready=Readiness(
            sends=mapping.name in gates.fetched and context.barred(mapping.object) is None,
            listed=context.listed(mapping.object) or not mapping.hears,
        ),
        heard=_heard(mapping, case),
        merging=halves.merging.get((case.link.object, case.link.crm_id)),
        contested=case.contested,
        leaning=next(iter(case.leaning), None),
        unmoved=case.item.tries(LEANT_ON) >= LOOKS,
        kin=kin,
        evidence=case.item.evidence,
        heir=heir(case, mapping, lookup),
        newer=_newer(context, case),
        siblings=[m for m in case.rules.bound.siblings(mapping) if all(link.mapping != m.name for link in elsewhere)],
        owner=elsewhere[0].mapping if elsewhere else None,
        left_behind=halves.left_behind.get((case.link.object, case.link.crm_id), ()),
    )


def _maker(context: Context, case: Case, halves: Halves) -> tuple[LinkId | None, LinkId | None]:
    """(the link whose create made this CRM half, one whose open or lost create may still turn out to have made it)."""
    if case.link.app_key is not None or not isinstance(case.crm, Record):
        return None, None
    record, pending = case.crm, halves.pending.get(case.link.object, ())
    if context.has_identity(case.link.object):
        lost = halves.makers.get((record.object, record.id))
        number = identity_intent(case.crm.identity) if case.crm.identity is not None else None
        named = (intent.link_id for intent in pending if intent.id == number)
        return (next(named, lost) if number is not None else None), None
    row = halves.unsettled.get(record.object)
    lost = row.id if row is not None and may_have_made(context, row, record) else None
    likenesses = ((i.link_id, context.resemblance(i.mapping, i.base, record, i.sent_at).likeness) for i in pending)
    return None, next((link for link, likeness in likenesses if likeness is not Likeness.OTHER), lost)


def _own_key(mapping: BoundMapping, case: Case, halves: Halves) -> AppKey | None:
    """The key of the row that was lost, unless the database hands such keys out again: then it may be another's."""
    column = mapping.table.columns[mapping.key]
    app_makes_it = column.kind == "uuid" or (column.default is None and not column.identity)
    named = identity_row(case.crm.identity) if isinstance(case.crm, Record) else None
    if named is None or named[0] != mapping.name or not app_makes_it:
        return None
    return halves.rowless.get((case.link.object, case.link.crm_id))


def _clocks(context: Context, case: Case, mapping: BoundMapping) -> Clocks:
    offset = timedelta(seconds=context.clock_offset)
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
        band=context.clock_error + 1.0,
    )


def _newer(context: Context, case: Case) -> bool:
    """Asked of the dead only."""
    if not case.link.state.tombstone or not isinstance(case.crm, Record):
        return False
    return context.crm.compare(case.crm.version, case.link.version) is VersionOrder.NEWER


def _heard(mapping: BoundMapping, case: Case) -> Heard:
    """What the events of this item tell of our last writes."""
    if not case.link.sent or not case.item.told:
        return Heard()
    return heard({line.name: line for line in mapping.lines}, case.link.sent, case.item.told)


def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
