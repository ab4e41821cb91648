"""A result: what is to be committed of one case, and what a batch of them has in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from connector.core.line import Line
from connector.core.merge import Decision, Parent, Verdict
from connector.core.model import AppKey, CrmId, LinkId, Record, Row, Side
from connector.core.plan import Effect, Plan, Step
from connector.core.unseen import Overwrite
from connector.engine.observe.case import FOREIGN_KEY, TAKEN, Case, key_refused
from connector.local.tables import RowRefusedError
from connector.store.intents import Intent
from connector.store.work import Deferral, Item, WorkState

T = TypeVar("T")
LACKING = ("parent_unavailable", "parent_gone")
"""Causes of what cannot be made for lack of a parent that does not come by itself."""
SHORTLY, LATER = timedelta(milliseconds=50), timedelta(seconds=1)
LOOKS = 5
"""A row that a foreign key refuses is looked at so often again: the row it points to went a moment ago, or comes."""


@dataclass(slots=True)
class Result:
    """What is to be committed of one case. `plan` has no CRM write any more: that has happened, and `sent` says what.

    `deferral` puts the item back instead of ending it; `again` makes it due at once.
    """

    case: Case
    plan: Plan | None = None
    sent: Sequence[Decision] = ()
    sent_action: str | None = None
    sent_reason: str | None = None
    sent_effects: frozenset[tuple[Side, Effect]] = frozenset()
    """What the brake counts of the write to the CRM."""
    settled: Sequence[int] = ()
    applied: Sequence[Intent] = ()
    """Writes whose answer never came, and of which it is known by now that they happened."""
    deferral: Deferral | None = None
    again: bool = False
    drop: bool = False
    join: LinkId | None = None
    row: Row | None = None
    refused: RowRefusedError | None = None
    stale: bool = False
    """The row moved, or could not be had: it is planned again after `pause`."""
    pause: timedelta = SHORTLY
    lacks: Sequence[Parent] = ()
    """Required parents that do not come by themselves: the record is called once one of them is linked."""
    lost: Sequence[Overwrite] = ()
    """Values of the CRM that our writes had put away unseen, to be kept in the journal."""
    restated: bool = False
    """The base changed although nothing was planned (an intent was resolved)."""


class Held(NamedTuple):
    """A link as it stood when it was locked."""

    app_key: str | None
    crm_id: str | None
    state: str
    died: str | None


@dataclass(slots=True)
class Batch:
    """Results on their way through one commit."""

    results: list[Result]
    now: datetime
    held: dict[LinkId, Held] = field(default_factory=dict)
    waits: int = 0


def grouped(items: Iterable[T], key: Callable[[T], str]) -> Mapping[str, list[T]]:
    """Items by a key."""
    groups: dict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def row_key(result: Result) -> AppKey:
    """The key of the case's row."""
    return AppKey(str(result.case.link.app_key))


def mapping_name(result: Result) -> str | None:
    """The name of the case's mapping."""
    return result.case.mapping.name if result.case.mapping is not None else None


def parks(result: Result) -> bool:
    """True when the result leaves its record to a person."""
    refused = result.refused is not None and not looks_again(result)
    return refused or (result.deferral is not None and result.deferral.state is WorkState.PARKED)


def looks(item: Item) -> int:
    """How often a row was looked at again because a foreign key had refused it; what delayed it before does not count."""
    return item.attempt if key_refused(item) else 0


def looks_again(result: Result) -> bool:
    """True when a foreign key refused the row and the next look may tell how the other row stands by then."""
    refused = result.refused is not None and result.refused.code == FOREIGN_KEY
    return refused and looks(result.case.item) < LOOKS


def happened(result: Result) -> frozenset[tuple[Side, Effect]]:
    """What the brake counts of the writes that were made."""
    local = result.plan is not None and not result.stale and result.refused is None
    return result.sent_effects | (result.plan.effects if result.plan is not None and local else frozenset())


def put_off(group: Iterable[Result], pause: timedelta = SHORTLY) -> None:
    """Rows that cannot be had now are planned again after a pause."""
    for result in group:
        result.stale, result.pause = True, pause


def missing_parents(result: Result) -> set[Parent]:
    """Parents without which the record went on, or cannot go on, or does not pass its filter."""
    decisions = result.plan.decisions if result.plan is not None else ()
    awaited = result.plan.awaited if result.plan is not None else ()
    return {
        *result.lacks,
        *awaited,
        *(d.parent for d in decisions if d.parent is not None and d.verdict is Verdict.HELD),
    }


def changes_standing(result: Result, batch: Batch) -> bool:
    """True when the link becomes a pair, or stops being a living one: what refers to it must look again."""
    plan, link, before = result.plan, result.case.link, batch.held[result.case.link.id]
    if plan is None or result.stale or result.refused is not None or link.app_key is None or link.crm_id is None:
        return False
    paired_again = before.died is not None and plan.died is None and not plan.state.tombstone
    return paired_again or None in (before.app_key, before.crm_id) or before.state != plan.state


def completed_meanwhile(result: Result, held: Held) -> bool:
    """True when nothing was made of a row's half which got a record while it was looked at."""
    idle = result.plan is not None and result.plan.step is Step.DONE and result.sent_action is None
    return idle and result.case.link.crm_id is None and held.crm_id is not None


def record_id(result: Result) -> CrmId | None:
    """Whose id the link has; None where its record was merged into another row's before anybody had heard its id."""
    return None if result.case.nameless and result.case.crm == TAKEN else result.case.link.crm_id


def dead_ids(result: Result, batch: Batch) -> Iterable[CrmId]:
    """The ids that no record can be found under any more: deleted, or merged into another."""
    before, now = batch.held[result.case.link.id].crm_id, record_id(result)
    if before is not None and now is not None and before != now:
        yield CrmId(before)
    died = result.drop or (result.plan is not None and result.plan.died is Side.CRM)
    if now is not None and died and not isinstance(result.case.crm, Record) and not result.case.link.released:
        yield now
    if now is not None and result.sent_action == "delete":
        yield now


def moved_along(result: Result) -> bool:
    """True when our write to the row changed what another line sends: a template's text, or by a trigger of the app."""
    plan, before, after, mapping = result.plan, result.case.row, result.row, result.case.mapping
    if plan is None or before is None or after is None or mapping is None or plan.state.tombstone:
        return False
    received = {d.line.name for d in plan.decisions if d.verdict is Verdict.RECEIVE}
    others = (line for line in mapping.lines if line.direction.sends and line.name not in received)
    return any(_differ(line, before, after) for line in others)


def _differ(line: Line, before: Row, after: Row) -> bool:
    read = line.converter.read_app
    return not line.converter.same_app(read(before.columns), read(after.columns))
