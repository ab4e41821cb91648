"""Single decisions in full: what is agreed on, who loses, what is counted; lines that return."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from connector.core.line import RETURNED, Line, Refs
from connector.core.mapping import Conflict, Direction, Empty
from connector.core.merge import (
    Decision,
    Grounds,
    Inputs,
    Parent,
    Reason,
    Verdict,
    decide,
    is_conflict,
    winner_of,
)
from connector.core.model import ABSENT, AppKey, Clocks, CrmId, CrmValue, Json, Pair, Side
from connector.core.schema import FieldType
from tests.core.converters import AT, one
from tests.core.people import NOW, REFS
from tests.core.situations import LINES
from tests.core.test_merge import decided

NAME = LINES["name"]
ORG = LINES["org_id"]
SECOND = timedelta(seconds=1)
EARLIER = NOW - 60 * SECOND


def agreed(app: Json, crm: Json, line: Line = NAME) -> Pair:
    """A base under the line's rule."""
    return Pair(app, crm, line.rule)


def given_of(app: Json, crm: CrmValue, base: Pair | None = None, **grounds: Any) -> Inputs:
    """What was observed of a line."""
    return Inputs(app, crm, base, Grounds(**{"clocks": Clocks(), "refs": REFS, **grounds}))


@given(decided())
def test_a_decision_shows_what_was_found(case: tuple[Line, Inputs, Decision]) -> None:
    """`explain` and the journal say what either side held, whatever was decided."""
    line, observed, decision = case
    assert (decision.line, decision.app, decision.crm) == (line, observed.app, observed.crm)


@given(decided())
def test_an_agreement_is_of_this_rule(case: tuple[Line, Inputs, Decision]) -> None:
    """A base that is written under another rule would be first sight for ever."""
    line, _, decision = case
    assert decision.base is None or decision.base.rule == line.rule


@pytest.mark.parametrize(
    ("direction", "observed", "expected"),
    [
        pytest.param(
            Direction.SEND,
            given_of("Ann", "Zoe", agreed("Ann", "Ann")),
            Decision(NAME, Verdict.SEND, Reason.DRIFT_UNDONE, "Ann", "Zoe", agreed("Ann", "Ann"), Side.CRM),
            id="drift in the CRM",
        ),
        pytest.param(
            Direction.RECEIVE,
            given_of("Zoe", "Ann", agreed("Ann", "Ann")),
            Decision(NAME, Verdict.RECEIVE, Reason.DRIFT_UNDONE, "Zoe", "Ann", agreed("Ann", "Ann"), Side.APP),
            id="drift in the app",
        ),
        pytest.param(
            Direction.BOTH,
            given_of("Bea", "Ann", agreed("Ann", "Ann")),
            Decision(NAME, Verdict.SEND, Reason.APP_CHANGED, "Bea", "Ann", agreed("Bea", "Bea")),
            id="an edit of the app",
        ),
        pytest.param(
            Direction.BOTH,
            given_of("Ann", "Bea", agreed("Ann", "Ann")),
            Decision(NAME, Verdict.RECEIVE, Reason.CRM_CHANGED, "Ann", "Bea", agreed("Bea", "Bea")),
            id="an edit of the CRM",
        ),
        pytest.param(
            Direction.BOTH,
            given_of("Bea", "Zoe", agreed("Ann", "Ann")),
            Decision(NAME, Verdict.RECEIVE, Reason.CONFLICT_NO_CLOCK, "Bea", "Zoe", agreed("Zoe", "Zoe"), Side.APP),
            id="a conflict",
        ),
        pytest.param(
            Direction.SEND,
            given_of("Ann", "Zoe"),
            Decision(
                NAME, Verdict.SEND, Reason.FIRST_SIGHT_SOURCE, "Ann", "Zoe", agreed("Ann", "Ann"), overwrites=True
            ),
            id="first sight of a line that sends",
        ),
        pytest.param(
            Direction.SEND,
            given_of(None, "Zoe"),
            Decision(NAME, Verdict.AGREE, Reason.FIRST_SIGHT_KEPT, None, "Zoe", agreed(None, "Zoe")),
            id="first sight of an empty source",
        ),
        pytest.param(
            Direction.BOTH,
            given_of("Ann", ABSENT, agreed("Bea", "Bea")),
            Decision(NAME, Verdict.SEND, Reason.APP_CHANGED, "Ann", ABSENT, agreed("Ann", "Ann")),
            id="an edit of the app, and a payload without the field",
        ),
        pytest.param(
            Direction.BOTH,
            given_of("Bea", "Zoe", agreed("Ann", "Ann"), lost=True),
            Decision(NAME, Verdict.RECEIVE, Reason.CONFLICT_NO_CLOCK, "Bea", "Zoe", agreed("Zoe", "Zoe"), Side.APP),
            id="a conflict after a restore",
        ),
        pytest.param(
            Direction.SEND,
            given_of("Ann", "Zoe", agreed("Ann", "Ann"), lost=True, clocks=Clocks(app_record=NOW, crm_record=EARLIER)),
            Decision(NAME, Verdict.AGREE, Reason.RESTORED, "Ann", "Zoe", agreed("Ann", "Zoe")),
            id="a row that was edited after a restore, but not in this line",
        ),
    ],
)
def test_decisions(direction: Direction, observed: Inputs, expected: Decision) -> None:
    """Each in full."""
    line = replace(NAME, direction=direction)
    assert decide(line, observed) == replace(expected, line=line)


