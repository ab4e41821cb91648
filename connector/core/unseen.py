"""After the fact: a value of the CRM that our write put away before anybody here had seen it.

Where the CRM writes without condition, somebody may edit between our read and our write. The echo's previous value
tells: when it is not what was seen, there was a conflict. That edit came after our read, so it is the later one.

And before: a read that is older than what an event tells of, though its version does not say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.line import Line
from connector.core.model import ABSENT, CrmValue, Json, Record, Sent


@dataclass(frozen=True, slots=True)
class Told:
    """A change of fields as an event told it: their values after and before. `died`: it tells of a deletion, or its end."""

    now: Mapping[str, Json]
    was: Mapping[str, Json]
    at: datetime | None
    died: bool = False


def unseen(line: Line, sent: Sent, told: Iterable[Told]) -> CrmValue:
    """What the write put away, if an event is its echo and says so; else ABSENT.

    An event that begins with what we had sent comes after the echo.
    """
    for now, was in _changes(line, told):
        if now is ABSENT or was is ABSENT or line.converter.same_crm(was, sent.sent):
            return ABSENT
        if line.converter.same_crm(now, sent.sent):
            return ABSENT if line.converter.same_crm(was, sent.seen) else was
    return ABSENT


def values_told(line: Line, told: Iterable[Told], since: datetime) -> Iterator[Json]:
    """What the line held after or before the events from `since` on (the CRM's clock)."""
    for change in _changes(line, [event for event in told if event.at is not None and event.at >= since]):
        yield from (value for value in change if value is not ABSENT)


def overtaken(line: Line, record: Record, told: Iterable[Told]) -> bool:
    """True when the record, as new as its events by its version, shows what one of them says was replaced.

    Two edits within one step of the CRM's clock have one version, and a replica may not have the second yet.
    """
    step = record.modified_at
    changes = list(_changes(line, (e for e in told if step is None or e.at is None or e.at >= step)))
    held = line.converter.read_crm(record.fields)
    last = _last(line, changes) if changes else ABSENT
    if held is ABSENT or last is ABSENT or line.converter.same_crm(held, last):
        return False
    return any(was is not ABSENT and line.converter.same_crm(held, was) for _, was in changes)


def _last(line: Line, changes: Sequence[tuple[CrmValue, CrmValue]]) -> CrmValue:
    """What the changes end with: it came more often than it went. If none did they went round, and the last to come tells."""
    same = line.converter.same_crm
    for now, _ in reversed(changes):
        came = sum(value is not ABSENT and now is not ABSENT and same(value, now) for value, _ in changes)
        went = sum(value is not ABSENT and now is not ABSENT and same(value, now) for _, value in changes)
        if came > went:
            return now
    return changes[-1][0]


def _changes(line: Line, told: Iterable[Told]) -> Iterable[tuple[CrmValue, CrmValue]]:
    """The line's values after and before each event that changed them, by their times, else as they came."""
    keys = {field.key for field in line.fields}
    for event in sorted(told, key=lambda e: e.at.timestamp() if e.at else 0.0):
        if keys & event.was.keys():
            yield line.converter.read_crm(event.now), line.converter.read_crm({**event.now, **event.was})
