"""Dates, times of day, instants and durations against the columns of each kind. Everything is UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Final

from connector.core.convert import columns, decimals, moments
from connector.core.convert.causes import Cause
from connector.core.convert.joint import Value
from connector.core.line import HeldError, Refs
from connector.core.model import ABSENT, CrmValue, Json

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from connector.core.schema import Column

_PAIR: Final = 2


@dataclass(frozen=True, slots=True)
class Date(Value):
    """A day. Of a timestamp column, the day in UTC; received into one, its midnight."""

    column: Column

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """YYYY-MM-DD."""
        return self._day(app).isoformat()

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The day in the column's spelling."""
        return columns.fit(self.column, self._day(crm).isoformat())

    def app_form(self, app: Json, /) -> Hashable:
        """The day."""
        return self._day(app)

    def crm_form(self, crm: Json, /) -> Hashable:
        """The day."""
        return self._day(crm)

    def _day(self, value: Json) -> date:
        return moments.day(columns.spelled(value))


@dataclass(frozen=True, slots=True)
class Instant(Value):
    """An instant, sent in whole seconds and so compared; of a date column, the midnight and only the day compared."""

    column: Column

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """RFC 3339 in UTC."""
        return moments.spell_rfc3339(moments.moment(columns.spelled(app)))

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The instant in the column's spelling; naive columns hold UTC."""
        text = columns.spelled(crm)
        if self.column.kind == "text":
            return columns.fit(self.column, moments.spell_rfc3339(moments.moment(text)))
        return columns.fit(self.column, text)

    def app_form(self, app: Json, /) -> Hashable:
        """The second, or the day."""
        return self._form(app)

    def crm_form(self, crm: Json, /) -> Hashable:
        """The second, or the day."""
        return self._form(crm)

    def _form(self, value: Json) -> date | datetime:
        when = moments.moment(columns.spelled(value))
        return when.date() if self.column.kind == "date" else when.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class DayAndTime(Value):
    """[date, time] columns against an instant; no time is all day, which is midnight."""

    day: Column
    time: Column

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """RFC 3339 in UTC; None without a day."""
        when = self._moment(app)
        return None if when is None else moments.spell_rfc3339(when)

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """Texts of day and time; all day has no time where the column takes null."""
        when = moments.moment(columns.spelled(crm))
        all_day = moments.midnight(when) and self.time.nullable
        of_day = None if all_day else columns.fit(self.time, when.time().isoformat())
        return [columns.fit(self.day, when.date().isoformat()), of_day]

    def app_form(self, app: Json, /) -> Hashable:
        """The second."""
        when = self._moment(app)
        return None if when is None else when.replace(microsecond=0)

    def crm_form(self, crm: Json, /) -> Hashable:
        """The second."""
        return moments.moment(columns.spelled(crm)).replace(microsecond=0)

    def _moment(self, app: Json) -> datetime | None:
        if not isinstance(app, list) or len(app) != _PAIR:
            raise HeldError(Cause.INVALID_VALUE)
        day, of_day = app
        if day is None:
            return None
        return moments.at(moments.day(str(day)), time() if of_day is None else moments.clock(str(of_day)))


@dataclass(frozen=True, slots=True)
class DueFields:
    """A date field and a time field as one text: the date alone for all day, else RFC 3339 in UTC."""

    day: str
    time: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """Both fields; ABSENT unless the payload has both."""
        if self.day not in fields or self.time not in fields:
            return ABSENT
        day, of_day = fields[self.day], fields[self.time]
        if not day or not of_day:
            return day or None
        return f"{day}T{_with_seconds(str(of_day))}Z"

    def write(self, crm: Json, _: Mapping[str, Json], /) -> Mapping[str, Json]:
        """Both fields, the time as HH:MM:SS; midnight is all day, which has no time."""
        if crm is None:
            return {self.day: None, self.time: None}
        when = moments.moment(str(crm))
        of_day = None if moments.midnight(when) else when.time().isoformat(timespec="seconds")
        return {self.day: when.date().isoformat(), self.time: of_day}


def _with_seconds(of_day: str) -> str:
    return f"{of_day}:00" if of_day.count(":") == 1 else of_day


@dataclass(frozen=True, slots=True)
class TimeOfDay(Value):
    """A time of day, sent as HH:MM:SS and compared by the second; HH:MM is accepted."""

    column: Column

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """HH:MM:SS."""
        return moments.clock(columns.spelled(app)).isoformat(timespec="seconds")

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The time in the column's spelling."""
        return columns.fit(self.column, moments.clock(columns.spelled(crm)).isoformat(timespec="seconds"))

    def app_form(self, app: Json, /) -> Hashable:
        """The second of the day."""
        return moments.clock(columns.spelled(app)).replace(microsecond=0)

    def crm_form(self, crm: Json, /) -> Hashable:
        """The second of the day."""
        return moments.clock(columns.spelled(crm)).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Duration(Value):
    """Integer seconds or an interval against HH:MM, cut to the full minute, never rounded, and compared by minutes."""

    column: Column

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """HH:MM."""
        return moments.spell_minutes(self._seconds(app))

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """Seconds for a column of numbers, an interval's text for the others."""
        length = moments.seconds(columns.spelled(crm))
        numeric = self.column.kind in ("integer", "number")
        return columns.fit(self.column, str(length) if numeric else moments.spell_seconds(length))

    def app_form(self, app: Json, /) -> Hashable:
        """Whole minutes."""
        return self._seconds(app) // 60

    def crm_form(self, crm: Json, /) -> Hashable:
        """Whole minutes."""
        return moments.seconds(columns.spelled(crm)) // 60

    def _seconds(self, app: Json) -> int:
        if self.column.kind not in ("integer", "number"):
            return moments.seconds(columns.spelled(app))
        length = decimals.decimal(app)
        if length < 0:
            raise HeldError(Cause.OUT_OF_RANGE)
        return int(length)
