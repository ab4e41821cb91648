"""After the fact: a value of the CRM that our write put away before anybody here had seen it.

Where the CRM writes without condition, somebody may edit between our read and our write. The echo's previous value
tells: when it is not what was seen, there was a conflict. That edit came after our read, so it is the later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.core.line import Line
from connector.core.model import ABSENT, CrmValue, Json, Sent


@dataclass(frozen=True, slots=True)
class Told:
    """A change of fields as an event told it: their values after and before."""

    now: Mapping[str, Json]
    was: Mapping[str, Json]
    at: datetime | None


def unseen(line: Line, sent: Sent, told: Iterable[Told]) -> CrmValue:
    """What the write put away, if an event is its echo and says so; else ABSENT.

    An event that begins with what we had sent comes after the echo.
    """
    keys = {field.key for field in line.fields}
    for event in sorted(told, key=lambda e: e.at.timestamp() if e.at else 0.0):
        if not keys & event.was.keys():
            continue
        now, was = line.converter.read_crm(event.now), line.converter.read_crm({**event.now, **event.was})
        if now is ABSENT or was is ABSENT or line.converter.same_crm(was, sent.sent):
            return ABSENT
        if line.converter.same_crm(now, sent.sent):
            return ABSENT if line.converter.same_crm(was, sent.seen) else was
    return ABSENT
