"""Advice: every code that a record may be stopped by has words for a person."""

from __future__ import annotations

import pytest

from connector.core import advice
from connector.core.convert.causes import Cause
from connector.core.merge import OSCILLATION, REVIEW


@pytest.mark.parametrize("cause", [*Cause, REVIEW, OSCILLATION, "refused", "something new"])
def test_every_held_value_has_advice(cause: str) -> None:
    """Also one that nobody has thought of."""
    assert len(advice.for_held(cause)) > len("correct it")


def test_advice_for_what_nobody_has_thought_of() -> None:
    """Something to do in any case."""
    assert advice.for_held("something new") == "correct the value, or the line's rule"
    assert advice.for_aside("something new") == "adapt the line, or make both sides fit it"
    assert advice.for_waiting("something new") == "comes by itself"
    assert advice.for_block("") is None


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("park: ambiguous", "match keys"),
        ("parked: row_refused:23514:no_refusals", "mend the value"),
        ("park: never heard of", "connector explain"),
        ("wait: parent", "by itself"),
        ("retry: forbidden", "give the right"),
        ("nothing is sent: first_fetch_all", "connector fetch-all"),
        ("nothing is sent: sends_paused", "connector resume --sends"),
        ("held value Segment: unknown_option", "make the option again"),
        ("held value A: B: unknown_user, when it was last tried", "invite the user"),
        ("quarantined Tier: person has no field 'Tier'", "make it again in the CRM"),
        ("quarantined phones: app.contacts has no column 'phone'", "add it again"),
        ("quarantined Score: the field 'Score' was number when it was first seen and is text now", "of the old type"),
        ("excluded: only.send completed_at", "passes the filter"),
        ("frozen: only.receive org_id", "passes the filter"),
        ("the connection is held: account_expired", "pay or renew"),
    ],
)
def test_what_explain_says_comes_with_what_to_do(block: str, words: str) -> None:
    """By the words that `explain` uses."""
    assert words in str(advice.for_block(block))


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("the connection is paused", "go on: connector resume"),
        ("frozen: only.receive org_id", "comes by itself once it passes the filter again"),
    ],
)
def test_advice_in_full(block: str, words: str) -> None:
    """A command to be copied, and nothing to be done."""
    assert advice.for_block(block) == words


@pytest.mark.parametrize(
    "block", ["waits for company 3 (row)", "the brake stops: clear phones in the CRM; see: connector brake show"]
)
def test_some_blocks_say_it_themselves(block: str) -> None:
    """No advice is repeated."""
    assert advice.for_block(block) is None
