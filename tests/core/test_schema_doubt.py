"""Doubt: what a plan says of definitions that may have moved."""

from __future__ import annotations

import pytest

from connector.core.convert.causes import Cause
from connector.core.line import Line
from connector.core.merge import Decision, Reason, Verdict
from connector.core.model import ABSENT, LinkState, Pair
from connector.core.plan import Plan, Step
from connector.core.schema_doubt import doubtful, unexplained
from tests.core.people import mapping

LINES = {
    line.name: line
    for line in mapping(
        "direction: both\nfields:\n  - {column: name, crm: name}\n"
        "  - {column: tier, crm: Tier, values: {gold: Gold, silver: Silver}}\n"
    ).lines
}
TIER, NAME = LINES["Tier"], LINES["name"]
EMPTIED = Pair(None, None, TIER.rule)


def _says(decision: Decision, crm: object) -> bool:
    base = {decision.line.name: Pair("x", crm, decision.line.rule)}  # type: ignore[arg-type]
    return doubtful(Plan(Step.APPLY, "merge", LinkState.LINKED, (decision,)), base)


@pytest.mark.parametrize(
    ("line", "verdict", "crm", "known", "base", "cause", "doubted"),
    [
        (TIER, Verdict.NOTHING, ABSENT, 70, None, None, True),
        (TIER, Verdict.NOTHING, ABSENT, None, None, None, False),
        (NAME, Verdict.NOTHING, ABSENT, "Ada", None, None, False),
        (TIER, Verdict.HELD, 99, 70, None, Cause.UNKNOWN_OPTION, True),
        (TIER, Verdict.HELD, 70, 70, None, Cause.UNMAPPED_VALUE, False),
        (TIER, Verdict.RECEIVE, None, 70, EMPTIED, None, True),
        (TIER, Verdict.SEND, 70, 70, EMPTIED, None, False),
        (NAME, Verdict.RECEIVE, None, "Ada", Pair(None, None, NAME.rule), None, False),
    ],
)
def test_what_speaks_for_definitions_that_moved(  # noqa: PLR0917 (the columns of a table)
    line: Line,
    verdict: Verdict,
    crm: object,
    known: object,
    base: Pair | None,
    cause: str | None,
    doubted: bool,  # noqa: FBT001
) -> None:
    """A filled custom field that is gone, an id without an option, a choice that became none; nothing else does."""
    decision = Decision(line, verdict, Reason.UNCHANGED, "gold", crm, base, cause=cause)  # type: ignore[arg-type]
    assert _says(decision, known) is doubted


@pytest.mark.parametrize(
    ("line", "verdict", "told", "doubted"),
    [
        pytest.param(TIER, Verdict.RECEIVE, (), True, id="nobody told of it"),
        pytest.param(TIER, Verdict.RECEIVE, ("name",), True, id="an event told of another field"),
        pytest.param(TIER, Verdict.RECEIVE, ("name", TIER.fields[0].key), False, id="an event told of it"),
        pytest.param(TIER, Verdict.SEND, (), False, id="the row was emptied"),
        pytest.param(NAME, Verdict.RECEIVE, (), False, id="a text"),
    ],
)
def test_a_choice_that_nobody_is_known_to_have_emptied(
    line: Line,
    verdict: Verdict,
    told: tuple[str, ...],
    doubted: bool,  # noqa: FBT001
) -> None:
    """Its option may be gone, which empties it in every record without an event."""
    emptied = Decision(line, verdict, Reason.CRM_CHANGED, "gold", None, Pair(None, None, line.rule))
    other = Decision(NAME, Verdict.NOTHING, Reason.UNCHANGED, "Ann", "Ann")
    found = Plan(Step.APPLY, "merge", LinkState.LINKED, (other, emptied))
    assert unexplained(found, told) is doubted
