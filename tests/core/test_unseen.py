"""What events tell of a read and of our writes, in whichever order they are known: what was replaced, what was put away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from connector.core.model import CrmId, Record, Sent, Write
from connector.core.unseen import Told, followed, heard, overtaken, values_told
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


def test_what_events_tell_of_a_line() -> None:
    """What it held after and before each since a moment; events of other fields and those without a time tell nothing."""
    early, late = SECOND - timedelta(seconds=1), SECOND + timedelta(seconds=1)
    events = [*_told(["Old Ann"], early), *_told(["Ann Bea"], SECOND), *_told(["Bea Zoe"], late), *_told(["x y"], None)]
    assert list(values_told(NAME, events, SECOND)) == ["Bea", "Ann", "Zoe", "Bea"]
    job = Told({"job": "CEO", "name": "Ann"}, {"job": "CTO"}, SECOND)
    died = Told({}, {"name": "Ann"}, SECOND)
    assert list(values_told(NAME, [job, died], SECOND)) == ["Ann"]


def test_a_write_that_is_followed_by_none() -> None:
    """Its echo may come at any time."""
    write = _write("0 name a b")
    assert followed([write], []) == [write]


def _told(changes: Sequence[str], at: datetime | None = SECOND) -> list[Told]:
    """Events of "before after" for the name."""
    return [Told({"name": now}, {"name": was}, at) for was, now in (change.split() for change in changes)]


def _overtaken(held: str, changes: Sequence[str]) -> bool:
    record = Record("person", CrmId("501"), {"name": held}, modified_at=SECOND)
    events = [Told({"name": now}, {"name": was}, SECOND) for was, now in (change.split() for change in changes)]
    return overtaken(NAME, record, events)


BOTH = {
    line.name: line
    for line in mapping("direction: both\nfields:\n  - {column: name, crm: name}\n  - {column: role, crm: job}\n").lines
}
Changes = Sequence[tuple[float, str]]
"""Seconds after the first write, and `field old new` of what one event changed, with commas between fields."""


@pytest.mark.parametrize(
    ("writes", "told", "put_away", "over"),
    [
        (["0 name a b"], [(0, "name a b")], [], [0]),
        (["0 name a b"], [(0, "name u b")], [("name", "u")], [0]),
        (["0 name a b"], [], [], []),
        (["0 name a b"], [(0, "name a u")], [], []),
        (["0 name a b"], [(0, "name a u"), (0, "name u b")], [("name", "u")], [0]),
        (["0 name a b"], [(5, "name b u"), (6, "name u b")], [], [0]),
        (["5 name a b"], [(0, "name u b")], [], []),
        (["0 name a b"], [(3600, "name u b")], [], []),
        (["0 name a b", "9 name b c"], [(0, "name u b")], [("name", "u")], [0]),
        (["0 name a b", "9 name b c"], [(9, "name b c"), (0, "name u b")], [("name", "u")], [0, 9]),
        (["0 name a b, job x y"], [(0, "name a b, job z y")], [("job", "z")], [0]),
        (["0 name a b, job x x"], [(0, "name a b, job z x")], [("job", "z")], [0]),
        (["0 name a b, job x x"], [(0, "job x z"), (0, "name a b, job z x")], [("job", "z")], [0]),
        (["0 name a b, job x x"], [(3, "job z x")], [], []),
        (["0 name a b, job x y"], [(0, "name a b, job x z")], [], []),
        (["0 name a b", "9 name b c"], [(12, "name c b")], [], [9]),
        (["0 name a b"], [(0, "name b w"), (0, "name u b"), (0, "name a u")], [("name", "u")], [0]),
        (["0 name a b"], [(0, "name b w"), (0, "name w b")], [], [0]),
        (["0 name a b"], [(0, "name b u")], [], [0]),
        (["0 name a b"], [(6, "name u b"), (5, "name b u")], [], [0]),
        (["0 name a b, job x y"], [(0, "job z y")], [("job", "z")], [0]),
        (["0 name a b"], [(600, "name u b")], [("name", "u")], [0]),
        (["0 name a b"], [(601, "name u b")], [], []),
        (["0 name a b", "9 name b c"], [(10, "name u b")], [("name", "u")], [0]),
        (["0 name a b", "9 name b c"], [(11, "name u b")], [], []),
        (["0 name a b", "9 name b c", "20 name c d"], [(11, "name u b")], [], []),
    ],
    ids=[
        "nothing was put away",
        "an edit was",
        "no event yet",
        "the edit alone",
        "the edit and our write over it",
        "a person took his own edit back",
        "older than our write",
        "much later",
        "an older write, agreed on since",
        "both echoes, in the wrong order",
        "one of two lines",
        "a line that was only carried along",
        "its edit is told as well",
        "an edit of that line alone",
        "an edit that made something else of it",
        "an edit that takes a write back looks like the echo of the one before",
        "of one second, an edit of what we wrote comes first",
        "of one second, a person took his own edit back",
        "an edit after our write within its second",
        "a person took his own edit back, told in the wrong order",
        "the second of two lines alone",
        "the last second of ten minutes",
        "ten minutes are over",
        "the step of the clock in which the next write goes out",
        "the step after it",
        "a third write gives the first no more time",
    ],
)
def test_what_an_echo_tells(
    writes: Sequence[str], told: Changes, put_away: Sequence[tuple[str, str]], over: Sequence[float]
) -> None:
    """An event is the echo of the write that it shows, whenever it comes, and of none that was made after it.

    Fails when a write is known by one of its lines alone, by the order of arrival, or for ever.
    """
    ours: Sequence[Write] = ()
    for each in writes:
        ours = followed(ours, [_write(each)])
    found = heard(BOTH, ours, [_event(at, change) for at, change in told])
    assert [(o.line, o.value) for o in found.overwrites] == put_away
    assert all(
        o.wrote in [write.lines[o.line].sent for write in ours if o.line in write.lines] for o in found.overwrites
    )
    assert [write.at - SECOND.timestamp() for write in found.writes] == over


def _write(text: str) -> Write:
    at, _, lines = text.partition(" ")
    words = [each.split() for each in lines.split(", ")]
    return Write(SECOND.timestamp() + float(at), {line: Sent(seen, sent) for line, seen, sent in words})


def _event(at: float, text: str) -> Told:
    words = [each.split() for each in text.split(", ")]
    now, was = {key: new for key, _, new in words}, {key: old for key, old, _ in words}
    return Told({"name": None, "job": None, **now}, was, SECOND + timedelta(seconds=at))
