"""Both sides are known: what flows between them, and what follows when one of them is gone or leaves its filter."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from connector.core.line import BoundMapping
from connector.core.mapping import Condition, DeletePolicy, OnLeave
from connector.core.merge import Decision, Grounds, Inputs, Reason, Verdict
from connector.core.model import Gone, Json, Link, LinkState, Moved, NotVisible, Record, Row, Side
from connector.core.plan.actions import (
    DeleteRecord,
    DeleteRow,
    Plan,
    Step,
    UpdateRecord,
    UpdateRow,
    line_words,
    park,
    wait,
)
from connector.core.plan.constants import cleared, constant
from connector.core.plan.filters import awaited_by_record, awaited_by_row, record_fails, row_fails, side_that_left
from connector.core.plan.lines import decide_lines
from connector.core.plan.siblings import bequest, row_taker
from connector.core.plan.situation import Kin, Situation
from connector.core.review import after_the_fact
from connector.core.unseen import Overwrite

MERGE_UNSENT: Final = "merge_unsent"
"""Parked: two rows came to stand for one record, and both hold edits that the CRM has not got."""

LEANT_ON: Final = "leant_on"
"""Waits, at last parked: rows refer to the one that is to go, and may refer to another by now; they come first."""


def pair(s: Situation) -> Plan:
    """The plan for a row and a CRM record on one link."""
    if s.link.state not in (LinkState.LINKED, LinkState.FROZEN) and not (s.row and isinstance(s.crm, Record)):
        return wait("same_key")  # one of two halves that were to be joined is gone: nothing that was agreed has died
    match s.crm:
        case Moved():
            return Plan(Step.MOVE, "merged", s.link.state, adopt=s.crm.to)
        case Gone():
            return _record_gone(s, s.crm.proof)
        case NotVisible() | None if s.evidence:
            return _record_gone(s, "event")
        case NotVisible() | None:
            return replace(park("missing"), state=s.link.state)
        case Record():
            return _row_gone(s, s.crm) if s.row is None else _both_alive(s, s.row, s.crm)


def _record_gone(s: Situation, proof: str, *, left: bool = False) -> Plan:
    """The CRM record was deleted, or `left` the filter: `deletes.receive` decides what happens to the row."""
    follows = s.mapping.direction.receives and (left or s.link.state is not LinkState.FROZEN)
    policy = s.mapping.deletes.receive if follows else DeletePolicy.NONE
    gone = Plan(Step.APPLY, f"crm_deleted:{proof}", _dead(policy), died=Side.CRM)
    if s.row is None:
        return gone
    if s.contested and unsent(s.mapping, s.link, s.row):
        return replace(park(MERGE_UNSENT), state=s.link.state)
    if policy is DeletePolicy.DELETE and s.leaning is not None:
        back = park(LEANT_ON) if s.unmoved else wait(LEANT_ON)
        return replace(back, state=s.link.state, behind=s.leaning)
    if policy is DeletePolicy.DELETE:
        return replace(gone, row=DeleteRow())
    if policy is DeletePolicy.SET:
        columns = {name: constant(value, s.now) for name, value in s.mapping.deletes.set.items()}
        return replace(gone, row=UpdateRow(columns), restore=columns)
    return gone


def unsent(mapping: BoundMapping, link: Link, row: Row) -> bool:
    """True when the row holds edits that the CRM has not got."""
    known = [(line, link.base[line.name]) for line in mapping.lines if line.direction.sends and line.name in link.base]
    return any(not line.converter.same_app(line.converter.read_app(row.columns), base.app) for line, base in known)


def _dead(policy: DeletePolicy) -> LinkState:
    """What is left of a pair: `unlink` and `none` keep the two apart until a person pairs them again."""
    apart = policy in (DeletePolicy.UNLINK, DeletePolicy.NONE)
    return LinkState.UNLINKED if apart else LinkState.DELETED


def _row_gone(s: Situation, record: Record) -> Plan:
    """The row was deleted. A record that has left the filter is no longer ours to delete: only the link ends."""
    failed = record_fails(s, record)
    if failed is not None and s.heir is not None:
        return _leave(s, Side.CRM, failed, record)
    if failed is None and s.link.state is not LinkState.FROZEN:
        return _record_follows(s, record)
    return Plan(Step.APPLY, "app_deleted", LinkState.UNLINKED, died=Side.APP)


def _record_follows(s: Situation, record: Record) -> Plan:
    """The row is gone, or left the filter for good: `deletes.send` decides what happens to the CRM record."""
    policy = s.mapping.deletes.send if s.mapping.direction.sends else DeletePolicy.NONE
    gone = Plan(Step.APPLY, "app_deleted", _dead(policy), died=Side.APP)
    if policy is not DeletePolicy.DELETE:
        return gone
    if record.archived:
        return replace(park("archived"), state=s.link.state)
    return replace(gone, record=DeleteRecord()) if s.ready.sends else wait("first_fetch_all")


def _both_alive(s: Situation, row: Row, record: Record) -> Plan:
    if s.peers:
        return park("ambiguous")
    left = side_that_left(s, row, record)
    taker = row_taker(s, row) if s.siblings and (left is None or left[0] is Side.APP) else None
    handed = _hand_over(s, taker, row, record) if taker is not None else None
    if handed is not None:
        return handed
    if left is not None:
        return _leave(s, *left, record, row)
    sendable = s.mapping.direction.sends and not record.archived and row_fails(s, row) is None
    decisions = decide_lines(s, s.mapping.every_line, record, sendable=sendable)
    if s.heard.overwrites:
        return _told_later(s, decisions, row, record)
    return _write(s, _unless_braked(s, decisions), row, record)


def _unless_braked(s: Situation, decisions: tuple[Decision, ...]) -> tuple[Decision, ...]:
    """The decisions, without what the brake stops."""
    if not s.braked:
        return decisions
    return tuple(
        d if s.braked.isdisjoint(line_words(d)) else Decision(d.line, Verdict.WAIT, Reason.BRAKED, d.app, d.crm)
        for d in decisions
    )


def _told_later(s: Situation, decisions: tuple[Decision, ...], row: Row, record: Record) -> Plan:
    """The plan where echoes have told that our writes put away what nobody had seen.

    What has been agreed on since stands; the value is on record.
    """
    told = {o.line: o for o in s.heard.overwrites if _still_there(s, o)}
    after = _unless_braked(
        s, tuple(_settled_now(s, d, told[d.line.name]) if d.line.name in told else d for d in decisions)
    )
    open_ = (Verdict.HELD, Verdict.WAIT)
    settled = {d.line.name for d, was in zip(after, decisions, strict=True) if d is not was and d.verdict not in open_}
    lost = [o for o in s.heard.overwrites if o.line not in settled or told.get(o.line) != o]
    return replace(_write(s, after, row, record), lost=lost)


def _still_there(s: Situation, o: Overwrite) -> bool:
    """True while what our write stored is what both sides agree on."""
    base = s.link.base.get(o.line)
    return base is not None and base.crm == o.wrote


def _settled_now(s: Situation, d: Decision, o: Overwrite) -> Decision:
    lost = Inputs(d.app, o.value, s.link.base.get(o.line), Grounds(s.clocks, s.refs))
    return after_the_fact(d.line, lost, d)


def _write(s: Situation, decisions: tuple[Decision, ...], row: Row, record: Record) -> Plan:
    columns = cleared(s.link, row)
    fields: dict[str, Json] = {}
    now_held = dict(record.fields)
    for d in decisions:
        if d.base is None:
            continue
        if d.verdict is Verdict.RECEIVE:
            columns.update(d.line.converter.write_app(d.base.app))
        elif d.verdict is Verdict.SEND:
            change = d.line.converter.write_crm(d.base.crm, now_held)
            fields.update(change)
            now_held.update(change)
    changed = {name: value for name, value in columns.items() if row.columns.get(name) != value}
    moved = changed or fields or any(d.base is not None for d in decisions) or s.link.state is not LinkState.LINKED
    parents = tuple(d.parent for d in decisions if d.verdict is Verdict.WAIT and d.parent)
    rekey = s.kin is Kin.COPY and s.mapping.direction.sends and not record.archived
    sends = (bool(fields) or rekey) and s.ready.sends
    return Plan(
        Step.APPLY if moved or rekey else (Step.WAIT if parents else Step.DONE),
        "merge" if moved else "copy" if rekey else ("parent" if parents else "in_agreement"),
        LinkState.LINKED,
        decisions,
        row=UpdateRow(changed) if changed else None,
        record=UpdateRecord(fields, rekey) if sends else None,
        cause="parent" if parents else None,
        parents=parents,
        deferred_sends=(bool(fields) or rekey) and not sends,
    )


def _leave(s: Situation, side: Side, failed: Condition, record: Record, row: Row | None = None) -> Plan:
    cause = f"only.{'receive' if side is Side.CRM else 'send'} {failed.name}"
    heir = s.heir if side is Side.CRM else None
    if heir is not None:
        cause = f"belongs_to {heir}"
    if s.mapping.on_leave is OnLeave.FREEZE:
        of_row = awaited_by_row(s, row, failed) if side is Side.APP and row is not None else ()
        awaited = awaited_by_record(s, record, failed) if side is Side.CRM else of_row
        if s.link.state is LinkState.FROZEN and heir is None:
            return Plan(Step.DONE, "frozen", LinkState.FROZEN, cause=cause, awaited=awaited)
        return Plan(Step.APPLY, "left_filter", LinkState.FROZEN, cause=cause, heir=heir, awaited=awaited)
    if s.mapping.on_leave is OnLeave.UNLINK:
        return Plan(Step.APPLY, "left_filter", LinkState.UNLINKED, cause=cause, heir=heir)
    if side is Side.APP:
        return _record_follows(s, record)
    return replace(_record_gone(s, "left_filter", left=True), cause=cause, heir=heir)


def _hand_over(s: Situation, taker: BoundMapping, row: Row, record: Record) -> Plan | None:
    """The app made the row another mapping's: its record follows, unless `on_leave` parts them.

    None if the record cannot follow: then they stay together as they are.
    """
    cause = f"belongs_to {taker.name}"
    if s.mapping.on_leave is OnLeave.UNLINK:
        return Plan(Step.APPLY, "left_filter", LinkState.UNLINKED, cause=cause, taker=taker.name)
    if s.mapping.on_leave is OnLeave.DELETE:
        return replace(_record_follows(s, record), taker=taker.name)
    found = bequest(s, taker, row, record)
    if found is None:
        return None
    return Plan(Step.APPLY, "left_filter", LinkState.FROZEN, cause=cause, taker=taker.name, bequest=found)


def released(s: Situation) -> Plan:
    """The record is another mapping's now: nothing flows, and nothing that happens to the row concerns it."""
    if s.row is None and not s.link.state.tombstone:
        return Plan(Step.DROP, "row_gone", s.link.state)
    return Plan(Step.DONE, "other_kind", s.link.state)
