"""After the fact: a value of the CRM that our write put away before anybody here had seen it.

Where the CRM writes without condition, somebody may edit between our read and our write. The echo's previous value
tells: when it is not what was seen, there was a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.core.line import Line
from connector.core.model import ABSENT, Json, Sent


@dataclass(frozen=True, slots=True)
class Told:
    """A change of fields as an event told it: their values after and before."""

    now: Mapping[str, Json]
    was: Mapping[str, Json]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Unseen:
    """A value that gave way unseen, and when it had been entered as far as events tell."""

    value: Json
    at: datetime | None


def unseen(line: Line, sent: Sent, told: Iterable[Told]) -> Unseen | None:
    """What the write put away, if an event is its echo and says so. An edit of what we had sent comes after the echo."""
    keys = {field.key for field in line.fields}
    events = sorted((e for e in told if keys & e.was.keys()), key=lambda e: e.at.timestamp() if e.at else 0.0)
    for event in events:
        now, was = line.converter.read_crm(event.now), line.converter.read_crm({**event.now, **event.was})
        if now is ABSENT or was is ABSENT or line.converter.same_crm(was, sent.sent):
            return None
        if line.converter.same_crm(now, sent.sent):
            known = line.converter.same_crm(was, sent.seen)
            return None if known else Unseen(was, _entered(line, was, events))
    return None


def _entered(line: Line, value: Json, events: Iterable[Told]) -> datetime | None:
    times = []
    for event in events:
        now = line.converter.read_crm(event.now)
        if event.at is not None and now is not ABSENT and line.converter.same_crm(now, value):
            times.append(event.at)
    return max(times, default=None)
