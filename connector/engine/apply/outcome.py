"""Outcome: the new state of a link once its result has happened, first of all the new base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from connector.core.line import BoundMapping
from connector.core.merge import REVIEW, Decision, Verdict
from connector.core.model import ABSENT, Base, Json, Link, LinkState, OpenConflict, Pair, Record, Row, Undo, Write
from connector.core.plan import InsertRow, Plan, Step
from connector.core.refused import attempts
from connector.core.review import open_conflicts
from connector.engine.apply.result import Result, record_id
from connector.store.link_writes import LinkWrite

WATCHED: Final = 4
"""So many of our last writes to a record are remembered at most, until their echoes have told."""


def changes_link(result: Result) -> bool:
    """True when the link must be written."""
    if result.drop or result.join is not None:
        return False
    if result.sent or result.restated or result.sent_action is not None:
        return True
    same = result.plan is not None and result.plan.step is Step.DONE and _same_state(result.case.link, result.plan)
    return result.plan is not None and (result.case.moved or not same)


def link_write(result: Result) -> LinkWrite:
    """The link as it will be."""
    link, plan = result.case.link, result.plan
    done = plan is not None and not result.stale and result.refused is None
    base = {**_aside(result), **(_base(result) if done else link.base)}
    record = result.case.crm if isinstance(result.case.crm, Record) else None
    state = plan.state if plan is not None and done else link.state
    if link.crm_id is not None and link.app_key is not None and state in (LinkState.OPEN, LinkState.EXCLUDED):
        state = LinkState.LINKED
    held = plan.held if plan is not None else link.held
    died = done and plan is not None and plan.died is not None
    still_dead = link.state.tombstone and state.tombstone
    return LinkWrite(
        link.id,
        result.case.mapping.name if result.case.mapping is not None and link.app_key is not None else link.mapping,
        link.app_key,
        record_id(result),
        state,
        base,
        _restorable(result) if died else (link.restore if still_dead else {}),
        held,
        plan.died if plan is not None and died else (link.died if still_dead else None),
        plan.cause if plan is not None and done else None,
        _version(result, state, done=done),
        _still_sent(result, done=done),
        link.released or (plan is not None and done and plan.releases),
        attempts(plan, record) if plan is not None and record is not None else {},
        _conflicts(result, held) if done else None,
        link.lost_since is not None,
    )


def _version(result: Result, state: LinkState, *, done: bool) -> str | None:
    """The version that was seen; of the dead the last one, by which a restored record is known until it lives again."""
    if isinstance(result.case.crm, Record) and (done or not state.tombstone):
        return result.case.crm.version
    return result.case.link.version if state.tombstone else None


def _conflicts(result: Result, held: Mapping[str, str]) -> Mapping[str, OpenConflict] | None:
    """What a person is to settle from now on; None while that is what it was. What rests keeps it."""
    plan, situation, before = result.plan, result.case.situation, result.case.link.conflicts
    if plan is None or situation is None or not (before or REVIEW in held.values()):
        return None
    found = open_conflicts(before, plan.decisions, situation.clocks, situation.now)
    resting = not plan.decisions and not plan.state.tombstone and not plan.widowed
    return None if resting or found == before else found


def _aside(result: Result) -> Base:
    """Lines that are set aside, for pairs made meanwhile: a base that no rule fits, older than the line's return."""
    mapping = result.case.mapping
    return {name: Pair(None, None) for name in mapping.aside} if mapping is not None else {}


def _base(result: Result) -> Base:
    plan, mapping = result.plan, result.case.mapping
    if plan is None or mapping is None or plan.state.tombstone:
        return result.case.link.base
    if isinstance(plan.row, InsertRow) and result.row is not None:
        return {**inserted_base(plan.decisions, result.row), **constant_base(mapping, result.case.crm)}
    base = dict(result.case.link.base)
    for d in plan.decisions:
        if d.base is not None and d.verdict is Verdict.AGREE:
            base[d.line.name] = d.base
        elif d.base is not None and d.verdict is Verdict.RECEIVE and not d.returns:
            app = d.line.converter.read_app(result.row.columns) if result.row is not None else d.base.app
            base[d.line.name] = Pair(app, d.base.crm, d.base.rule)
    return base


def inserted_base(decisions: Iterable[Decision], row: Row) -> Base:
    """After an insert the pair as found is the base: a default that the database put there never overwrites.

    Values that are held or wait for a parent have no base yet.
    """
    return {
        d.line.name: Pair(d.line.converter.read_app(row.columns), d.crm, d.line.rule)
        for d in decisions
        if d.verdict is not Verdict.HELD and d.verdict is not Verdict.WAIT and d.crm is not ABSENT
    }


def constant_base(mapping: BoundMapping, crm: object) -> Base:
    """`set.crm` of a record that we did not make: as it was found, like every other line of its new row."""
    fields: Mapping[str, Json] = crm.fields if isinstance(crm, Record) else {}
    found = [(line, line.converter.read_crm(fields)) for line in mapping.constants]
    return {line.name: Pair(line.converter.read_app({}), crm, line.rule) for line, crm in found if crm is not ABSENT}


def _restorable(result: Result) -> Mapping[str, Undo]:
    """What `deletes.set` wrote, as the row spells it: it is compared with the row when the record lives again."""
    wrote = result.plan.restore if result.plan is not None else {}
    before = result.case.row.columns if result.case.row is not None else {}
    after = result.row.columns if result.row is not None else wrote
    return {column: Undo(before.get(column), after.get(column)) for column in wrote}


def _still_sent(result: Result, *, done: bool) -> Sequence[Write]:
    """Our last writes of which an event may still tell."""
    situation, sent = result.case.situation, result.case.link.sent
    told = situation.heard.writes if situation is not None and (done or result.sent_action) else ()
    return [write for write in sent if write not in told][-WATCHED:]


def _same_state(link: Link, plan: Plan) -> bool:
    held = plan.held or link.held or link.conflicts
    return plan.state is link.state and not held and link.lost_since is None