def test_what_may_not_be_received() -> None:
    """It stays where it is; what has not moved has nothing to do with it."""
    assert decide(NAME, given_of("Ann", "Bea", agreed("Ann", "Ann"), receivable=False)).reason is Reason.NOT_ELIGIBLE
    assert decide(NAME, given_of("Ann", "Ann", agreed("Ann", "Ann"), receivable=False)).reason is Reason.UNCHANGED
    assert decide(NAME, given_of("Bea", "Ann", agreed("Ann", "Ann"), receivable=False)).verdict is Verdict.SEND


def test_an_empty_text_is_no_edit_to_lose_against() -> None:
    """`empty: keep`: the other side's edit goes on as if it were the only one; blanks in a text are a value."""
    assert decide(NAME, given_of("Bea", "", agreed("Ann", "Ann"))).reason is Reason.APP_CHANGED
    assert decide(NAME, given_of("", "Bea", agreed("Ann", "Ann"))).reason is Reason.CRM_CHANGED
    assert decide(NAME, given_of("  ", "Ann", agreed("Ann", "Ann"))).reason is Reason.APP_CHANGED


def test_what_becomes_an_empty_text_says_as_little_as_null() -> None:
    """There is nothing to send to a record that is empty already, nor to a row."""
    for direction in (Direction.SEND, Direction.BOTH):
        line = replace(NAME, direction=direction, empty=Empty.CLEAR)
        assert decide(line, given_of("", None, agreed(None, None))).reason is Reason.EQUAL
    for direction in (Direction.RECEIVE, Direction.BOTH):
        line = replace(NAME, direction=direction, empty=Empty.CLEAR)
        assert decide(line, given_of(None, "", agreed(None, None))).reason is Reason.EQUAL


def test_drift_is_undone_by_what_was_agreed() -> None:
    """The base keeps the spelling that the source has now."""
    line = replace(LINES["Score"], direction=Direction.RECEIVE)
    found = decide(line, given_of("2", "1", agreed("1", 1, line)))
    assert (found.reason, found.base) == (Reason.DRIFT_UNDONE, agreed("1", "1", line))


def test_blanks_for_an_address_are_not_sent() -> None:
    """At first sight of a record without one: the row says nothing, and `explain` shows what it holds."""
    line = Line("f", AT, Direction.BOTH, (), (), one("text", FieldType.EMAILS), "rule", Conflict.APP)
    assert decide(line, given_of("  ", None)) == Decision(line, Verdict.NOTHING, Reason.EMPTY_IGNORED, "  ", None)
    assert decide(line, given_of("  ", "")) == Decision(line, Verdict.NOTHING, Reason.EMPTY_IGNORED, "  ", "")


