"""A plan without values that the CRM does not take: they are held, the rest of the record goes on.

What was refused is kept with the link, so that no sweep sends it again while nothing has changed that could matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from connector.core.merge import Decision, Parent, Reason, Verdict
from connector.core.model import ABSENT, Json, Link, Record, Side
from connector.core.plan import CreateRecord, Plan, UpdateRecord

REFUSED: Final = "refused"


def without(found: Plan, bad: Sequence[Decision]) -> Plan | None:
    """The same plan with some lines held; None when that leaves it as it was."""
    if not bad or not isinstance(found.record, CreateRecord | UpdateRecord):
        return None
    names, keys = {d.line.name for d in bad}, {f.key for d in bad for f in d.line.fields}
    decisions = tuple(_held(d) if d.line.name in names else d for d in found.decisions)
    fields = {key: value for key, value in found.record.fields.items() if key not in keys}
    if len(fields) == len(found.record.fields):
        return None
    record = replace(found.record, fields=fields) if fields or found.keyed else None
    return replace(found, decisions=decisions, record=record)


def still_refused(found: Plan, after: Plan) -> Plan:
    """What the CRM has just refused is not sent again at once."""
    names = {d.line.name for d in found.decisions if d.cause == REFUSED}
    return without(after, [d for d in after.sends() if d.line.name in names]) or after


def refused_before(found: Plan, link: Link, record: Record) -> Plan:
    """The plan without what was refused already when both sides stood as they do now.

    A version may be too coarse to tell that the record moved: then another line does, or nothing that concerns us moved.
    """
    moving = [d for d in found.decisions if d.verdict not in (Verdict.NOTHING, Verdict.HELD)]
    if any(link.refused.get(d.line.name) != _attempt(d, record) for d in moving):
        return found
    return without(found, moving) or found


def attempts(found: Plan, record: Record) -> dict[str, Json]:
    """By line, what was refused, and how the record stood then."""
    return {d.line.name: _attempt(d, record) for d in found.decisions if d.cause == REFUSED}


def _attempt(d: Decision, record: Record) -> Json:
    return [d.app, None if d.crm is ABSENT else d.crm, d.line.rule, record.version]


def _held(d: Decision) -> Decision:
    """Held. A reference is tried again as soon as what it points to stands otherwise."""
    parent = Parent(d.line.link, Side.APP, str(d.app)) if d.line.link is not None and d.app is not None else None
    return replace(d, verdict=Verdict.HELD, reason=Reason.UNCONVERTIBLE, cause=REFUSED, base=None, parent=parent)
