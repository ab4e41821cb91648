"""How values are spelled in records, whatever API version or webhook they came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from connector.core.model import Json
from connector.core.schema import FieldType
from connector.crm.pipedrive.built_in import BUILT_IN

_CLOCK: Final = re.compile(r"(\d{1,3}):(\d\d)(?::(\d\d))?(?:\.\d+)?")
_WHOLE_SECONDS: Final = 20
"""Length of `2026-11-02T08:15:30Z`."""
_DIGITS: Final = 18
"""Longest text that can be an id."""

Speller = Callable[[Json], Json]


def moment(value: Json) -> Json:
    """A time as RFC 3339 in whole seconds, UTC, `Z`; from RFC 3339 or API v1's `YYYY-MM-DD HH:MM:SS`."""
    if not isinstance(value, str) or (len(value) == _WHOLE_SECONDS and value[-1] == "Z"):
        return value
    at = parse(value)
    return None if at is None else spell(at)


def parse(value: Json) -> datetime | None:
    """The moment that a text names, UTC where it names no zone; None for anything else."""
    if not isinstance(value, str) or not value:
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the latter of a time that lies before the first year, or after the last
        return None


def spell(at: datetime) -> str:
    """RFC 3339 in whole seconds; a fraction is cut, for `updated_since` refuses one."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(value: Json) -> Json:
    """A time of day or a duration as `HH:MM:SS`; empty in any spelling is null."""
    if isinstance(value, dict):
        value = value.get("value")
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value or None
    hours, minutes, seconds = found.groups(default="00")
    return f"{int(hours):02}:{minutes}:{seconds}"


def number(value: Json) -> Json:
    """An id or number that may have come as text."""
    return int(value) if isinstance(value, str) and len(value) <= _DIGITS and value.isdecimal() else value


def address(value: Json) -> Json:
    """An address object, also for text alone; null for an empty one."""
    whole: dict[str, Json] = value if isinstance(value, dict) else {"value": value}
    return whole if any(whole.values()) else None


def participants(value: Json) -> Json:
    """Participants of an activity with `primary`, whatever the flag is called."""
    if not isinstance(value, list):
        return []
    return [_participant(each) for each in value if isinstance(each, dict)]


def _participant(each: Mapping[str, Json]) -> dict[str, Json]:
    primary = each.get("primary", each.get("primary_flag"))
    return {"person_id": number(each.get("person_id")), "primary": primary in (True, 1)}


_BY_TYPE: Final[Mapping[FieldType, Speller]] = {
    FieldType.DATETIME: moment,
    FieldType.TIME: clock,
    FieldType.DURATION: clock,
    FieldType.ADDRESS: address,
    FieldType.OTHER: participants,
}
SPELLERS: Final[Mapping[str, Mapping[str, Speller]]] = {
    name: {key: _BY_TYPE[each.type] for key, each in keys.items() if each.type in _BY_TYPE}
    for name, keys in BUILT_IN.items()
}
"""object → key → how its value is respelled; keys not named are taken as they come."""