def test_clearing() -> None:
    """The brake counts a filled value that becomes empty, on the side that is written; nothing else."""
    assert decide(NAME, given_of(None, "Ann", agreed("Ann", "Ann"))).clears
    assert decide(NAME, given_of("Ann", None, agreed("Ann", "Ann"))).clears
    assert not decide(NAME, given_of("Bea", "Ann", agreed("Ann", "Ann"))).clears
    assert not decide(NAME, given_of("Ann", "Bea", agreed("Ann", "Ann"))).clears
    assert not decide(NAME, given_of(None, None, agreed("Ann", "Ann"))).clears


def test_a_conflict_has_a_loser_by_rule() -> None:
    """Drift that is undone has one too, and is none."""
    clash = decide(NAME, given_of("Bea", "Zoe", agreed("Ann", "Ann")))
    drift = decide(replace(NAME, direction=Direction.SEND), given_of("Ann", "Zoe", agreed("Ann", "Ann")))
    assert is_conflict(clash)
    assert not is_conflict(drift)
    assert not is_conflict(replace(clash, loser=None))


def test_clocks() -> None:
    """The latest of a line's columns and of its fields counts, before the record's; the band decides what is a tie."""
    line = replace(NAME, conflict=Conflict.LAST_UPDATED, columns=("a", "b"))
    app = {"a": NOW - SECOND, "b": NOW + 2 * SECOND}
    assert winner_of(line, Clocks(app, {"name": NOW}), first_sight=False) == (Side.APP, Reason.CONFLICT_LATER)
    assert winner_of(line, Clocks(app, {"name": NOW}, band=2), first_sight=False) == (Side.CRM, Reason.CONFLICT_TIE)
    records = Clocks(app, {"name": NOW}, NOW, NOW + 2 * SECOND)
    assert winner_of(line, records, first_sight=True) == (Side.CRM, Reason.CONFLICT_LATER)
    assert winner_of(line, Clocks(app), first_sight=False) == (Side.APP, Reason.CONFLICT_NO_CLOCK)


DEAD = Parent("company", Side.APP, "6")


@pytest.mark.parametrize("required", [False, True])
def test_a_parent_that_died(required: bool) -> None:  # noqa: FBT001
    """The side that still names another is cleared, unless the reference must be there: then the value is held."""
    line = replace(ORG, required=required)
    away = frozenset({DEAD})
    found = decide(line, given_of("6", 12, agreed("5", "12", ORG), unreachable=away, dead=away))
    if required:
        held = Decision(line, Verdict.HELD, Reason.PARENT_GONE, "6", 12, cause="parent_gone", parent=DEAD)
        assert found == held
    else:
        assert found == Decision(line, Verdict.SEND, Reason.PARENT_GONE, "6", 12, agreed(None, None, ORG))


def test_drift_towards_a_parent_that_died() -> None:
    """It is not written back: the side that was edited may name none, and is cleared if it names another."""
    theirs = Parent("company", Side.CRM, "12")
    away = frozenset({theirs})
    line = replace(ORG, direction=Direction.RECEIVE)
    found = decide(line, given_of("6", "12", agreed("5", "12", ORG), unreachable=away, dead=away))
    assert (found.verdict, found.reason, found.base) == (Verdict.RECEIVE, Reason.PARENT_GONE, agreed(None, None, ORG))
    alive = decide(line, given_of("6", "12", agreed("5", "12", ORG)))
    assert (alive.reason, alive.base) == (Reason.DRIFT_UNDONE, agreed("5", "12", ORG))


@pytest.mark.parametrize("direction", [Direction.BOTH, Direction.SEND])
def test_a_parent_that_has_another_record_now(direction: Direction) -> None:
    """What was agreed on speaks of a record that is nobody's any more: the row's new one is sent, once."""
    line = replace(ORG, direction=direction)
    found = decide(line, given_of("5", 11, agreed("5", "11", ORG)))
    assert found == Decision(line, Verdict.SEND, Reason.APP_CHANGED, "5", 11, agreed("5", "12", ORG))
    assert decide(line, given_of("5", ABSENT, agreed("5", "11", ORG))).verdict is Verdict.SEND
    assert decide(line, given_of("5", 12, agreed("5", "11", ORG))).reason is Reason.EQUAL
    assert decide(line, given_of("5", 12, agreed("5", "12", ORG))).reason is Reason.UNCHANGED


