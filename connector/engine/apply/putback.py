"""Putting back: how a claimed item returns to the queue, when, and under which cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from connector.core.errors import ConnectorError, RateLimitedError
from connector.core.merge import Parent
from connector.core.model import Lane, LinkId, Side
from connector.core.plan import LEANT_ON, Plan
from connector.core.retry import OUTCOME_FIRST, PARENT_CAP, PARENT_FIRST, backoff
from connector.engine.apply.result import LACKING, Result, looks, looks_again
from connector.engine.context import Context
from connector.engine.observe.case import REFUSED, Case
from connector.local.tables import RowRefusedError
from connector.store import references, work
from connector.store.work import Deferral, Item, WorkState

SOON: Final[Mapping[str, float]] = {
    "unfolded": 0.05,
    "sweep": 600.0,
    "merge": 2.0,
}
"""Seconds after which a wait ends by itself; others end when the gate they name opens, or the link they wait for moves."""
SAME_KEY_FIRST, SAME_KEY_CAP = 0.2, 10.0
"""Seconds between two looks for whether another, that may be the same, has come to its end."""


def deferral(
    case: Case, state: WorkState, cause: str, due: datetime | None = None, parent: LinkId | None = None
) -> Deferral:
    """The case's item, back in the queue."""
    attempt = case.item.tries(cause) + 1
    return Deferral(
        case.item.link_id, case.item.generation, state, due, cause, attempt, parent, case.read_at, case.braked
    )


def braked(case: Case) -> Deferral:
    """The case's item, until a person releases what the brake stops of it, or a note tells that it may be undone."""
    return deferral(case, WorkState.BRAKED, f"brake:{','.join(sorted(case.braked))}")


def retry(item: Item, error: ConnectorError, now: datetime) -> Deferral:
    """The item once more, when the error says or after a back-off."""
    cause = word_of(error)
    due = now + backoff(item.tries(cause), item.link_id)
    if isinstance(error, RateLimitedError) and error.until is not None:
        due = max(error.until, now)
    return Deferral(item.link_id, item.generation, WorkState.RETRY, due, cause, item.tries(cause) + 1)


def word_of(error: ConnectorError) -> str:
    """What the queue calls an error."""
    return type(error).__name__.removesuffix("Error").lower()


def refused(result: Result, error: RowRefusedError, now: datetime) -> Deferral:
    """The case whose row PostgreSQL refused: a person's matter, unless another row may be why."""
    cause = f"{REFUSED}:{error.code}:{error.name}".rstrip(":")
    if not looks_again(result):
        return replace(deferral(result.case, WorkState.PARKED, cause), attempt=0)
    so_far = looks(result.case.item)
    due = now + backoff(so_far, result.case.link.id)
    return replace(deferral(result.case, WorkState.RETRY, cause, due), attempt=so_far + 1)


def undone(case: Case, back: Deferral) -> Result:
    """A case put back as it was found: a half that was about to adopt is a half again."""
    if case.adopted is Side.CRM:
        case.link = replace(case.link, crm_id=None)
    elif case.adopted is Side.APP:
        case.link = replace(case.link, app_key=None, mapping=None)
    return Result(case, deferral=back)


def unfinished(found: Plan) -> bool:
    """True when a plan leaves something for later."""
    return bool(found.parents) or found.deferred_sends


def unsent(found: Plan) -> bool:
    """True when a plan would send, but nothing may be sent now."""
    return found.deferred_sends or found.cause == "first_fetch_all"


def blocked_send(context: Context, case: Case) -> str:
    """The gate that keeps a case from sending: its mapping's first fetch-all, else one of the connection's."""
    name = case.mapping.name if case.mapping is not None else case.link.mapping
    return context.barred(case.link.object) or "first_look" if name in context.gates.fetched else "first_fetch_all"


def waiting(context: Context, case: Case, found: Plan, parents: Mapping[Parent, LinkId]) -> Deferral:
    """The wait that a plan asks for."""
    now = context.clock.now()
    cause = blocked_send(context, case) if unsent(found) else (found.cause or "parent")
    if found.behind is not None:
        due = now + backoff(case.item.tries(cause), case.link.id, first=OUTCOME_FIRST, cap=PARENT_CAP)
        return deferral(case, WorkState.WAITING, cause, due, found.behind)
    if cause in ("parent", "parent_unavailable"):
        due = now + backoff(case.item.tries(cause), case.link.id, first=PARENT_FIRST, cap=PARENT_CAP)
        parent = next((parents[p] for p in found.parents if p in parents), None)
        return deferral(case, WorkState.WAITING, cause, due, parent)
    if cause == "definitions":
        due = now + backoff(case.item.tries(cause), case.link.id, first=OUTCOME_FIRST, cap=PARENT_CAP)
        return deferral(case, WorkState.WAITING, cause, due)
    if cause == "same_key":
        due = now + backoff(case.item.tries(cause), case.link.id, first=SAME_KEY_FIRST, cap=SAME_KEY_CAP)
        return deferral(case, WorkState.WAITING, cause, due)
    due_soon = now + timedelta(seconds=SOON[cause]) if cause in SOON else None
    return deferral(case, WorkState.WAITING, cause, due_soon)


async def call_parents(context: Context, planned: Sequence[tuple[Case, Plan]]) -> Mapping[Parent, LinkId]:
    """Makes sure that every parent on its way has a link and work of its own; the links of all that are named."""
    coming, named = _parents(context, planned, only_coming=True), _parents(context, planned, only_coming=False)
    if not named:
        return {}
    lane, now = min(case.item.lane for case, _ in planned), context.clock.now()
    async with context.change() as db:
        await references.call(db, context.name, coming, now)
        found = await references.parents(db, context.name, named)
        called = {found[parent] for parent, _ in coming if parent in found}
        await work.ensure(db, context.name, sorted(called), lane, now)
    return found


async def call_children(context: Context, planned: Sequence[tuple[Case, Plan]]) -> None:
    """Has those looked at whose rows refer to one that is to go: the CRM tells to whom they refer now."""
    first = [case for case, found in planned if found.cause == LEANT_ON and case.item.tries(LEANT_ON) == 0]
    leaning = {link for case in first for link in case.leaning}
    if leaning:
        async with context.change() as db:
            marks = [work.Mark(link, Lane.LIVE) for link in leaning]
            await work.mark(db, context.name, marks, context.clock.now())


def _parents(
    context: Context, planned: Sequence[tuple[Case, Plan]], *, only_coming: bool
) -> Sequence[tuple[Parent, str]]:
    """The parents that plans name, with their objects."""
    mappings = context.rules.bound.mappings
    wanted = {
        parent
        for _, found in planned
        if not (only_coming and lacks(found))
        for parent in found.parents
        if parent.mapping in mappings
    }
    return [(parent, mappings[parent.mapping].object) for parent in sorted(wanted, key=str)]


def lacks(found: Plan) -> bool:
    """True when what keeps a plan from being carried out is a parent that does not come by itself."""
    return found.cause in LACKING
