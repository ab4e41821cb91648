"""Dates, times and durations out of text and back. Whatever cannot be read is a HeldError.

Read: PostgreSQL's output in DateStyle ISO and IntervalStyle postgres or iso_8601 (PostgreSQL documentation, 8.5), and
RFC 3339. A time without a zone is UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Final

from connector.core.convert.causes import Cause
from connector.core.line import HeldError

_CLOCK: Final = r"(?P<hours>\d{1,9}):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d)(?:\.\d+)?)?"
_POSTGRES: Final = re.compile(
    r"(?:(?P<years>\d{1,9}) years?)?\s*(?:(?P<months>\d{1,9}) mons?)?\s*(?:(?P<days>\d{1,9}) days?)?\s*"
    rf"(?:{_CLOCK})?",
    re.ASCII,
)
_ISO: Final = re.compile(
    r"P(?:(?P<years>\d{1,9})Y)?(?:(?P<months>\d{1,9})M)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9})(?:\.\d+)?S)?)?",
    re.ASCII,
)


def moment(text: str) -> datetime:
    """The instant in UTC; a bare date is its midnight."""
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except OverflowError as error:
        raise HeldError(Cause.OUT_OF_RANGE) from error
    except ValueError as error:
        raise HeldError(Cause.INVALID_DATE) from error


def day(text: str) -> date:
    """The date; of an instant, its date in UTC."""
    return moment(text).date()


def clock(text: str) -> time:
    """The time of day without a zone."""
    try:
        read = time.fromisoformat(text)
    except ValueError as error:
        raise HeldError(Cause.INVALID_TIME) from error
    if read.tzinfo is not None:
        raise HeldError(Cause.INVALID_TIME)
    return read


def seconds(text: str) -> int:
    """Whole seconds of an interval. Days count 24 hours; months, years and negative intervals have no such length."""
    if text.startswith("-") or " -" in text:
        raise HeldError(Cause.OUT_OF_RANGE)
    found = _ISO.fullmatch(text) or _POSTGRES.fullmatch(text.strip())
    parts = {name: int(part) for name, part in found.groupdict().items() if part} if found else {}
    if not parts:
        raise HeldError(Cause.INVALID_DURATION)
    if parts.get("years") or parts.get("months"):
        raise HeldError(Cause.OUT_OF_RANGE)
    hours = parts.get("days", 0) * 24 + parts.get("hours", 0)
    return hours * 3600 + parts.get("minutes", 0) * 60 + parts.get("seconds", 0)


def spell_moment(when: datetime, *, zone: str) -> str:
    """PostgreSQL's spelling of an instant in UTC; `zone` is '+00' for timestamptz and '' for timestamp."""
    text = when.replace(tzinfo=None).isoformat(sep=" ")
    return (text.rstrip("0") if when.microsecond else text) + zone


def spell_rfc3339(when: datetime) -> str:
    """RFC 3339 in UTC, cut to the whole second: what CRMs take."""
    return when.replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def spell_seconds(count: int) -> str:
    """PostgreSQL's spelling of an interval of hours, minutes and seconds."""
    return f"{count // 3600:02}:{count // 60 % 60:02}:{count % 60:02}"


def spell_minutes(count: int) -> str:
    """HH:MM, cut to the full minute."""
    return f"{count // 3600:02}:{count // 60 % 60:02}"


def midnight(when: datetime) -> bool:
    """True at 00:00:00 UTC."""
    return when.timetz().replace(microsecond=0) == time(tzinfo=UTC)


def at(when: date, of_day: time) -> datetime:
    """The instant of a date and a time of day in UTC."""
    return datetime.combine(when, of_day, tzinfo=UTC)
