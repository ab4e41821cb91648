"""The brake's limits: a count and a share, both of which must be passed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.brake import exceeded, said
from connector.core.mapping import BrakeSpec
from connector.core.plan import Effect

SPEC = BrakeSpec(records=200, percent=5)
DESTRUCTIVE = [Effect.DELETE, Effect.CLEAR, Effect.OVERWRITE]


def most(effect: Effect, links: int, spec: BrakeSpec = SPEC) -> int:
    """The largest number of records in an hour that does not trip it."""
    return next(records for records in range(links + 1000) if exceeded(spec, effect, records + 1, links))


@pytest.mark.parametrize(
    ("links", "limit"),
    [
        pytest.param(0, 200, id="an empty mapping is filled up to the count"),
        pytest.param(4000, 200, id="the count and the share are the same"),
        pytest.param(4100, 205, id="a large mapping may grow by its share"),
    ],
)
def test_creates(links: int, limit: int) -> None:
    """What is allowed is the larger of the count and the share."""
    assert most(Effect.CREATE, links) == limit


@pytest.mark.parametrize("effect", DESTRUCTIVE)
@pytest.mark.parametrize(
    ("links", "limit"),
    [
        pytest.param(0, 10, id="ten are always few"),
        pytest.param(40, 10, id="a quarter of forty"),
        pytest.param(47, 11, id="a quarter, rounded down"),
        pytest.param(400, 100, id="a quarter of a small mapping"),
        pytest.param(2000, 200, id="the count"),
        pytest.param(10_000, 500, id="the share of a large mapping"),
    ],
)
def test_deletes_clears_and_overwrites(effect: Effect, links: int, limit: int) -> None:
    """A small mapping is protected by a quarter of itself, a large one by count and share."""
    assert most(effect, links) == limit


def test_an_admins_own_limits() -> None:
    """`brake: {records, percent}` are both heeded; a count below ten beats the ten that are always few."""
    assert most(Effect.DELETE, 100, BrakeSpec(records=3, percent=1)) == 3
    assert most(Effect.DELETE, 100, BrakeSpec(records=3, percent=20)) == 20
    assert most(Effect.CREATE, 100, BrakeSpec(records=3, percent=20)) == 20


@given(st.sampled_from(list(Effect)), st.integers(0, 5000), st.integers(0, 100_000))
def test_more_is_never_less_dangerous(effect: Effect, records: int, links: int) -> None:
    """What trips the brake trips it with one more record, and in a smaller mapping."""
    if exceeded(SPEC, effect, records, links):
        assert exceeded(SPEC, effect, records + 1, links)
        assert exceeded(SPEC, effect, records, links // 2)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("crm_delete", "delete in the CRM"),
        ("app_clear Main contact_x", "clear Main contact_x in the app"),
        ("erp_create", "create in erp"),
    ],
)
def test_what_is_stopped_in_words(word: str, sentence: str) -> None:
    """A line's name may hold blanks and underscores; a side that has no name for people is called as it is."""
    assert said(word) == sentence
