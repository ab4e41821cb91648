"""After the fact: a value of the CRM that our write put away before anybody here had seen it.

Where the CRM writes without condition, somebody may edit between our read and our write. The echo's previous value
tells: when it is not what was seen, there was a conflict. That edit came after our read, so it is the later one.

And before: a read that is older than what an event tells of, though its version does not say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from math import floor
from typing import Final

from connector.core.line import Line
from connector.core.model import ABSENT, CrmValue, Json, Record, Sent, Write

STEP: Final = 1.0
"""Seconds of one step of a CRM's clock."""
APPLIED: Final = 600.0
"""Seconds after a write in which an event may be its echo: the write may be applied late."""


@dataclass(frozen=True, slots=True)
class Told:
    """A change of fields as an event told it: their values after and before. `died`: it tells of a deletion, or its end."""

    now: Mapping[str, Json]
    was: Mapping[str, Json]
    at: datetime | None
    died: bool = False


@dataclass(frozen=True, slots=True)
class Overwrite:
    """A value of the CRM that a write of ours put away before anybody here had seen it."""

    line: str
    value: Json
    wrote: Json


@dataclass(frozen=True, slots=True)
class Heard:
    """What events told of our writes: what these had put away unseen, and of which nothing more will be told."""

    overwrites: Sequence[Overwrite] = ()
    writes: Sequence[Write] = ()


def heard(lines: Mapping[str, Line], writes: Sequence[Write], told: Iterable[Told]) -> Heard:
    """What the events tell of the writes. One that begins with what a write had stored comes after that one's echo."""
    live, found = list(writes), list[Overwrite]()
    for event in _in_order(told):
        own = [write for write in live if _is_echo(lines, write, event)]
        if own:
            echoed = min(reversed(own), key=lambda write: _after(write, event))
            live.remove(echoed)
            found += _put_away(lines, echoed, event)
        else:
            live = [write for write in live if not _comes_after(lines, write, event)]
    return Heard(found, [write for write in writes if write not in live])


def followed(writes: Sequence[Write], more: Sequence[Write]) -> Sequence[Write]:
    """Our last writes when more were sent: they go out one by one, so the echo of an earlier one tells of a time before.

    An edit that takes a write back may look like the echo of the one before it.
    """
    until = min((write.at + STEP for write in more), default=None)
    return [*(write if write.until is not None else replace(write, until=until) for write in writes), *more]


def _is_echo(lines: Mapping[str, Line], write: Write, event: Told) -> bool:
    """The event turns a line into what the write made of it, not before that was sent, and none into anything else."""
    moved = [(now, sent) for now, _, sent, line in _moves(lines, write, event) if not line.converter.same_crm(*sent)]
    same = all(line.converter.same_crm(now, sent.sent) for now, _, sent, line in _moves(lines, write, event))
    return bool(moved) and same and 0 <= _after(write, event) <= APPLIED and not _too_late(write, event)


def _too_late(write: Write, event: Told) -> bool:
    return write.until is not None and event.at is not None and event.at.timestamp() > write.until


def _comes_after(lines: Mapping[str, Line], write: Write, event: Told) -> bool:
    ours = ((was, sent, line) for _, was, sent, line in _moves(lines, write, event))
    return _after(write, event) >= 0 and any(
        line.converter.same_crm(was, sent.sent) and not line.converter.same_crm(*sent) for was, sent, line in ours
    )


def _put_away(lines: Mapping[str, Line], write: Write, event: Told) -> Iterable[Overwrite]:
    for _, was, sent, line in _moves(lines, write, event):
        if not line.converter.same_crm(was, sent.seen):
            yield Overwrite(line.name, was, sent.sent)


def _moves(lines: Mapping[str, Line], write: Write, event: Told) -> Iterable[tuple[Json, Json, Sent, Line]]:
    """(value after the event, value before it, the write's own, line) of the write's lines that the event changed."""
    for name, sent in write.lines.items():
        line = lines.get(name)
        if line is None or not any(field.key in event.was for field in line.fields):
            continue
        now, was = line.converter.read_crm(event.now), line.converter.read_crm({**event.now, **event.was})
        if now is not ABSENT and was is not ABSENT:
            yield now, was, sent, line


def _after(write: Write, event: Told) -> float:
    """Seconds from the write to the event; without a time it may be any."""
    return event.at.timestamp() - floor(write.at) if event.at is not None else 0.0


def _in_order(told: Iterable[Told]) -> Sequence[Told]:
    """By their times; of one time each after the one that ends with what it begins with, else as they came."""
    timed = sorted(told, key=_time)
    return [event for _, moment in groupby(timed, _time) for event in _chained(moment)]


def _time(event: Told) -> float:
    return event.at.timestamp() if event.at else 0.0


def _chained(moment: Iterable[Told]) -> Iterator[Told]:
    left = list(moment)
    while left:
        first = next((event for event in left if not any(_follows(event, other) for other in left)), left[0])
        left.remove(first)
        yield first


def _follows(event: Told, other: Told) -> bool:
    """True when the event begins with what the other one made of a field."""
    return event != other and any(key in other.was and other.now.get(key) == was for key, was in event.was.items())


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
    for event in _in_order(told):
        if keys & event.was.keys():
            yield line.converter.read_crm(event.now), line.converter.read_crm({**event.now, **event.was})
