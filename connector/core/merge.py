"""Three-way merge of one line: two values, what both sides last agreed on, and a rule.

A change is a difference from the base, never a newer clock; equal values end the matter before anyone asks who is newer.
Pure and total: every line gets exactly one `Decision` with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from connector.core.agreement import agrees, empty, meant, said_in_app, said_in_crm
from connector.core.line import HeldError, Line, Refs, UnresolvedError, digest, returns
from connector.core.mapping import Conflict, Direction, Empty
from connector.core.model import ABSENT, AppKey, Clocks, CrmId, CrmValue, Json, Pair, Side


class Verdict(StrEnum):
    """What happens to a line."""

    NOTHING = "nothing"
    AGREE = "agree"
    SEND = "send"
    RECEIVE = "receive"
    HELD = "held"
    WAIT = "wait"


class Reason(StrEnum):
    """Why. These words appear in plans, journal and `explain`."""

    UNCHANGED = "unchanged"
    EQUAL = "equal"
    APP_CHANGED = "app_changed"
    CRM_CHANGED = "crm_changed"
    DRIFT_UNDONE = "drift_undone"
    FIRST_SIGHT_EQUAL = "first_sight_equal"
    FIRST_SIGHT_FILL = "first_sight_fill"
    FIRST_SIGHT_KEPT = "first_sight_kept"
    FIRST_SIGHT_SOURCE = "first_sight_source"
    CONFLICT_LATER = "conflict_later"
    CONFLICT_TIE = "conflict_tie"
    CONFLICT_NO_CLOCK = "conflict_no_clock"
    CONFLICT_RULE = "conflict_rule"
    CONFLICT_REVIEW = "conflict_review"
    CONFLICT_RESOLVED = "conflict_resolved"
    OSCILLATION = "oscillation"
    NOT_IN_PAYLOAD = "not_in_payload"
    EMPTY_IGNORED = "empty_ignored"
    NOT_ELIGIBLE = "not_eligible"
    UNCONVERTIBLE = "unconvertible"
    PARENT_COMING = "parent_coming"
    PARENT_UNAVAILABLE = "parent_unavailable"
    PARENT_GONE = "parent_gone"
    BRAKED = "braked"
    RESTORED = "restored"


CONFLICTS = frozenset(
    {
        Reason.CONFLICT_LATER,
        Reason.CONFLICT_TIE,
        Reason.CONFLICT_NO_CLOCK,
        Reason.CONFLICT_RULE,
        Reason.CONFLICT_RESOLVED,
    }
)
REVIEW: Final = "review"
"""The cause of a value that is held because a person is to settle a conflict."""
OSCILLATION: Final = "oscillation"
"""The cause of a value that is held because two writers outside undo each other through us."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A reference that could not be resolved: the target mapping and the key of the half that is known."""

    mapping: str
    side: Side
    key: str


@dataclass(slots=True)
class Decision:
    """What happens to a line and why. `base` is the agreement once it has happened; None keeps the old one.

    send and receive: `base` holds the value to write on the written side. `loser` is the value that gives way.
    """

    line: Line
    verdict: Verdict
    reason: Reason
    app: Json
    crm: CrmValue
    base: Pair | None = None
    loser: Side | None = None
    cause: str | None = None
    parent: Parent | None = None
    overwrites: bool = False
    """A first-sight overwrite of a filled value: counted by the brake."""
    returns: bool = False
    """The CRM's value comes back after the fact: the row is written, the base stays, and the row is sent then."""
    overwritten: bool = False
    """Of a conflict: `crm` is not there any more, for our write put it away before anybody had seen it."""

    @property
    def clears(self) -> bool:
        """True when a filled value on the written side becomes empty."""
        if self.base is None:
            return False
        if self.verdict is Verdict.SEND:
            return empty(self.base.crm) and not empty(self.crm)
        return self.verdict is Verdict.RECEIVE and empty(self.base.app) and not empty(self.app)


@dataclass(slots=True)
class Grounds:
    """What the decisions about all lines of a record have in common."""

    clocks: Clocks
    refs: Refs
    unreachable: frozenset[Parent] = frozenset()
    dead: frozenset[Parent] = frozenset()
    """Those of the unreachable parents that were deleted on the side on which the line would name them."""
    sendable: bool = True
    """False while the row does not pass `only.send`, and where the mapping sends nothing yet."""
    receivable: bool = True
    """False while the record does not pass `only.receive`."""
    lost: bool = False
    """True while nobody knows what was written since the app's database was backed up that it was restored from."""


@dataclass(slots=True)
class Inputs:
    """All that one line's decision depends on."""

    app: Json
    crm: CrmValue
    base: Pair | None
    grounds: Grounds


