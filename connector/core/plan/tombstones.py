"""A pair that has died: it rests, until there is evidence of life."""

from __future__ import annotations

from dataclasses import replace

from connector.core.mapping import DeletePolicy, OnLeave
from connector.core.model import LinkState, Moved, Record, Row, Side
from connector.core.plan.actions import InsertRow, Plan, Step, UpdateRow
from connector.core.plan.constants import cleared
from connector.core.plan.filters import record_kept_out, row_kept_out, side_that_left
from connector.core.plan.halves import insert
from connector.core.plan.situation import Situation


def tombstone(s: Situation) -> Plan:
    """Evidence of life reopens a link whose side was deleted, once the filters let it pass.

    `on_leave: delete` writes such a link too; one that is unlinked stays apart. A row that is gone comes back under
    its key, and one that comes back finds or makes a record like a new one. A record that turns out to be merged has
    never died.
    """
    quiet = Plan(Step.DONE, "tombstone", s.link.state)
    if s.heir is not None:
        return replace(quiet, step=Step.APPLY, reason="other_kind", cause=f"belongs_to {s.heir}", heir=s.heir)
    if s.link.app_key is None or (s.row is None and not _may_come_back(s)):
        return quiet
    if isinstance(s.crm, Moved) and s.link.died is Side.CRM:
        return Plan(Step.MOVE, "merged", s.link.state, adopt=s.crm.to)
    if isinstance(s.crm, Record) and s.link.state is LinkState.DELETED:
        return _alive_again(s, s.crm) or quiet
    return _row_alone(s, s.row) or quiet if s.row is not None else quiet


def _row_alone(s: Situation, row: Row) -> Plan | None:
    """The row is back, or passes its filter again, and the record that it had is no more: it has none now."""
    policy = s.mapping.deletes.send if s.link.died is Side.APP else s.mapping.deletes.receive
    went = policy is DeletePolicy.DELETE or (s.link.died is Side.APP and s.mapping.on_leave is OnLeave.DELETE)
    if s.link.state is not LinkState.DELETED or not went or s.link.restore or row_kept_out(s, row) is not None:
        return None
    return Plan(Step.APPLY, "alive_again", LinkState.OPEN, widowed=True)


def _may_come_back(s: Situation) -> bool:
    """We deleted the row; or we deleted the record as the app had its row, and since then a person has restored it.

    A record no newer than the one that we deleted is no evidence of life: the read may be older.
    """
    if s.link.died is Side.CRM:
        return s.mapping.deletes.receive is DeletePolicy.DELETE
    return s.link.died is Side.APP and s.mapping.direction.receives and s.newer


def _alive_again(s: Situation, record: Record) -> Plan | None:
    if s.row is None:
        return _insert_again(s, record) if record_kept_out(s, record) is None else None
    if side_that_left(s, s.row, record) is not None:
        return None
    columns = cleared(s.link, s.row)
    return Plan(Step.APPLY, "alive_again", LinkState.LINKED, row=UpdateRow(columns) if columns else None)


def _insert_again(s: Situation, record: Record) -> Plan:
    """The row that went with its record, as the record is now; its key names it to whatever still refers to it."""
    found = insert(replace(s, link=replace(s.link, base={})), record)
    if not isinstance(found.row, InsertRow):
        return replace(found, state=s.link.state)
    columns = {s.mapping.key: str(s.link.app_key), **found.row.columns}
    return replace(found, reason="alive_again", row=InsertRow(columns))
