"""Planning: plans of observed cases, and what is taken out of them before they are carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connector.core.model import Lane, Record, Side
from connector.core.plan import Effect, Plan, Step, park, plan
from connector.core.refused import REFUSED, refused_before
from connector.core.schema_doubt import unexplained
from connector.engine.brake import released
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.engine.slices import in_slices


async def planned(cases: Sequence[Case]) -> list[tuple[Case, Plan]]:
    """The plans of cases that have a situation."""
    return [(case, plan(case.situation)) async for case in in_slices(cases) if case.situation is not None]


def explained(context: Context, case: Case, found: Plan) -> Plan:
    """Where events tell of edits, an emptied choice of which none does waits for definitions as they are now."""
    noticed, read = case.item.noticed_at, case.rules.metadata.read_at
    fresh = noticed is None or (read is not None and read > noticed)
    if fresh or not context.pushed or not unexplained(found, case.item.crm_changed):
        return found
    return Plan(Step.WAIT, "definitions", case.link.state, cause="definitions")


def swept(case: Case, found: Plan) -> Plan:
    """A sweep does not send again what was refused when both sides stood as they do now; everybody else does.

    What is parked for it stays parked.
    """
    sweeping = case.item.lane is Lane.SWEEP or not case.fresh
    if not sweeping or not case.link.refused or not isinstance(case.crm, Record):
        return found
    rest = refused_before(found, case.link, case.crm)
    cause = case.item.cause or ""
    return replace(park(cause), state=found.state) if rest is not found and cause.startswith(f"{REFUSED}:") else rest


def spared(case: Case, found: Plan, stopped: frozenset[tuple[Side, Effect]]) -> Plan:
    """The plan without the lines that the brake stops.

    As it was where the record as a whole is stopped: what is made, goes, or is about to be paired.
    """
    case.braked = found.words(stopped) - case.item.released
    if not stopped or case.adopted is not None or case.situation is None:
        return found
    case.situation = replace(case.situation, braked=case.braked)
    rest = swept(case, plan(case.situation))
    if case.braked & rest.words(rest.effects):
        return found
    case.let_go = released(case, rest)
    return rest
