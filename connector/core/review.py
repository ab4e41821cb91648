"""Review: conflicts that a person settles, and those that our own write had settled before anybody knew of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from connector.core.agreement import agrees
from connector.core.line import Line
from connector.core.mapping import Conflict, Direction
from connector.core.merge import Decision, Inputs, Reason, Verdict, asked, barred, latest, receive, send, winner_of
from connector.core.model import ABSENT, Clocks, OpenConflict, Side

UNSAID = frozenset({Reason.NOT_ELIGIBLE, Reason.NOT_IN_PAYLOAD})
"""Reasons for doing nothing that do not say how the two sides stand."""


def after_the_fact(line: Line, lost: Inputs, found: Decision) -> Decision:
    """A conflict that our write had settled before it was known, now by the line's rule. The base is what we wrote.

    `lost` has what we put away as the CRM's value. It had been entered after our read, so it is the later edit, unless
    the row was edited since. `found` is the decision without it: it stands where the CRM has a newer value, and where
    the app wins.
    """
    if found.reason not in (Reason.UNCHANGED, Reason.APP_CHANGED):
        return found
    if line.direction is not Direction.BOTH:
        return _kept(line, lost) if found.reason is Reason.UNCHANGED else found
    if line.conflict is Conflict.REVIEW:
        return asked(line, lost, overwritten=True)
    winner, reason = winner_of(line, lost.grounds.clocks, first_sight=False)
    if found.reason is Reason.UNCHANGED and line.conflict is Conflict.LAST_UPDATED:
        winner, reason = Side.CRM, Reason.CONFLICT_LATER
    if winner is Side.CRM:
        return replace(receive(line, lost, reason, loser=Side.APP), returns=True)
    return _kept(line, lost) if found.reason is Reason.UNCHANGED else found


def _kept(line: Line, lost: Inputs) -> Decision:
    """What we wrote stays; what it put away is on record."""
    return Decision(
        line, Verdict.AGREE, Reason.CONFLICT_RULE, lost.app, lost.crm, base=lost.base, loser=Side.CRM, overwritten=True
    )


def reviewed(line: Line, given: Inputs, found: Decision, before: OpenConflict) -> Decision:
    """An open conflict stays open, whatever either side says by now, until a person settles it or both are made equal.

    `found` is the decision as if it had never been. A value that our write put away counts until the CRM has a newer one.
    """
    if line.conflict is not Conflict.REVIEW or line.direction is not Direction.BOTH:
        return found
    unmoved = given.crm is ABSENT or (given.base is not None and line.converter.same_crm(given.crm, given.base.crm))
    overwritten = before.overwritten and unmoved
    crm = before.crm if overwritten or given.crm is ABSENT else given.crm
    over = found.verdict in (Verdict.NOTHING, Verdict.AGREE) and found.reason not in UNSAID and given.crm is not ABSENT
    if (over and not overwritten) or agrees(line, given.app, crm, given.grounds.refs):
        return found
    still = asked(line, replace(given, crm=crm), overwritten=overwritten)
    shown = line.converter.same_app(before.app, given.app) and line.converter.same_crm(before.crm, crm)
    if before.keep is None or not shown:
        return still
    settled = _settled(line, given, still, before.keep)
    return still if barred(settled, given.grounds) else settled


def _settled(line: Line, given: Inputs, still: Decision, keep: Side) -> Decision:
    """What a person has decided. Where our write had done so already, nothing is left to be written."""
    reason = Reason.CONFLICT_RESOLVED
    if keep is Side.CRM:
        given = replace(given, crm=still.crm)
        return replace(receive(line, given, reason, loser=Side.APP), returns=still.overwritten)
    if still.overwritten and given.base is not None and line.converter.same_app(given.app, given.base.app):
        return replace(still, verdict=Verdict.AGREE, reason=reason, base=given.base, loser=Side.CRM, cause=None)
    return send(line, given, reason, loser=Side.CRM)


def open_conflicts(
    before: Mapping[str, OpenConflict], decisions: Iterable[Decision], clocks: Clocks, now: datetime
) -> dict[str, OpenConflict]:
    """By line: the conflicts that are open once these decisions have been carried out; a send among them has not been."""
    found: dict[str, OpenConflict] = {}
    for d in decisions:
        known = before.get(d.line.name)
        if d.reason is Reason.CONFLICT_REVIEW:
            found[d.line.name] = _opened(d, known, clocks, now)
        elif known is not None and d.verdict in (Verdict.SEND, Verdict.WAIT):
            found[d.line.name] = known
    return found


def _opened(d: Decision, known: OpenConflict | None, clocks: Clocks, now: datetime) -> OpenConflict:
    """The conflict as it stands; who has chosen a side of other values has not chosen."""
    crm = None if d.crm is ABSENT else d.crm
    app_at = latest(clocks.app.get(column) for column in d.line.columns)
    crm_at = latest(clocks.crm.get(field.key) for field in d.line.fields)
    if known is None:
        app_at, crm_at = app_at or clocks.app_record, crm_at or clocks.crm_record
        return OpenConflict(d.app, crm, now, app_at, crm_at, d.overwritten)
    if (known.app, known.crm, known.overwritten) == (d.app, crm, d.overwritten):
        return known
    at = app_at or known.app_at, crm_at or known.crm_at
    return replace(known, app=d.app, crm=crm, app_at=at[0], crm_at=at[1], overwritten=d.overwritten, keep=None)
