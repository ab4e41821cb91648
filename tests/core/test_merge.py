"""Laws of `decide`, for any rule, values, base and clocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.agreement import agrees, empty
from connector.core.line import Converter, Line
from connector.core.mapping import Conflict, Direction, Empty
from connector.core.merge import CONFLICTS, Decision, Grounds, Inputs, Reason, Verdict, decide, winner_of
from connector.core.model import ABSENT, Clocks, CrmValue, Json, Pair, Side
from connector.core.schema import FieldType
from tests.core.converters import AT, one, several
from tests.core.people import REFS
from tests.core.situations import CLOCKS, LINES, VALUES

CASES = st.sampled_from(sorted(LINES)).flatmap(
    lambda name: st.tuples(
        st.just(LINES[name]),
        st.sampled_from(VALUES[name].app),
        st.one_of(st.sampled_from(VALUES[name].crm), st.just(ABSENT)),
        st.one_of(
            st.none(),
            st.builds(
                Pair,
                st.sampled_from(VALUES[name].app),
                st.sampled_from(VALUES[name].crm),
                st.sampled_from(["", LINES[name].rule]),
            ),
        ),
    )
)
RULES = st.tuples(
    st.sampled_from([Direction.RECEIVE, Direction.SEND, Direction.BOTH]),
    st.sampled_from(list(Conflict)),
    st.sampled_from(list(Empty)),
)


@st.composite
def decided(draw: st.DrawFn) -> tuple[Line, Inputs, Decision]:
    """A line under some rule, what was observed of it, and the decision: `decide` answers whatever it is given."""
    line, app, crm, base = draw(CASES)
    direction, conflict, kept = draw(RULES)
    line = replace(line, direction=direction, conflict=conflict, empty=kept)
    sendable, receivable = draw(st.booleans()), draw(st.booleans())
    observed = Inputs(app, crm, base, Grounds(draw(CLOCKS), REFS, sendable=sendable, receivable=receivable))
    return line, observed, decide(line, observed)


def _same(line: Line, side: Side, one: Json, other: CrmValue) -> bool:
    same = line.converter.same_app if side is Side.APP else line.converter.same_crm
    return other is not ABSENT and same(one, other)


@given(decided())
def test_a_one_way_line_never_writes_its_source(case: tuple[Line, Inputs, Decision]) -> None:
    """A line that receives never sends, and the other way round, drift and conflicts included."""
    line, _, decision = case
    forbidden = {Direction.RECEIVE: Verdict.SEND, Direction.SEND: Verdict.RECEIVE}.get(line.direction)
    assert decision.verdict is not forbidden


@given(decided())
def test_what_a_filter_keeps_out_is_not_written(case: tuple[Line, Inputs, Decision]) -> None:
    """No send while the row may not be sent, no receipt while the record may not be received."""
    _, observed, decision = case
    assert observed.grounds.sendable or decision.verdict is not Verdict.SEND
    assert observed.grounds.receivable or decision.verdict is not Verdict.RECEIVE


@given(decided())
def test_nothing_is_written_that_is_there_already(case: tuple[Line, Inputs, Decision]) -> None:
    """A write always changes the value on the written side."""
    line, observed, decision = case
    if decision.verdict is Verdict.SEND and decision.base is not None:
        assert not _same(line, Side.CRM, decision.base.crm, observed.crm)
    if decision.verdict is Verdict.RECEIVE and decision.base is not None:
        assert not _same(line, Side.APP, decision.base.app, observed.app)


@given(decided())
def test_a_write_knows_its_base_and_the_rest_does_not_invent_one(case: tuple[Line, Inputs, Decision]) -> None:
    """Sends, receipts and agreements say what the base will be; everything else keeps the old one."""
    _, _, decision = case
    moving = decision.verdict in (Verdict.SEND, Verdict.RECEIVE, Verdict.AGREE)
    assert (decision.base is not None) is moving


@given(decided())
def test_a_conflict_names_its_loser(case: tuple[Line, Inputs, Decision]) -> None:
    """Whose value gave way is known for every conflict that was settled, and it is the side that is written."""
    _, _, decision = case
    if decision.reason in CONFLICTS and decision.verdict in (Verdict.SEND, Verdict.RECEIVE):
        assert decision.loser is (Side.CRM if decision.verdict is Verdict.SEND else Side.APP)


@given(decided())
def test_an_empty_side_at_first_sight_never_overwrites(case: tuple[Line, Inputs, Decision]) -> None:
    """Without a base nothing filled is cleared."""
    line, observed, decision = case
    if observed.base is None or observed.base.rule != line.rule:
        assert not decision.clears
        assert not decision.overwrites or not (empty(observed.app) or empty(observed.crm))


@given(decided())
def test_agreement_ends_the_matter(case: tuple[Line, Inputs, Decision]) -> None:
    """Equal under the rule: nothing is written, whoever changed it and whenever."""
    line, observed, decision = case
    if agrees(line, observed.app, observed.crm, REFS):
        assert decision.verdict in (Verdict.AGREE, Verdict.NOTHING)


@given(decided())
def test_review_never_writes_over_either_side(case: tuple[Line, Inputs, Decision]) -> None:
    """Both changed and a person is to decide: the value is held."""
    line, _, decision = case
    if line.conflict is Conflict.REVIEW:
        assert decision.reason not in CONFLICTS
    assert (decision.reason is Reason.CONFLICT_REVIEW) <= (decision.verdict is Verdict.HELD)


@given(decided())
def test_what_is_held_or_waits_says_why(case: tuple[Line, Inputs, Decision]) -> None:
    """A cause for every value that could not move, a parent for every wait."""
    _, _, decision = case
    if decision.verdict in (Verdict.HELD, Verdict.WAIT):
        assert decision.cause
    assert (decision.verdict is Verdict.WAIT) <= (decision.parent is not None)


@given(CLOCKS, st.booleans())
def test_the_later_side_wins_and_ties_are_the_crms(clocks: Clocks, first_sight: bool) -> None:  # noqa: FBT001 (hypothesis)
    """The winner is never earlier than the loser by more than the band; moving the app later never makes it lose."""
    line = LINES["name"]
    winner, reason = winner_of(line, clocks, first_sight=first_sight)
    app = clocks.app_record if first_sight else clocks.app.get("name") or clocks.app_record
    crm = clocks.crm_record if first_sight else clocks.crm.get("name") or clocks.crm_record
    if app is None or crm is None:
        assert (reason, winner) == (Reason.CONFLICT_NO_CLOCK, Side.CRM if app is None else Side.APP)
        return
    ahead = (app - crm).total_seconds()
    assert winner is (Side.APP if ahead > clocks.band else Side.CRM)
    assert reason is (Reason.CONFLICT_TIE if abs(ahead) <= clocks.band else Reason.CONFLICT_LATER)


MONEY = several({"arr": "numeric(10,2)", "cur": "text"}, {"m": FieldType.MONEY})
NOTHING_SAID = [
    (MONEY, [None, "EUR"], {"value": 5, "currency": "USD"}),
    (
        several({"on": "date", "at": "time"}, {"d": FieldType.DATE, "t": FieldType.TIME}),
        [None, "09:00:00"],
        "2026-11-02",
    ),
    (one("jsonb", FieldType.ADDRESS), "{}", {"value": "Main St 1"}),
    (one("text[]", FieldType.SET), "[null]", ["31"]),
    (one("text", FieldType.EMAILS), "  ", "ada@x.test"),
]


@pytest.mark.parametrize(("converter", "app", "crm"), NOTHING_SAID)
@pytest.mark.parametrize("conflict", [Conflict.APP, Conflict.CRM])
def test_a_row_that_says_nothing_never_wipes_the_crm(
    converter: Converter, app: Json, crm: Json, conflict: Conflict
) -> None:
    """At first sight: a currency, a time or an empty document that a default put there is no value to win a conflict with."""
    line = Line("f", AT, Direction.BOTH, (), (), converter, "rule", conflict)
    assert decide(line, Inputs(app, crm, None, Grounds(Clocks(), REFS))).verdict is Verdict.RECEIVE
    sent = decide(replace(line, direction=Direction.SEND), Inputs(app, crm, None, Grounds(Clocks(), REFS)))
    assert sent.reason is Reason.FIRST_SIGHT_KEPT


def test_blanks_for_an_address_say_nothing() -> None:
    """`empty: keep`: an e-mail column of blanks clears nothing; with `clear` it does."""
    line = Line("f", AT, Direction.BOTH, (), (), one("text", FieldType.EMAILS), "rule", Conflict.APP)
    edited = Inputs("  ", "ada@x.test", Pair("ada@x.test", "ada@x.test", "rule"), Grounds(Clocks(), REFS))
    assert decide(line, edited).reason is Reason.EMPTY_IGNORED
    assert decide(replace(line, empty=Empty.CLEAR), edited).clears


def test_the_currency_of_a_new_deal_is_its_rows() -> None:
    """A row with a currency and no amount says so to a record that has neither, or the CRM's default would come back."""
    line = Line("f", AT, Direction.BOTH, (), (), MONEY, "rule", Conflict.APP)
    assert decide(line, Inputs([None, "PLN"], None, None, Grounds(Clocks(), REFS))).verdict is Verdict.SEND
