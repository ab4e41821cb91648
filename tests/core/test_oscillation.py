"""When writes are an oscillation: decided from the last writes of one line and the one that is planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.merge import Decision, Reason, Verdict
from connector.core.model import Pair, Sent, Side, Write
from connector.core.oscillation import TIMES, Past, calmed, oscillates, suspects
from tests.core.people import Couple, mapping

MAPPING = mapping("direction: both\nfields:\n  - {column: name, crm: name}\n")
(NAME,) = MAPPING.lines
SEND, RECEIVE = Verdict.SEND, Verdict.RECEIVE
CHANGED, UNDONE = Reason.CRM_CHANGED, Reason.DRIFT_UNDONE


def _past(told: str) -> list[Past]:
    """`crm a b` says: b was written in the place of a, in the CRM; a third word says that it undid drift."""
    words = [each.split() for each in told.split(", ") if each]
    return [Past(Side(side), old, new, bool(drift)) for side, old, new, *drift in words]


def _planned(verdict: Verdict, old: str, new: str, reason: Reason = CHANGED) -> Decision:
    app, crm = (new, old) if verdict is SEND else (old, new)
    return Decision(NAME, verdict, reason, app, crm, Pair(new, new, NAME.rule))


PING_PONG = ", ".join(["crm a A, app A a"] * 4)
PONG_PING = ", ".join(["app a A, crm A a"] * 4)
DRIFT = ", ".join(["crm a A drift"] * 7)
DRIFT_OF_THE_ROW = DRIFT.replace("crm", "app")


@pytest.mark.parametrize(
    ("past", "planned", "stopped"),
    [
        (PING_PONG, _planned(SEND, "a", "A"), True),
        (PING_PONG.removeprefix("crm a A, "), _planned(SEND, "a", "A"), False),
        (", ".join(["crm a A, crm A a"] * 6), _planned(SEND, "a", "A"), False),
        (", ".join(["app a A, app A a"] * 6), _planned(RECEIVE, "a", "A"), False),
        (PING_PONG, _planned(SEND, "a", "new"), False),
        (PING_PONG + ", crm a new", _planned(RECEIVE, "A", "a"), False),
        (", ".join(f"crm {n} {n + 1}, app {n + 1} {n + 2}" for n in range(0, 40, 2)), _planned(SEND, "40", "41"), False),
        (DRIFT, _planned(SEND, "a", "A", UNDONE), True),
        (DRIFT.removeprefix("crm a A drift, "), _planned(SEND, "a", "A", UNDONE), False),
        (DRIFT, _planned(SEND, "b", "A", UNDONE), False),
        (PONG_PING, _planned(RECEIVE, "a", "A"), True),
        (PONG_PING, _planned(RECEIVE, "a", "new"), False),
        (DRIFT_OF_THE_ROW, _planned(RECEIVE, "a", "A", UNDONE), True),
        (DRIFT_OF_THE_ROW, _planned(RECEIVE, "b", "A", UNDONE), False),
        (DRIFT_OF_THE_ROW, _planned(RECEIVE, "a", "A"), False),
        ("", _planned(SEND, "a", "A"), False),
    ],
    ids=[
        "two automations",
        "six returns are not there yet",
        "a person of the app to and fro",
        "a person of the CRM to and fro",
        "a new value",
        "a new value in between",
        "a counter goes up",
        "an automation against drift undone",
        "not there yet",
        "another drift",
        "two automations, and the row is the next",
        "a new value for the row",
        "an automation of the app against drift undone",
        "another drift of the row",
        "no drift of the row",
        "nothing was written",
    ],
)  # fmt: skip
def test_what_is_an_oscillation(past: str, planned: Decision, stopped: bool) -> None:  # noqa: FBT001
    """Six writes that each put a value back which their side had, alternately, and one more. Fails with another rule."""
    assert oscillates(planned, _past(past)) is stopped


@pytest.mark.parametrize(("side", "stopped"), [("crm", False), ("app", True)])
def test_a_value_comes_back_by_what_it_means_on_its_side(side: str, stopped: bool) -> None:  # noqa: FBT001
    """The app's e-mail addresses of users are the same in either case; the CRM's ids are not."""
    (owner,) = mapping("direction: both\nfields:\n  - {column: owner, crm: owner_id, as: user_email}\n").lines
    other = {"crm": "app", "app": "crm"}[side]
    planned = _planned(SEND if side == "crm" else RECEIVE, "a", "X")
    past = _past(", ".join([f"{side} a x, {other} x a"] * 4))
    assert oscillates(replace(planned, line=owner), past) is stopped


@given(st.lists(st.sampled_from(_past("crm a A, crm A a, app A a, app a A")), max_size=12), st.sampled_from("aA"))
def test_who_edits_one_side_only_never_trips_it(past: Sequence[Past], value: str) -> None:
    """Whatever was written before: it takes as many writes on the other side as on the one."""
    stopped = oscillates(_planned(SEND, value.swapcase(), value), past)
    recent = past[-TIMES:]
    assert not stopped or ({each.side for each in recent} == set(Side) and len(recent) == TIMES)


def test_only_what_comes_back_is_looked_up() -> None:
    """The value that our last write replaced is there again, or drift is undone; nothing else asks the journal."""
    couple = Couple(MAPPING, {"name": "A"}, {"name": "a"})
    link = replace(couple.link, sent=[Write(0.0, {"name": Sent("a", "A")})])
    assert suspects(link, [_planned(RECEIVE, "A", "a")])
    assert suspects(couple.link, [_planned(SEND, "a", "A", UNDONE)])
    assert not suspects(link, [_planned(RECEIVE, "A", "b")])
    assert not suspects(couple.link, [_planned(RECEIVE, "A", "a"), _planned(SEND, "a", "A")])


def test_it_is_held_until_a_person_lets_it_go_on() -> None:
    """What is held stays so although nobody looks at the past any more; what both sides agree on is not held."""
    known = {"name": "oscillation"}
    assert calmed(_planned(SEND, "a", "A"), (), known).cause == "oscillation"
    assert calmed(_planned(SEND, "a", "A"), (), {}).verdict is SEND
    agreed = Decision(NAME, Verdict.AGREE, Reason.EQUAL, "A", "A", Pair("A", "A", NAME.rule))
    assert calmed(agreed, ("name",), known) is agreed