def test_a_parent_that_has_another_record_now_gives_way_to_edits() -> None:
    """Whoever edited the reference meanwhile is heard, and nothing is sent where nothing may be or no one is right."""
    assert decide(ORG, given_of("5", None, agreed("5", "11", ORG))).reason is Reason.CRM_CHANGED
    assert decide(ORG, given_of(None, 11, agreed("5", "11", ORG))).base == agreed(None, None, ORG)
    received = replace(ORG, direction=Direction.RECEIVE)
    assert decide(received, given_of("5", 11, agreed("5", "11", ORG))).reason is Reason.UNCHANGED
    both = replace(REFS, by_crm={**REFS.by_crm, ("company", CrmId("11")): AppKey("4")})
    assert decide(ORG, given_of("5", 11, agreed("5", "11", ORG), refs=both)).reason is Reason.UNCHANGED
    assert decide(ORG, given_of("6", 11, agreed("6", "11", ORG))).reason is Reason.PARENT_COMING
    away = frozenset({Parent("company", Side.APP, "6")})
    assert decide(ORG, given_of("6", 11, agreed("6", "11", ORG), unreachable=away)).reason is Reason.UNCHANGED
    merged = Refs(merged={("company", AppKey("6")): CrmId("12")})
    assert decide(ORG, given_of("6", 11, agreed("6", "11", ORG), refs=merged)).reason is Reason.UNCHANGED
    assert decide(ORG, given_of(None, None, agreed(None, None, ORG))).reason is Reason.UNCHANGED


MERGED = Refs(
    {**REFS.by_app, ("company", AppKey("9")): CrmId("30")}, REFS.by_crm, merged={("company", AppKey("9")): CrmId("12")}
)
"""The record of company 9 was merged into that of company 5; its own link may not know yet."""


@pytest.mark.parametrize(
    ("direction", "observed", "expected"),
    [
        pytest.param(
            Direction.BOTH,
            given_of("9", "11", agreed("4", "11", ORG), refs=MERGED),
            Decision(ORG, Verdict.SEND, Reason.APP_CHANGED, "9", "11", agreed("5", "12", ORG)),
            id="the survivor is sent",
        ),
        pytest.param(
            Direction.BOTH,
            given_of("9", "12", agreed("5", "12", ORG), refs=MERGED),
            Decision(ORG, Verdict.RECEIVE, Reason.CRM_CHANGED, "9", "12", agreed("5", "12", ORG)),
            id="the row follows",
        ),
        pytest.param(
            Direction.SEND,
            given_of("9", "11", agreed("4", "11", ORG), refs=MERGED),
            Decision(ORG, Verdict.SEND, Reason.APP_CHANGED, "9", "11", agreed("9", "12", ORG)),
            id="a row that is only sent is not told",
        ),
        pytest.param(
            Direction.BOTH,
            given_of("9", "11", agreed("4", "11", ORG), refs=replace(MERGED, by_crm={})),
            Decision(ORG, Verdict.SEND, Reason.APP_CHANGED, "9", "11", agreed("9", "12", ORG)),
            id="a survivor that has no row yet",
        ),
    ],
)
def test_a_row_that_names_a_merged_one(direction: Direction, observed: Inputs, expected: Decision) -> None:
    """The CRM is told of the survivor; both sides agree on the row that this one has."""
    line = replace(ORG, direction=direction)
    assert replace(decide(line, observed), line=ORG) == expected


def test_a_wait_that_would_end_in_a_send_that_is_not_allowed() -> None:
    """Nobody waits for a parent of a row that may not be sent; a row waits for the parent that it is to receive."""
    sent = given_of("6", None, agreed(None, None, ORG), sendable=False)
    assert decide(ORG, sent).reason is Reason.NOT_ELIGIBLE
    received = given_of(None, 13, agreed(None, None, ORG), sendable=False)
    assert decide(ORG, received).verdict is Verdict.WAIT
    assert (
        decide(replace(ORG, readonly_crm=True), replace(sent, grounds=Grounds(Clocks(), REFS))).verdict
        is Verdict.NOTHING
    )
    assert decide(replace(ORG, readonly_crm=True), received).verdict is Verdict.WAIT


