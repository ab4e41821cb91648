"""A plan without values that a column turned out not to take: they are held, the rest of the record goes on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from connector.core.convert.causes import Cause
from connector.core.merge import Decision, Reason, Verdict
from connector.core.plan import InsertRow, Plan, UpdateRow


def held_back(plan: Plan, columns: Collection[str]) -> Plan:
    """The plan without the received lines that write these columns; the plan itself where no line does."""
    kept_out = [
        d for d in plan.decisions if d.verdict is Verdict.RECEIVE and not set(columns).isdisjoint(d.line.columns)
    ]
    if not kept_out or not isinstance(plan.row, InsertRow | UpdateRow):
        return plan
    gone = {column for d in kept_out for column in d.line.columns}
    left = {column: value for column, value in plan.row.columns.items() if column not in gone}
    row = replace(plan.row, columns=left) if left or isinstance(plan.row, InsertRow) else None
    return replace(plan, row=row, decisions=tuple(_held(d) if d in kept_out else d for d in plan.decisions))


def _held(decision: Decision) -> Decision:
    return replace(
        decision,
        verdict=Verdict.HELD,
        reason=Reason.UNCONVERTIBLE,
        cause=Cause.REFUSED_BY_COLUMN,
        base=None,
        loser=None,
        overwrites=False,
        returns=False,
    )
