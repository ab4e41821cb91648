"""Entries: what the journal and the metrics say of a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from connector.core.merge import Decision, Verdict, is_conflict
from connector.core.model import ABSENT, Json, Side
from connector.core.plan import DeleteRow, InsertRow, Plan, Step
from connector.engine.apply.result import Result, parks
from connector.store.journal import Entry

FOUND_OUT: Final = "found_out"
"""The reason of a write whose answer never came, once it is known to have happened."""
OVERWRITTEN: Final = "overwritten_unseen"
"""Why a value of the CRM is kept here that no decision speaks of: our write put it away before anybody had seen it."""


def entries(result: Result) -> Iterable[Entry]:
    """What the journal keeps of a result: one entry for each side that was written."""
    link, plan, cause = result.case.link, result.plan, result.case.item.lane.name.lower()
    name = result.case.mapping.name if result.case.mapping is not None else link.mapping
    head = (link.id, link.object, name, link.app_key, link.crm_id)
    for intent in result.applied:
        values = {line: (intent.replaced.get(line), pair.crm) for line, pair in intent.base.items()}
        found = {line: {"old": old, "new": new, "reason": FOUND_OUT} for line, (old, new) in values.items()}
        yield Entry(*head, Side.CRM, intent.op, cause, FOUND_OUT, found)
    if result.sent_action is not None:
        lines = {d.line.name: _line_entry(d, Side.CRM) for d in result.sent}
        reason = result.sent_reason or result.sent_action
        yield Entry(*head, Side.CRM, result.sent_action, cause, reason, lines)
    if result.stale or result.refused is not None:
        return
    for each in result.lost:
        gone: dict[str, Json] = {"old": each.value, "new": each.wrote, "reason": OVERWRITTEN}
        lines = {each.line: {**gone, "loser": {"side": Side.CRM, "value": each.value}}}
        yield Entry(*head, Side.CRM, "overwrite", cause, OVERWRITTEN, lines)
    if plan is None:
        return
    kept = [d for d in plan.disputed if d.verdict is Verdict.AGREE]
    if kept:
        lines = {d.line.name: _line_entry(d, Side.CRM) for d in kept}
        yield Entry(*head, Side.CRM, "overwrite", cause, plan.reason, lines)
    if plan.row is not None:
        received = [d for d in plan.decisions if d.verdict is Verdict.RECEIVE]
        lines = {d.line.name: _line_entry(d, Side.APP) for d in received}
        yield Entry(*head, Side.APP, _row_action(plan), cause, plan.reason, lines)
    elif plan.died is not None or (plan.step is Step.APPLY and plan.state is not link.state and not plan.decisions):
        yield Entry(*head, Side.APP, plan.state.value, cause, plan.reason)


def _line_entry(d: Decision, side: Side) -> Mapping[str, Json]:
    crm = None if d.crm is ABSENT else d.crm
    old, new = (d.app, d.base.app if d.base else None) if side is Side.APP else (crm, d.base.crm if d.base else None)
    entry: dict[str, Json] = {"old": old, "new": new, "reason": d.reason}
    if is_conflict(d) and d.loser is not None:
        entry["loser"] = {"side": d.loser, "value": d.app if d.loser is Side.APP else crm}
    return entry


def _row_action(plan: Plan) -> str:
    if isinstance(plan.row, InsertRow):
        return "insert"
    return "delete" if isinstance(plan.row, DeleteRow) else "update"


def actions(result: Result) -> Iterable[str]:
    """What the counters call the result."""
    yield from (f"crm_{intent.op}" for intent in result.applied)
    if result.sent_action is not None:
        yield f"crm_{result.sent_action}"
    if result.plan is not None and result.plan.row is not None and not result.stale and result.refused is None:
        yield f"app_{_row_action(result.plan)}"
    if parks(result):
        yield "park"


def winners(result: Result) -> Iterable[Side]:
    """The side that won each conflict that the result settled."""
    for d in (*result.sent, *(result.plan.disputed if result.plan is not None else ())):
        if is_conflict(d) and d.loser is not None and d.verdict is not Verdict.HELD:
            yield d.loser.other


def durations(results: Iterable[Result], now: datetime) -> Mapping[str, list[float]]:
    """Direction → seconds from noticed to now, of the results that wrote something."""
    found: dict[str, list[float]] = {"send": [], "receive": []}
    for result in results:
        wrote = "send" if result.sent_action else "receive" if result.plan is not None and result.plan.row else None
        if wrote is not None and result.case.item.noticed_at is not None:
            found[wrote].append(max((now - result.case.item.noticed_at).total_seconds(), 0.0))
    return found
