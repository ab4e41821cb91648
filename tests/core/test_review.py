"""Conflicts that a person settles, those that our own write had settled before, and what is on record of the open ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.core.line import Line
from connector.core.mapping import Conflict, Direction, Empty
from connector.core.merge import Decision, Inputs, Reason, Verdict, decide
from connector.core.model import ABSENT, Clocks, CrmValue, Json, OpenConflict, Pair, Side
from connector.core.review import after_the_fact, open_conflicts, reviewed
from tests.core.people import NOW
from tests.core.test_merge_decisions import NAME, agreed, given_of

MINUTE = timedelta(minutes=1)
LATER = NOW + MINUTE
ASKED = replace(NAME, conflict=Conflict.REVIEW)


def late(line: Line, row: str = "Bea", clocks: Clocks | None = None, put_away: Json = "Zoe") -> Decision:
    """We wrote Bea over Ann; then the echo tells that Zoe had been entered meanwhile."""
    seen = given_of(row, "Bea", agreed("Bea", "Bea"), clocks=clocks or Clocks())
    return after_the_fact(line, replace(seen, crm=put_away), decide(line, seen))


@pytest.mark.parametrize(
    ("conflict", "reason"),
    [(Conflict.LAST_UPDATED, Reason.CONFLICT_LATER), (Conflict.CRM, Reason.CONFLICT_RULE)],
)
def test_a_conflict_that_the_crm_should_have_won(conflict: Conflict, reason: Reason) -> None:
    """What was put away comes into the row; it is sent from there, as an edit against the base."""
    line = replace(NAME, conflict=conflict)
    base = agreed("Zoe", "Zoe")
    assert late(line) == Decision(line, Verdict.RECEIVE, reason, "Bea", "Zoe", base, Side.APP, returns=True)


@pytest.mark.parametrize(
    ("direction", "conflict"),
    [(Direction.BOTH, Conflict.APP), (Direction.SEND, Conflict.LAST_UPDATED)],
)
def test_a_conflict_that_the_app_won_rightly(direction: Direction, conflict: Conflict) -> None:
    """Nothing is written; the journal gets the loser, so that a person can restore it."""
    line = replace(NAME, direction=direction, conflict=conflict)
    base = agreed("Bea", "Bea")
    kept = Decision(line, Verdict.AGREE, Reason.CONFLICT_RULE, "Bea", "Zoe", base, Side.CRM, overwritten=True)
    assert late(line) == kept


def test_a_conflict_that_a_person_should_have_settled() -> None:
    """It is asked now: both values are shown, and that one of them is not in the CRM any more."""
    reason = Reason.CONFLICT_REVIEW
    expected = Decision(ASKED, Verdict.HELD, reason, "Bea", "Zoe", cause="review", overwritten=True)
    assert late(ASKED) == expected


def test_an_empty_text_after_the_fact() -> None:
    """`empty: keep` ignores it there too; `clear` lets it clear the row."""
    line = replace(NAME, conflict=Conflict.CRM)
    ignored = Decision(line, Verdict.NOTHING, Reason.EMPTY_IGNORED, "Bea", "", returns=True)
    assert late(line, put_away="") == ignored
    assert late(replace(line, empty=Empty.CLEAR), put_away="").clears


def test_a_row_that_was_edited_since() -> None:
    """Its edit goes on its way where the app wins, and by the line's clocks if the later one does."""
    for line in (replace(NAME, conflict=Conflict.APP), replace(NAME, direction=Direction.SEND)):
        sent = late(line, "Cleo")
        assert (sent.verdict, sent.reason, sent.base) == (Verdict.SEND, Reason.APP_CHANGED, agreed("Cleo", "Cleo"))
    timed = replace(NAME, conflict=Conflict.LAST_UPDATED)
    app_later = Clocks({"name": LATER}, {"name": NOW}, app_record=NOW, crm_record=LATER)
    assert late(timed, "Cleo", app_later).reason is Reason.APP_CHANGED
    crm_later = Clocks({"name": NOW}, {"name": LATER}, app_record=LATER, crm_record=NOW)
    back = late(timed, "Cleo", crm_later)
    assert (back.verdict, back.reason, back.loser, back.returns) == (
        Verdict.RECEIVE, Reason.CONFLICT_LATER, Side.APP, True,
    )  # fmt: skip


def test_a_value_of_the_crm_that_is_newer_than_what_was_put_away() -> None:
    """What is decided about that one stands."""
    seen = given_of("Bea", "Mary", agreed("Bea", "Bea"))
    found = decide(NAME, seen)
    assert after_the_fact(NAME, replace(seen, crm="Zoe"), found) is found
    assert found.reason is Reason.CRM_CHANGED