def is_conflict(d: Decision) -> bool:
    """True when both sides had changed and the line's rule settled it."""
    return d.loser is not None and d.reason in CONFLICTS


def decide(line: Line, given: Inputs) -> Decision:
    """The one decision about a line."""
    base = given.base if given.base is not None and given.base.rule == line.rule else None
    if given.crm is ABSENT and (base is None or line.direction is Direction.RECEIVE):
        return Decision(line, Verdict.NOTHING, Reason.NOT_IN_PAYLOAD, given.app, given.crm)
    decision = _three_way(line, given, base) if base is not None else _without_base(line, given)
    if given.grounds.lost and decision.verdict is Verdict.SEND:
        decision = _unless_stale(decision, given, base)
    if barred(decision, given.grounds):
        return Decision(line, Verdict.NOTHING, Reason.NOT_ELIGIBLE, given.app, given.crm)
    return decision


def _unless_stale(d: Decision, given: Inputs, base: Pair | None) -> Decision:
    """After a restore the app may hold what it held long ago: what the CRM has of since then stays, unless it is older.

    Whatever the line's rule says: it speaks of what both sides hold now, and the app may have held the same.
    """
    line = d.line
    if given.crm is ABSENT or (empty(given.crm) if base is None else line.converter.same_crm(given.crm, base.crm)):
        return d
    edited = base is None or not line.converter.same_app(given.app, base.app)
    by_time = replace(line, conflict=Conflict.LAST_UPDATED)
    winner, reason = winner_of(by_time, given.grounds.clocks, first_sight=base is None)
    if edited and winner is Side.APP and reason is Reason.CONFLICT_LATER:
        return d
    if line.direction.receives:
        return receive(line, given, reason, loser=Side.APP)
    return _agree(line, given, Reason.RESTORED)


def _without_base(line: Line, given: Inputs) -> Decision:
    """A line whose rule is new, or that was set aside and is back."""
    before = given.base
    if before is not None and returns(before.rule) < returns(line.rule):
        return _returned(line, given, before)
    return _first_sight(line, given)


def barred(d: Decision, grounds: Grounds) -> bool:
    """True for what may not be written on its side, and for a wait that would end in that."""
    waits_to_send = d.verdict is Verdict.WAIT and d.parent is not None and d.parent.side is Side.APP
    if d.verdict is Verdict.SEND or waits_to_send:
        return d.line.readonly_crm or not grounds.sendable
    return d.verdict is Verdict.RECEIVE and not grounds.receivable


def _three_way(line: Line, given: Inputs, base: Pair) -> Decision:
    crm = base.crm if given.crm is ABSENT else given.crm
    same = given.app == base.app and crm == base.crm
    app_changed = not same and not line.converter.same_app(given.app, base.app)
    crm_changed = not same and not line.converter.same_crm(crm, base.crm)
    if not app_changed and not crm_changed:
        app_changed = _names_another_now(line, given, base)
    if not app_changed and not crm_changed:
        return Decision(line, Verdict.NOTHING, Reason.UNCHANGED, given.app, given.crm)
    if agrees(line, given.app, crm, given.grounds.refs):
        return _agree(line, given, Reason.EQUAL)
    if line.empty is Empty.KEEP:
        app_changed, crm_changed = app_changed and not _blank(line, given.app), crm_changed and crm != ""
        if not app_changed and not crm_changed:
            return Decision(line, Verdict.NOTHING, Reason.EMPTY_IGNORED, given.app, given.crm)
    if line.direction is Direction.BOTH:
        return _both_ways(line, given, app_changed=app_changed, crm_changed=crm_changed)
    return _one_way(line, given, base, app_changed=app_changed, crm_changed=crm_changed)


def _names_another_now(line: Line, given: Inputs, base: Pair) -> bool:
    """True when the row that the app names has got another record since, or is to get one, and the one it had is nobody's."""
    if line.link is None or not line.direction.sends or empty(base.app) or empty(base.crm):
        return False
    refs, row, record = given.grounds.refs, AppKey(str(base.app)), CrmId(str(base.crm))
    if (line.link, row) in refs.merged or (line.link, record) in refs.by_crm:
        return False
    now = refs.by_app.get((line.link, row))
    return now != record and not (now is None and Parent(line.link, Side.APP, row) in given.grounds.unreachable)


def _blank(line: Line, app: Json) -> bool:
    """True for an empty text, and for one of blanks only where the line takes that for none (an e-mail address)."""
    return isinstance(app, str) and not app.strip() and (not app or line.converter.same_app(app, None))