BACK = replace(NAME, rule=f"{NAME.rule}{RETURNED}1")
"""The line after it was set aside once."""


def returned(app: Json, crm: CrmValue, line: Line = BACK, **grounds: Any) -> Decision:
    """The decision about a line that is back; what was agreed before is "Ann" on both sides."""
    return decide(line, given_of(app, crm, agreed("Ann", "Ann"), **grounds))


def test_a_line_that_returns() -> None:
    """What the CRM holds is an edit; what the row holds is one only if it was noticed; what neither says stays as it is."""
    noticed: dict[str, Any] = {"clocks": Clocks(app={"name": NOW})}
    assert returned("Ann", "Zoe").reason is Reason.CRM_CHANGED
    assert returned("Bea", "Ann").reason is Reason.FIRST_SIGHT_KEPT
    assert returned("Bea", "Ann", **noticed).reason is Reason.APP_CHANGED
    assert returned("Bea", "Zoe", **noticed).reason is Reason.FIRST_SIGHT_KEPT
    assert returned("Zoe", "Zoe").reason is Reason.FIRST_SIGHT_EQUAL
    assert returned("Bea", None).reason is Reason.FIRST_SIGHT_FILL
    assert returned(None, "Zoe").reason is Reason.FIRST_SIGHT_FILL
    assert returned("Bea", ABSENT, **noticed).reason is Reason.NOT_IN_PAYLOAD


def test_a_line_that_returns_one_way() -> None:
    """The side that does not own it overwrites nothing."""
    noticed: dict[str, Any] = {"clocks": Clocks(app={"name": NOW})}
    sends, receives = replace(BACK, direction=Direction.SEND), replace(BACK, direction=Direction.RECEIVE)
    assert returned("Ann", "Zoe", sends).reason is Reason.FIRST_SIGHT_KEPT
    assert returned("Bea", "Ann", receives, **noticed).reason is Reason.FIRST_SIGHT_KEPT


def test_a_line_that_returns_as_another() -> None:
    """What was agreed under another rule says nothing about edits; and a line that has not returned is at first sight."""
    noticed: dict[str, Any] = {"clocks": Clocks(app={"name": NOW})}
    other = replace(BACK, rule=f"other{RETURNED}1")
    assert returned("Ann", "Zoe", other).reason is Reason.FIRST_SIGHT_KEPT
    assert returned("Bea", "Ann", other, **noticed).reason is Reason.FIRST_SIGHT_KEPT
    assert returned("Bea", "Ann", replace(NAME, rule="other")).reason is Reason.CONFLICT_NO_CLOCK
    again = decide(BACK, given_of("Bea", "Ann", agreed("Ann", "Ann", BACK)))
    assert again.reason is Reason.APP_CHANGED


def test_a_line_that_returns_to_a_difference_that_was_accepted() -> None:
    """Neither side has been edited since: both stay as they are, however often the row was touched."""
    noticed: dict[str, Any] = {"clocks": Clocks(app={"name": NOW})}
    for direction in (Direction.BOTH, Direction.RECEIVE):
        line = replace(BACK, direction=direction)
        accepted = given_of("Ann", "Zoe", agreed("Ann", "Zoe"), **noticed)
        assert decide(line, accepted) == Decision(
            line, Verdict.AGREE, Reason.FIRST_SIGHT_KEPT, "Ann", "Zoe", agreed("Ann", "Zoe", line)
        )


def test_a_line_that_returns_to_an_option_that_is_gone() -> None:
    """As good as empty, so the row's value is sent, if it may be; one that was chosen meanwhile is held."""
    tier = replace(LINES["Tier"], rule=f"{LINES['Tier'].rule}{RETURNED}1")
    only_receives = replace(tier, direction=Direction.RECEIVE)
    before = agreed("gold", "99", tier)._replace(rule=LINES["Tier"].rule)
    assert decide(tier, given_of("gold", "99", before)).reason is Reason.FIRST_SIGHT_FILL
    assert decide(only_receives, given_of("gold", "99", before)).reason is Reason.UNCONVERTIBLE
    assert decide(tier, given_of("gold", "98", before)).reason is Reason.UNCONVERTIBLE