BASE = agreed("Ada", "Ada")
OPEN = OpenConflict("Grace", "Edith", NOW)


def asked_again(before: OpenConflict, seen: Inputs, line: Line = ASKED) -> Decision:
    """The decision about a line with an open conflict."""
    return reviewed(line, seen, decide(line, seen), before)


def held(app: Json, crm: CrmValue, *, overwritten: bool = False) -> Decision:
    """A person is asked about these two."""
    reason = Reason.CONFLICT_REVIEW
    return Decision(ASKED, Verdict.HELD, reason, app, crm, cause="review", overwritten=overwritten)


@pytest.mark.parametrize(
    ("before", "seen", "expected"),
    [
        pytest.param(OPEN, given_of("Grace", "Edith", BASE), held("Grace", "Edith"), id="nobody has chosen"),
        pytest.param(OPEN, given_of("Grace", "Mary", BASE), held("Grace", "Mary"), id="the CRM says something else"),
        pytest.param(OPEN, given_of("Grace", ABSENT, BASE), held("Grace", "Edith"), id="the CRM does not show it"),
        pytest.param(OPEN, given_of("Ada", "Edith", BASE), held("Ada", "Edith"), id="the app took its edit back"),
        pytest.param(
            replace(OPEN, keep=Side.APP),
            given_of("Mary", "Edith", BASE),
            held("Mary", "Edith"),
            id="chosen, but the row holds another value by now",
        ),
        pytest.param(
            replace(OPEN, keep=Side.APP),
            given_of("Grace", "Mary", BASE),
            held("Grace", "Mary"),
            id="chosen, but the CRM holds another value by now",
        ),
        pytest.param(
            replace(OPEN, keep=Side.CRM),
            given_of("Grace", "Edith", BASE, receivable=False),
            held("Grace", "Edith"),
            id="chosen, but it may not be written",
        ),
        pytest.param(
            replace(OPEN, overwritten=True),
            given_of("Grace", "Grace", agreed("Grace", "Grace")),
            held("Grace", "Edith", overwritten=True),
            id="what we wrote stands",
        ),
        pytest.param(
            replace(OPEN, overwritten=True),
            given_of("Grace", ABSENT, agreed("Grace", "Grace")),
            held("Grace", "Edith", overwritten=True),
            id="what we wrote is not shown",
        ),
        pytest.param(
            replace(OPEN, overwritten=True),
            given_of("Grace", "Mary", agreed("Grace", "Grace")),
            held("Grace", "Mary"),
            id="the CRM has a newer value than what we put away",
        ),
        pytest.param(
            replace(OPEN, overwritten=True),
            given_of("Grace", "Mary"),
            held("Grace", "Mary"),
            id="nothing is agreed on any more",
        ),
    ],
)
def test_an_open_conflict_stays_open(before: OpenConflict, seen: Inputs, expected: Decision) -> None:
    """Until a person settles it: what either side says by now is shown, and who chose among other values has not chosen."""
    assert asked_again(before, seen) == expected


def settled(verdict: Verdict, app: str, crm: str, loser: Side, base: Pair, **more: Any) -> Decision:
    """A person has chosen."""
    return Decision(ASKED, verdict, Reason.CONFLICT_RESOLVED, app, crm, base, loser, **more)


GRACE, EDITH = agreed("Grace", "Grace"), agreed("Edith", "Edith")


@pytest.mark.parametrize(
    ("before", "seen", "expected"),
    [
        pytest.param(
            replace(OPEN, keep=Side.APP),
            given_of("Grace", "Edith", BASE),
            settled(Verdict.SEND, "Grace", "Edith", Side.CRM, GRACE),
            id="the app's value",
        ),
        pytest.param(
            replace(OPEN, app="Ada", keep=Side.APP),
            given_of("Ada", "Edith", BASE),
            settled(Verdict.SEND, "Ada", "Edith", Side.CRM, BASE),
            id="the app's value, which is the one that was agreed on",
        ),
        pytest.param(
            replace(OPEN, keep=Side.CRM),
            given_of("Grace", "Edith", BASE),
            settled(Verdict.RECEIVE, "Grace", "Edith", Side.APP, EDITH),
            id="the CRM's value",
        ),
        pytest.param(
            replace(OPEN, keep=Side.CRM, overwritten=True),
            given_of("Grace", "Grace", GRACE),
            settled(Verdict.RECEIVE, "Grace", "Edith", Side.APP, EDITH, returns=True),
            id="the CRM's value, which we put away: it goes back there by way of the row",
        ),
        pytest.param(
            replace(OPEN, keep=Side.APP, overwritten=True),
            given_of("Grace", "Grace", GRACE),
            settled(Verdict.AGREE, "Grace", "Edith", Side.CRM, GRACE, overwritten=True),
            id="the app's value, which we wrote already",
        ),
        pytest.param(
            replace(OPEN, app="Mary", keep=Side.APP, overwritten=True),
            given_of("Mary", "Grace", GRACE),
            settled(Verdict.SEND, "Mary", "Grace", Side.CRM, agreed("Mary", "Mary")),
            id="the app's value, which is newer than what we wrote",
        ),
    ],
)
def test_what_a_person_chose(before: OpenConflict, seen: Inputs, expected: Decision) -> None:
    """It is done for exactly the values that were shown."""
    assert asked_again(before, seen) == expected


