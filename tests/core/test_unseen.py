"""What events tell of a read: whether it shows what one of them says was replaced, in whichever order they are known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations

import pytest

from connector.core.model import CrmId, Record
from connector.core.unseen import Told, overtaken
from tests.core.people import mapping

SECOND = datetime(2026, 5, 4, 12, tzinfo=UTC)
(NAME,) = mapping("direction: both\nfields:\n  - {column: name, crm: name}\n").lines


@pytest.mark.parametrize(
    ("changes", "held", "stale"),
    [
        (["Old Ann", "Ann Bea"], "Old", True),
        (["Old Ann", "Ann Bea"], "Ann", True),
        (["Old Ann", "Ann Bea"], "Bea", False),
        (["Old Ann", "Ann Old", "Old Ann"], "Ann", False),
        (["Old Ann", "Ann Old", "Old Ann"], "Old", True),
        (["Old Ann"], "Else", False),
    ],
)
def test_edits_within_one_second(changes: Sequence[str], held: str, stale: bool) -> None:  # noqa: FBT001
    """Where the values say how the events follow each other, their order is not asked.

    Fails when the last of them by chance counts: an edit had its row wait half a minute.
    """
    assert {_overtaken(held, order) for order in permutations(changes)} == {stale}


def test_an_edit_that_is_taken_back_within_the_second() -> None:
    """The values go round: the event that came last tells."""
    assert not _overtaken("Old", ["Old Ann", "Ann Old"])
    assert _overtaken("Ann", ["Old Ann", "Ann Old"])


def _overtaken(held: str, changes: Sequence[str]) -> bool:
    record = Record("person", CrmId("501"), {"name": held}, modified_at=SECOND)
    events = [Told({"name": now}, {"name": was}, SECOND) for was, now in (change.split() for change in changes)]
    return overtaken(NAME, record, events)
