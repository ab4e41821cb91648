"""When a value is empty, and when both sides say the same."""

from __future__ import annotations

from dataclasses import replace

from connector.core.agreement import agrees, empty
from connector.core.line import Refs
from connector.core.mapping import Direction
from connector.core.model import ABSENT, AppKey, CrmId, CrmValue
from tests.core.people import REFS
from tests.core.situations import LINES

NAME, ORG = LINES["name"], LINES["org_id"]


def test_agreement() -> None:
    """Equal in the way in which the line converts; a field that is not in the payload agrees with nothing."""
    assert agrees(replace(NAME, direction=Direction.SEND), "Ann", "Ann", REFS)
    assert agrees(replace(NAME, direction=Direction.RECEIVE), "Ann", "Ann", REFS)
    assert not agrees(NAME, "Ann", "Bea", REFS)
    assert not agrees(NAME, None, ABSENT, REFS)


def test_what_is_empty() -> None:
    """Null, blank, nothing in the payload, and collections of these; a zero and a no are values."""
    nothing: list[CrmValue] = [None, ABSENT, "", [], {}, [None, ""], [[], {}]]
    something: list[CrmValue] = [0, False, "x", " ", [0], {"a": None}, [None, "x"]]
    assert all(empty(value) for value in nothing)
    assert not any(empty(value) for value in something)


def test_a_row_that_names_one_whose_record_was_merged() -> None:
    """It agrees with the survivor only where it cannot be told the survivor's row."""
    refs = Refs(REFS.by_app, REFS.by_crm, merged={("company", AppKey("7")): CrmId("12")})
    assert agrees(replace(ORG, direction=Direction.SEND), "7", 12, refs)
    assert not agrees(ORG, "7", 12, refs)
    assert not agrees(replace(ORG, direction=Direction.RECEIVE), "7", 12, refs)
    assert agrees(ORG, "5", 12, refs)