@pytest.mark.parametrize(
    ("line", "before", "seen", "reason"),
    [
        (replace(NAME, conflict=Conflict.APP), OPEN, given_of("Grace", "Edith", BASE), Reason.CONFLICT_RULE),
        (replace(ASKED, direction=Direction.SEND), OPEN, given_of("Grace", "Edith", BASE), Reason.APP_CHANGED),
        (ASKED, OPEN, given_of("Edith", "Edith", BASE), Reason.EQUAL),
        (ASKED, OPEN, given_of("Ada", "Ada", BASE), Reason.UNCHANGED),
        (ASKED, OPEN, given_of("Grace", "Edith", agreed("Grace", "Edith")), Reason.UNCHANGED),
        (ASKED, replace(OPEN, overwritten=True), given_of("Edith", "Grace", GRACE), Reason.APP_CHANGED),
    ],
    ids=[
        "another rule",
        "one way",
        "made equal",
        "both took it back",
        "the difference was accepted",
        "the row says what we put away",
    ],
)
def test_a_conflict_that_is_over(line: Line, before: OpenConflict, seen: Inputs, reason: Reason) -> None:
    """The line goes on as if it had never been."""
    assert asked_again(before, seen, line).reason is reason


def opened(d: Decision, before: OpenConflict | None = None, clocks: Clocks | None = None) -> OpenConflict | None:
    """What is on record of the line once the decision has been carried out, a minute after NOW."""
    known = {} if before is None else {"name": before}
    return open_conflicts(known, [d], clocks or Clocks(), LATER).get("name")


def test_a_conflict_is_put_on_record() -> None:
    """With both values, and when each was entered: by the line's own clocks, else by the record's."""
    d = held("Grace", "Edith")
    assert opened(d) == OpenConflict("Grace", "Edith", LATER)
    assert opened(held("Grace", ABSENT, overwritten=True)) == OpenConflict("Grace", None, LATER, overwritten=True)
    records = Clocks(app_record=NOW - MINUTE, crm_record=NOW)
    assert opened(d, clocks=records) == OpenConflict("Grace", "Edith", LATER, NOW - MINUTE, NOW)
    own = replace(records, app={"name": NOW - 3 * MINUTE, "x": NOW}, crm={"name": NOW - 2 * MINUTE, "x": NOW})
    assert opened(d, clocks=own) == OpenConflict("Grace", "Edith", LATER, NOW - 3 * MINUTE, NOW - 2 * MINUTE)


CHOSEN = OpenConflict("Grace", "Edith", NOW, NOW - 3 * MINUTE, NOW - 2 * MINUTE, keep=Side.APP)


def test_a_conflict_stays_on_record() -> None:
    """As it is while both values are the same; with another value, nobody has chosen, and only its time is another."""
    clocks = Clocks(app={"name": NOW}, app_record=LATER, crm_record=LATER)
    assert opened(held("Grace", "Edith"), CHOSEN, clocks) is CHOSEN
    moved = replace(CHOSEN, app="Mary", app_at=NOW, keep=None)
    assert opened(held("Mary", "Edith"), CHOSEN, clocks) == moved
    theirs = replace(CHOSEN, crm="Mary", crm_at=NOW, keep=None)
    assert opened(held("Grace", "Mary"), CHOSEN, Clocks(crm={"name": NOW}, app_record=LATER)) == theirs
    put_away = replace(CHOSEN, overwritten=True, keep=None)
    assert opened(held("Grace", "Edith", overwritten=True), CHOSEN) == put_away


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_conflict_is_closed(verdict: Verdict) -> None:
    """Once something else was decided and done; a send, or a wait to send, is not done yet. Other lines open none."""
    d = Decision(ASKED, verdict, Reason.CONFLICT_RESOLVED, "Grace", "Edith")
    stays = verdict in (Verdict.SEND, Verdict.WAIT)
    assert opened(d, CHOSEN) == (CHOSEN if stays else None)
    assert opened(d) is None
