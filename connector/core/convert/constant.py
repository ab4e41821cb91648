"""`set.crm`: a value that an admin wrote, as a line whose app side never changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

from connector.core.convert import columns, moments, sides
from connector.core.convert.causes import Cause
from connector.core.convert.fits import FITS, ImpossiblePairError
from connector.core.convert.joint import Joint, Value
from connector.core.convert.pair import Wanted, join
from connector.core.line import Converter, HeldError, Refs
from connector.core.mapping import Keyword, SetValue, TooLong
from connector.core.schema import CrmField, FieldType, Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from datetime import datetime

    from connector.core.model import Json

NOW: Final = "now"
"""The app's side of the moment of the write, and what every moment there equals."""

_SPELLED: Final[Mapping[FieldType, Callable[[datetime], str]]] = {
    FieldType.DATE: lambda at: at.date().isoformat(),
    FieldType.TIME: lambda at: at.time().isoformat(timespec="seconds"),
    FieldType.DATETIME: moments.spell_rfc3339,
}
_LATER: Final = frozenset({Cause.UNKNOWN_USER, Cause.INACTIVE_USER})
"""What time mends or breaks: a held value, not a wrong file."""


def constant_for(field: CrmField, value: SetValue, metadata: Metadata) -> Converter:
    """The converter of a `set.crm` entry: the app's side always says `value`.

    ImpossiblePairError says what is wrong. Options, pipelines, stages and users are named as in `values:`. `now` fits
    date and time fields; any value there equals it, so that it is written once: when a record is made without one.
    """
    if value is Keyword.NOW:
        return _now(field)
    app = None if value is Keyword.NULL or value is None else columns.spelled(value)
    several = isinstance(value, list)
    wanted = Wanted(_name(field, several=several), columns.TEXT, field, metadata, {}, TooLong.HOLD)
    made = join(wanted)
    constant = Joint(sides.Fixed(app), made.crm, made.value)
    _try(constant, app, field)
    return constant


def _name(field: CrmField, *, several: bool) -> str:
    fitting = (name for name in FITS.get(field.type, ()) if (name in ("set", "list")) == several)
    found = next(fitting, None)
    if found is None:
        kind = "a list" if several else "one value"
        raise ImpossiblePairError(f"set: CRM field {field.name!r} ({field.type.value}) does not take {kind}")
    return found


def _try(constant: Joint, app: Json, field: CrmField) -> None:
    try:
        constant.to_crm(app, Refs())
    except HeldError as error:
        if error.cause in _LATER:
            return
        options = ", ".join(option.label for option in field.options)
        advice = f"; options: {options}" if options else ""
        raise ImpossiblePairError(
            f"set: the value does not fit CRM field {field.name!r} ({field.type.value}): {error.cause}{advice}"
        ) from error


def _now(field: CrmField) -> Converter:
    if field.type not in _SPELLED:
        raise ImpossiblePairError(
            f"set: now needs a date, time or date-time field, {field.name!r} is {field.type.value}; quoted it is text"
        )
    return Joint(sides.Fixed(NOW), sides.OneField(field.key), Now(_SPELLED[field.type]))


@dataclass(frozen=True, slots=True)
class Now(Value):
    """The moment of the write, in UTC; equal to whatever is there."""

    spell: Callable[[datetime], str]

    def to_crm(self, _: Json, refs: Refs, /) -> Json:
        """The moment as the field spells it."""
        if refs.now is None:
            raise HeldError(Cause.INVALID_TIME)
        return self.spell(refs.now.astimezone(UTC))

    def to_app(self, _: Json, __: Refs, /) -> Json:
        """`now`."""
        return NOW

    def app_form(self, _: Json, /) -> Hashable:
        """`now`."""
        return NOW

    def crm_form(self, _: Json, /) -> Hashable:
        """`now`."""
        return NOW