def _both_ways(line: Line, given: Inputs, *, app_changed: bool, crm_changed: bool) -> Decision:
    if meant(line, given.app, given.crm, given.grounds.refs) != given.app:
        return receive(line, given, Reason.CRM_CHANGED)
    if app_changed and crm_changed:
        return _conflict(line, given, first_sight=False)
    if app_changed:
        return send(line, given, Reason.APP_CHANGED)
    return receive(line, given, Reason.CRM_CHANGED)


def _one_way(line: Line, given: Inputs, base: Pair, *, app_changed: bool, crm_changed: bool) -> Decision:
    """The source side owns the line; drift on the other is undone by that side's own base."""
    if line.direction is Direction.SEND:
        if app_changed:
            return send(line, given, Reason.APP_CHANGED)
        undone = Pair(given.app, base.crm, line.rule)
        back = Decision(line, Verdict.SEND, Reason.DRIFT_UNDONE, given.app, given.crm, base=undone, loser=Side.CRM)
        return _to_the_dead(line, given, Side.APP) or back
    if crm_changed:
        return receive(line, given, Reason.CRM_CHANGED)
    undone = Pair(base.app, base.crm if given.crm is ABSENT else given.crm, line.rule)
    back = Decision(line, Verdict.RECEIVE, Reason.DRIFT_UNDONE, given.app, given.crm, base=undone, loser=Side.APP)
    return _to_the_dead(line, given, Side.CRM) or back


def _to_the_dead(line: Line, given: Inputs, source: Side) -> Decision | None:
    """What becomes of drift where the source still names a parent that was deleted: it is not written back."""
    parent = Parent(line.link or "", source, str(given.app if source is Side.APP else given.crm))
    return _without(line, given, parent) if parent in given.grounds.dead else None


def _first_sight(line: Line, given: Inputs) -> Decision:
    """What means null to the line is empty too where the CRM has a value: a default currency without an amount."""
    no_app, no_crm = empty(given.app), empty(given.crm)
    if no_app and no_crm:
        return _agree(line, given, Reason.FIRST_SIGHT_EQUAL)
    if no_crm:
        sends = line.direction.sends
        return send(line, given, Reason.FIRST_SIGHT_FILL) if sends else _agree(line, given, Reason.FIRST_SIGHT_KEPT)
    if no_app or line.converter.same_app(given.app, None):
        fills = line.direction.receives
        return receive(line, given, Reason.FIRST_SIGHT_FILL) if fills else _agree(line, given, Reason.FIRST_SIGHT_KEPT)
    if agrees(line, given.app, given.crm, given.grounds.refs):
        return _agree(line, given, Reason.FIRST_SIGHT_EQUAL)
    if line.direction is Direction.BOTH:
        return _conflict(line, given, first_sight=True)
    move = send if line.direction is Direction.SEND else receive
    return move(line, given, Reason.FIRST_SIGHT_SOURCE, overwrites=True)


def _returned(line: Line, given: Inputs, before: Pair) -> Decision:
    """A line that was set aside meets its record again: what is empty is filled, nothing but an edit overwrites.

    A value in the CRM that is not what was agreed is an edit, for fields there have no defaults; one that is, but says
    nothing any more, is an option that is gone, as good as empty. One in a row is an edit if it was noticed as such, else
    it is what a migration or a restore left there.
    """
    if empty(given.app) or empty(given.crm) or agrees(line, given.app, given.crm, given.grounds.refs):
        return _first_sight(line, given)
    alike = digest(before.rule) == digest(line.rule)
    if alike and line.direction.receives and line.converter.same_app(given.app, before.app):
        back = receive(line, given, Reason.CRM_CHANGED)
        if back.verdict is Verdict.RECEIVE and given.crm == before.crm:
            return _agree(line, given, Reason.FIRST_SIGHT_KEPT)
        gone = back.verdict is Verdict.HELD and line.direction.sends and given.crm == before.crm
        return send(line, given, Reason.FIRST_SIGHT_FILL) if gone else back
    noticed = line.direction.sends and any(column in given.grounds.clocks.app for column in line.columns)
    if alike and noticed and given.crm is not ABSENT and line.converter.same_crm(given.crm, before.crm):
        return send(line, given, Reason.APP_CHANGED)
    return _agree(line, given, Reason.FIRST_SIGHT_KEPT)


def _conflict(line: Line, given: Inputs, *, first_sight: bool) -> Decision:
    if line.conflict is Conflict.REVIEW:
        return asked(line, given)
    winner, reason = winner_of(line, given.grounds.clocks, first_sight=first_sight)
    move = send if winner is Side.APP else receive
    return move(line, given, reason, loser=winner.other, overwrites=first_sight)


