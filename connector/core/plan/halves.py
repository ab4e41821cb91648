"""One side is known: whether the other half is found, made, waited for or not wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from connector.core.agreement import empty
from connector.core.merge import Decision, Reason, Verdict
from connector.core.model import Gone, Json, LinkState, Record
from connector.core.plan.actions import CreateRecord, InsertRow, Plan, Step, excluded, park, wait
from connector.core.plan.constants import constant
from connector.core.plan.filters import record_kept_out, row_kept_out
from connector.core.plan.lines import decide_lines
from connector.core.plan.situation import Kin, Situation


def app_half(s: Situation) -> Plan:
    """The plan for a row that has no CRM record yet."""
    if s.row is None:
        return Plan(Step.DROP, "row_gone", LinkState.OPEN)
    if s.owner is not None:
        return excluded(f"belongs_to {s.owner}")
    matched = _match(s)
    if matched is not None and matched.step is not Step.PARK:
        return matched
    return row_kept_out(s, s.row) or _incomplete(s) or matched or _too_early(s) or _create(s)


def _incomplete(s: Situation) -> Plan | None:
    """While a match key is set aside nobody can tell what a new record would double."""
    return wait("quarantined") if s.mapping.incomplete else None


def _too_early(s: Situation) -> Plan | None:
    if not s.ready.sends:
        return wait("first_fetch_all")
    if not s.ready.listed:
        return wait("first_listing")
    return wait("same_key") if s.rivals else None


def _create(s: Situation) -> Plan:
    decisions = decide_lines(s, s.mapping.every_line, None)
    blocked = _waiting(decisions)
    if blocked is not None:
        return blocked
    fields: dict[str, Json] = {}
    for d in decisions:
        if d.verdict is Verdict.SEND and d.base is not None and d.base.crm is not None:
            fields.update(d.line.converter.write_crm(d.base.crm, fields))
    return Plan(Step.APPLY, "create", LinkState.LINKED, decisions, record=CreateRecord(fields))


def crm_half(s: Situation) -> Plan:
    """The plan for a CRM record that has no row yet."""
    if not isinstance(s.crm, Record):
        return excluded("record_gone" if isinstance(s.crm, Gone) else "missing")
    owned = _of_another_link(s, s.crm)
    if owned is not None:
        return owned
    matched = _match(s)
    if matched is not None and matched.step is not Step.PARK:
        return matched
    twin = park("duplicate") if s.kin is Kin.TWIN else None
    return record_kept_out(s, s.crm) or _incomplete(s) or twin or matched or insert(s, s.crm)


def _of_another_link(s: Situation, record: Record) -> Plan | None:
    """The record is what our create made, or what a link had before, or that will be known soon."""
    if s.unplaced is not None:
        return wait(s.unplaced)
    if s.intent_link is not None:
        return Plan(Step.JOIN, "our_create", LinkState.LINKED, join=s.intent_link)
    if s.intents_pending is not None:
        return replace(wait("open_intents"), behind=s.intents_pending)
    if s.merging is not None:
        return replace(wait("merge"), behind=s.merging)
    return _left_behind(s) if s.left_behind and record_kept_out(s, record) is None else None


def _left_behind(s: Situation) -> Plan | None:
    """A record that comes back to a mapping has its old link there; one that stays in its table keeps its row."""
    own = next((link for link in s.left_behind if link.mapping == s.mapping.name), None)
    if own is not None:
        return Plan(Step.JOIN, "kind_again", LinkState.LINKED, join=own.id)
    row = next((link.app_key for link in s.left_behind if link.state is LinkState.FROZEN), None)
    return Plan(Step.ADOPT, "same_row", LinkState.OPEN, adopt=row) if row is not None else None


def insert(s: Situation, record: Record) -> Plan:
    """A new row for this record."""
    decisions = decide_lines(s, s.mapping.lines, record)
    blocked = _waiting(decisions)
    if blocked is not None:
        return blocked
    columns = {name: constant(value, s.now) for name, value in s.mapping.set_app.items()}
    for d in decisions:
        if d.verdict is Verdict.RECEIVE and d.base is not None and not empty(d.base.app):
            columns.update(d.line.converter.write_app(d.base.app))
    if s.own_key is not None:
        columns[s.mapping.key] = str(s.own_key)
    reason = "copy" if s.kin is Kin.COPY else "insert"
    return Plan(Step.APPLY, reason, LinkState.LINKED, decisions, row=InsertRow(columns))


def _match(s: Situation) -> Plan | None:
    free = [c for c in s.candidates if not c.linked]
    if free and not s.ready.listed:
        return wait("first_listing")
    if len(free) == 1:
        return Plan(Step.ADOPT, "match", LinkState.OPEN, adopt=free[0].key)
    if free:
        return park("ambiguous")
    return replace(park("duplicate"), behind=s.candidates[0].owner) if s.candidates else None


def _waiting(decisions: Iterable[Decision]) -> Plan | None:
    """What keeps a new pair from being made: a parent on its way, else a required one that does not come."""
    named = [d for d in decisions if d.parent is not None and not d.line.deferred]
    coming = tuple(d.parent for d in named if d.parent and d.verdict is Verdict.WAIT)
    if coming:
        return replace(wait("parent"), parents=coming)
    lacking = [d for d in named if d.line.required]
    if not lacking:
        return None
    died = any(d.reason is Reason.PARENT_GONE for d in lacking)
    stopped = park("parent_gone") if died else wait("parent_unavailable")
    return replace(stopped, parents=tuple(d.parent for d in lacking if d.parent))
