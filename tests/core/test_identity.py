"""Identities, the numbers that another database gave, and which database this is."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.core.identity import Lost, Place, Signature

HERE = Place("7", 5, 100)
OURS, THEIRS = Signature.of("acme", HERE, b""), Signature.of("acme", Place("8", 5, 100), b"")


@example("a:b%3A", "5:6#7.8", 9, None)
@given(
    st.sampled_from(["people", "a b", "a:b%3A"]),
    st.text(min_size=1),
    st.integers(1, 2**53),
    st.none() | st.integers(1, 60),
)
def test_what_is_written_is_read(mapping: str, key: str, number: int, longest: int | None) -> None:
    """Whatever the key is, its row is named where there is room for it; the number is always there."""
    text, full = OURS.text(mapping, key, number, longest), OURS.text(mapping, key, number, None)
    assert OURS.intent(text) == number
    assert OURS.row(text) == ((mapping, key) if longest is None or len(full) <= longest else None)
    assert (THEIRS.intent(text), THEIRS.row(text)) == (None, None)


def test_a_field_with_little_room() -> None:
    """A name of the row that just fits is written whole; else it is left out, never cut."""
    full = OURS.text("people", "17", 5, None)
    assert full.startswith("people:17#5.")
    assert OURS.text("people", "17", 5, len(full)) == full
    assert OURS.text("people", "17", 5, len(full) - 1) == full.removeprefix("people:17")


@pytest.mark.parametrize(
    "text", ["", "x", "#", "people:1#5", "people:1#x", "people:1#².{}", f"people:1#{10**30}.{{}}", "#.{}", None]
)
def test_what_a_person_typed_is_no_number(text: str | None) -> None:
    """Nothing that PostgreSQL could not count on from."""
    typed = text.format(OURS.tag) if text else text
    assert (OURS.intent(typed), OURS.row(typed)) == (None, None)


def test_identities_of_other_installations_do_not_count() -> None:
    """However high their numbers are, and whatever their mappings are called; nor do empty ones."""
    ours, theirs = (signature.text("people", "1", number, None) for signature, number in ((OURS, 5), (THEIRS, 9)))
    assert OURS.highest([ours, theirs, OURS.text("deals", "1", 7, 12), None, ""]) == 7
    assert OURS.highest([theirs]) == 0


def test_lost_numbers() -> None:
    """Beyond what was given before, up to where the original went on."""
    lost = Lost([(5, 9), (20, None)])
    assert [n for n in range(3, 30) if lost.covers(n)] == [6, 7, 8, 9, *range(21, 30)]
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


def test_who_signs_alike() -> None:
    """A schema made anew in the same database; not another database, nor one whose cluster nobody may ask."""
    assert Signature.of("acme", Place("7", 5, 200), b"x") == OURS
    assert len({OURS, THEIRS, *(Signature.of("acme", Place(None, 5, 100), salt) for salt in (b"x", b"y"))}) == 4