def winner_of(line: Line, clocks: Clocks, *, first_sight: bool) -> tuple[Side, Reason]:
    """Who wins a true conflict. At first sight the record clocks decide; a side without a clock loses; a tie is the CRM's."""
    if line.conflict is not Conflict.LAST_UPDATED:
        return (Side.APP if line.conflict is Conflict.APP else Side.CRM), Reason.CONFLICT_RULE
    app = clocks.app_record if first_sight else latest(clocks.app.get(c) for c in line.columns) or clocks.app_record
    crm = clocks.crm_record if first_sight else latest(clocks.crm.get(f.key) for f in line.fields) or clocks.crm_record
    if app is None or crm is None:
        return (Side.CRM if app is None else Side.APP), Reason.CONFLICT_NO_CLOCK
    if abs((app - crm).total_seconds()) <= clocks.band:
        return Side.CRM, Reason.CONFLICT_TIE
    return (Side.APP if app > crm else Side.CRM), Reason.CONFLICT_LATER


def asked(line: Line, given: Inputs, *, overwritten: bool = False) -> Decision:
    """Both sides stay as they are until a person has said which value stays."""
    held, reason = Verdict.HELD, Reason.CONFLICT_REVIEW
    return Decision(line, held, reason, given.app, given.crm, cause=REVIEW, overwritten=overwritten)


def latest(times: Iterable[datetime | None]) -> datetime | None:
    """The last of these times; None without any."""
    return max((time for time in times if time is not None), default=None)


def _agree(line: Line, given: Inputs, reason: Reason) -> Decision:
    crm = None if given.crm is ABSENT else given.crm
    return Decision(line, Verdict.AGREE, reason, given.app, given.crm, Pair(given.app, crm, line.rule))


def send(line: Line, given: Inputs, reason: Reason, *, loser: Side | None = None, overwrites: bool = False) -> Decision:
    """The app's value goes to the CRM, as far as it can be said there."""
    if line.empty is Empty.KEEP and _blank(line, given.app):
        return Decision(line, Verdict.NOTHING, Reason.EMPTY_IGNORED, given.app, given.crm)
    try:
        crm = said_in_crm(line, given.app, given.grounds.refs)
    except (HeldError, UnresolvedError) as error:
        return _unconverted(line, given, error)
    base = Pair(meant(line, given.app, crm, given.grounds.refs), crm, line.rule)
    return Decision(line, Verdict.SEND, reason, given.app, given.crm, base, loser, overwrites=overwrites)


def receive(
    line: Line, given: Inputs, reason: Reason, *, loser: Side | None = None, overwrites: bool = False
) -> Decision:
    """The CRM's value comes to the row, as far as it can be said there."""
    crm = None if given.crm is ABSENT else given.crm
    if crm == "" and line.empty is Empty.KEEP:
        return Decision(line, Verdict.NOTHING, Reason.EMPTY_IGNORED, given.app, given.crm)
    try:
        app = said_in_app(line, crm, given.grounds.refs)
    except (HeldError, UnresolvedError) as error:
        return _unconverted(line, given, error)
    base = Pair(app, crm, line.rule)
    return Decision(line, Verdict.RECEIVE, reason, given.app, given.crm, base, loser, overwrites=overwrites)


def _unconverted(line: Line, given: Inputs, error: HeldError | UnresolvedError) -> Decision:
    if isinstance(error, HeldError):
        return Decision(line, Verdict.HELD, Reason.UNCONVERTIBLE, given.app, given.crm, cause=error.cause)
    side, key = (Side.APP, error.app_key) if error.app_key is not None else (Side.CRM, error.crm_id)
    return _without(line, given, Parent(error.mapping, side, str(key)))


def _without(line: Line, given: Inputs, parent: Parent) -> Decision:
    """The decision about a reference to a parent that the other side cannot name."""
    if parent in given.grounds.dead and not line.required and _names_another(line, given, parent.side.other):
        verdict = Verdict.SEND if parent.side is Side.APP else Verdict.RECEIVE
        gone = Pair(None, None, line.rule)
        return Decision(line, verdict, Reason.PARENT_GONE, given.app, given.crm, base=gone)
    if parent not in given.grounds.unreachable:
        coming = Reason.PARENT_COMING
        return Decision(line, Verdict.WAIT, coming, given.app, given.crm, cause="parent", parent=parent)
    reason = Reason.PARENT_GONE if parent in given.grounds.dead else Reason.PARENT_UNAVAILABLE
    return Decision(line, Verdict.HELD, reason, given.app, given.crm, cause=reason.value, parent=parent)


def _names_another(line: Line, given: Inputs, side: Side) -> bool:
    """True when the side still names the parent that the other side has left: naming none is nearer the truth.

    The base becomes none on both sides, so the reference follows once its parent lives again.
    """
    known = given.base is not None and given.base.rule == line.rule
    return known and not empty(given.app if side is Side.APP else given.crm)
