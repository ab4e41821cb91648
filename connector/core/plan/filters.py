"""Who may pass: the direction of a mapping and its filters, asked about one row or record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from connector.core.convert.sides import as_id
from connector.core.filter import crm_reader, failing, row_reader
from connector.core.mapping import Condition, Test
from connector.core.merge import Parent, Reason, Verdict
from connector.core.model import ABSENT, CrmValue, Json, Record, Row, Side
from connector.core.plan.actions import Plan, excluded
from connector.core.plan.lines import decide_lines
from connector.core.plan.situation import Situation


def row_kept_out(s: Situation, row: Row) -> Plan | None:
    """The plan for a row of which the mapping makes no CRM record; None when it may pass."""
    if not s.mapping.direction.sends:
        return excluded("direction")
    failed = row_fails(s, row)
    return excluded(f"only.send {failed.name}", awaited_by_row(s, row, failed)) if failed is not None else None


def row_fails(s: Situation, row: Row) -> Condition | None:
    """The condition that keeps the row from a mapping that sends."""
    return failing(s.mapping.only_send, row_reader(s.mapping.table.columns, row.columns), s.linked_in)


def record_kept_out(s: Situation, record: Record) -> Plan | None:
    """The plan for a CRM record of which the mapping makes no row; None when it may pass."""
    if not s.mapping.direction.receives:
        return excluded("direction")
    failed = record_fails(s, record)
    return excluded(f"only.receive {failed.name}", awaited_by_record(s, record, failed)) if failed is not None else None


def awaited_by_row(s: Situation, row: Row, failed: Condition) -> tuple[Parent, ...]:
    """The parents of which any would let the row pass `{in: mapping}`."""
    return _awaited(failed, Side.APP, row_reader(s.mapping.table.columns, row.columns)(failed.place))


def awaited_by_record(s: Situation, record: Record, failed: Condition) -> tuple[Parent, ...]:
    """The parents of which any would let the record pass `{in: mapping}`."""
    return _awaited(failed, Side.CRM, _crm_values(s, record)(failed.place))


def _awaited(failed: Condition, side: Side, value: CrmValue) -> tuple[Parent, ...]:
    if failed.test is not Test.IN or value is ABSENT:
        return ()
    keys = value if isinstance(value, list) else [value]
    return tuple(Parent(str(failed.operands[0]), side, str(as_id(key))) for key in keys if key not in (None, ""))


def side_that_left(s: Situation, row: Row, record: Record) -> tuple[Side, Condition] | None:
    """The side that no longer passes its filter. A row that was received never had to pass `only.send`.

    A record has not left its filter if it passes once what the app has changed is sent.
    """
    failed = record_fails(s, record)
    if failed is not None and record_fails(s, _once_sent(s, record)) is not None:
        return Side.CRM, failed
    if s.mapping.direction.sends and (s.link.origin is Side.APP or not s.mapping.direction.receives):
        failed = row_fails(s, row)
        if failed is not None:
            return Side.APP, failed
    return None


def record_fails(s: Situation, record: Record) -> Condition | None:
    """The condition that keeps the record from a mapping that receives."""
    if not s.mapping.direction.receives:
        return None
    return failing(s.mapping.only_receive, _crm_values(s, record), s.linked_in)


def _once_sent(s: Situation, record: Record) -> Record:
    fields: dict[str, Json] = dict(record.fields)
    for d in decide_lines(s, s.mapping.every_line, record):
        if d.verdict is Verdict.SEND and d.reason is Reason.APP_CHANGED and d.base is not None:
            fields.update(d.line.converter.write_crm(d.base.crm, fields))
    return replace(record, fields=fields)


def _crm_values(s: Situation, record: Record) -> Callable[[str], CrmValue]:
    return crm_reader(s.metadata.fields.get(record.object, ()), s.metadata, record.fields)
