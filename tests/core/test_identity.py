"""Identities, the numbers that another database gave, and which database this is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.identity import Lost, Place, highest, identity_intent, identity_row, identity_text

HERE = Place("7", 5, 100)


@given(st.sampled_from(["people", "a b"]), st.text(min_size=1), st.integers(1, 2**53), st.none() | st.integers(1, 60))
def test_what_is_written_is_read(mapping: str, key: str, number: int, longest: int | None) -> None:
    """Whatever the key is, its row is named or left out, never another; the number is always there."""
    text = identity_text(mapping, key, number, longest)
    assert identity_intent(text) == number
    assert identity_row(text) in ((mapping, key), None)


@pytest.mark.parametrize("text", ["", "x", "#", "people:1#x", "people:1#²", f"people:1#{10**30}", None])
def test_what_a_person_typed_is_no_number(text: str | None) -> None:
    """Nothing that PostgreSQL could not count on from."""
    assert identity_intent(text) is None


def test_identities_of_other_installations_do_not_count() -> None:
    """Neither those of mappings that are not ours, nor empty ones; one without a key may be ours."""
    assert highest(["people:1#5", "deals:1#9", None, ""], {"people"}) == 5
    assert highest(["#7", "people:1#5"], {"people"}) == 7
    assert highest([], {"people"}) == 0


def test_lost_numbers() -> None:
    """Beyond what was given before, up to where the original went on."""
    lost = Lost([(5, 9), (20, None)])
    assert [n for n in range(3, 30) if lost.covers(f"people:1#{n}")] == [6, 7, 8, 9, *range(21, 30)]
    assert not lost.covers(None)


@pytest.mark.parametrize(
    ("before", "same"),
    [
        (Place("7", 5, 100), True),
        (Place("8", 5, 100), False),
        (Place("7", 6, 100), False),
        (Place("7", 5, 101), False),
        (Place(None, 5, 100), True),
        (Place(None, 5, 101), False),
    ],
)
def test_which_database_it_was(before: Place, *, same: bool) -> None:
    """Each of the three tells; a cluster that could not be asked then may be asked now."""
    assert HERE.was(before) is same
    assert HERE.was(Place.parse(str(before))) is same


def test_a_cluster_that_may_no_longer_be_asked() -> None:
    """It was known before: this is another one, such as a managed service."""
    assert not Place(None, 5, 100).was(HERE)
