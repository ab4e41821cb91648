"""What events tell: of a read, whether it shows what was replaced; of our write, whether it put away what nobody had seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from connector.core.model import ABSENT, CrmId, CrmValue, Record, Sent
from connector.core.unseen import Told, overtaken, unseen
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


def test_an_event_from_before_the_read() -> None:
    """It tells of what the read shows, or of what was there before: the value may have been entered again since."""
    record = Record("person", CrmId("501"), {"name": "Old"}, modified_at=SECOND)
    early, late = SECOND - timedelta(seconds=1), SECOND + timedelta(seconds=1)
    assert not overtaken(NAME, record, _told(["Old Ann"], early))
    assert overtaken(NAME, record, _told(["Old Ann"], late))
    assert overtaken(NAME, record, _told(["Old Ann"], None))
    assert overtaken(NAME, Record("person", CrmId("501"), {"name": "Old"}), _told(["Old Ann"], early))


def test_what_tells_nothing_of_a_read() -> None:
    """No event, an event of other fields, and a payload without the field."""
    assert not _overtaken("Old", [])
    assert not overtaken(NAME, Record("person", CrmId("501"), {}, modified_at=SECOND), _told(["Old Ann"]))
    job = [Told({"job": "CEO", "name": "Ann"}, {"job": "CTO"}, SECOND)]
    assert not overtaken(NAME, Record("person", CrmId("501"), {"name": "Old"}, modified_at=SECOND), job)
    assert not overtaken(NAME, Record("person", CrmId("501"), {"name": "Old"}), [Told({}, {"name": "Old"}, SECOND)])


@pytest.mark.parametrize(
    ("changes", "put_away"),
    [
        pytest.param(["Zoe Bea"], "Zoe", id="somebody had entered Zoe meanwhile"),
        pytest.param(["Ann Zoe", "Zoe Bea"], "Zoe", id="and an event told of that too"),
        pytest.param(["Ann Bea"], ABSENT, id="what was seen is what was replaced"),
        pytest.param(["Bea Zoe"], ABSENT, id="an edit after our write"),
        pytest.param(["Bea Zoe", "Zoe Bea"], ABSENT, id="somebody else entered what we had sent"),
        pytest.param(["Ann Zoe"], ABSENT, id="the echo is not here yet"),
        pytest.param([], ABSENT, id="nothing is told"),
    ],
)
def test_what_our_write_put_away(changes: Sequence[str], put_away: CrmValue) -> None:
    """We had seen Ann and wrote Bea: the echo names what Bea replaced."""
    assert unseen(NAME, Sent("Ann", "Bea"), _told(changes)) == put_away


def test_events_count_by_their_times() -> None:
    """The later one of an edit and our write comes second, however they arrive; one without a time comes first."""
    before, after = _told(["Zoe Bea"], SECOND), _told(["Bea Zoe"], SECOND + timedelta(seconds=1))
    assert unseen(NAME, Sent("Ann", "Bea"), [*after, *before]) == "Zoe"
    assert unseen(NAME, Sent("Ann", "Bea"), [*before, *_told(["Bea Zoe"], None)]) is ABSENT


def test_events_of_other_fields_and_half_told_ones() -> None:
    """An event that does not change the line is no echo of it; one that lacks a value says nothing."""
    job = Told({"job": "CEO", "name": "Bea"}, {"job": "CTO"}, SECOND)
    assert unseen(NAME, Sent("Ann", "Bea"), [job, *_told(["Zoe Bea"])]) == "Zoe"
    assert unseen(NAME, Sent("Ann", "Bea"), [job]) is ABSENT
    assert unseen(NAME, Sent("Ann", "Bea"), [Told({}, {"name": "Zoe"}, SECOND)]) is ABSENT


def _overtaken(held: str, changes: Sequence[str]) -> bool:
    return overtaken(NAME, Record("person", CrmId("501"), {"name": held}, modified_at=SECOND), _told(changes))


def _told(changes: Sequence[str], at: datetime | None = SECOND) -> list[Told]:
    """Events of "before after" for the name."""
    return [Told({"name": now}, {"name": was}, at) for was, now in (change.split() for change in changes)]
