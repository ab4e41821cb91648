"""What a column can hold, and when two of its texts mean the same.

`fit` is the last gate before a value reaches the application's table: what it returns, PostgreSQL accepts for the type.
"""

from __future__ import annotations

import json
import re
import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from connector.core.convert import decimals, moments
from connector.core.convert.causes import Cause
from connector.core.line import HeldError
from connector.core.schema import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from connector.core.model import Json

TEXT: Final = Column("", "text", "text")
"""Any text: the column of values that no table limits."""

_INTEGERS: Final = {"smallint": 15, "integer": 31, "bigint": 63}
_PLAIN_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_NUMERIC: Final = re.compile(r"numeric\((\d+)(?:,(-?\d+))?\)")
_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})


def fit(column: Column, text: str) -> str:
    """The text in the column's own spelling; HeldError when the column cannot hold it."""
    return _FITS.get(column.kind, _plain)(column, text)


def meaning(column: Column, text: str) -> Hashable:
    """Equal for two texts of the column exactly when they mean the same; HeldError when it is none of its texts."""
    return _MEANINGS.get(column.kind, _lines)(text)


def boolean(text: str) -> bool:
    """The truth value by PostgreSQL's words for it."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise HeldError(Cause.INVALID_BOOLEAN)
    return word in _TRUE


def parsed(text: str) -> Json:
    """The JSON value of a json or array column."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HeldError(Cause.INVALID_JSON) from error
    return value


def dumped(value: Json) -> str:
    """JSON text, readable for people."""
    return json.dumps(value, ensure_ascii=False)


def spelled(value: Json) -> str:
    """Any JSON value as the text that a person would write for it."""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    return decimals.spell(decimals.decimal(value)) if isinstance(value, float) else dumped(value)


def newlines(text: str) -> str:
    """The text with line feeds only."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(column: Column, text: str) -> str:
    if column.max_length is not None and len(text) > column.max_length:
        raise HeldError(Cause.TOO_LONG)
    return _storable(text)


def _storable(text: str) -> str:
    try:
        stored = text.encode()
    except UnicodeEncodeError as error:
        raise HeldError(Cause.INVALID_TEXT) from error
    if 0 in stored:
        raise HeldError(Cause.INVALID_TEXT)
    return text


def _label(column: Column, text: str) -> str:
    if column.labels and text not in column.labels:
        raise HeldError(Cause.NOT_IN_ENUM)
    return text


def _integer(column: Column, text: str) -> str:
    number = int(text) if _PLAIN_DIGITS.fullmatch(text) else decimals.whole(decimals.decimal(text))
    limit = 1 << _INTEGERS.get(column.plain_type, 63)
    if not -limit <= number < limit:
        raise HeldError(Cause.OUT_OF_RANGE)
    return str(number)


def _number(column: Column, text: str) -> str:
    number = decimals.decimal(text)
    if column.plain_type == "real":
        return _real(number)
    limits = _NUMERIC.fullmatch(column.plain_type)
    if limits:
        number = decimals.rounded(number, int(limits[1]), int(limits[2] or 0))
    return decimals.spell(number)


def single(number: Decimal) -> float:
    """The number as a column of type real holds it."""
    try:
        nearest: float = struct.unpack("<f", struct.pack("<f", float(number)))[0]
    except OverflowError as error:
        raise HeldError(Cause.OUT_OF_RANGE) from error
    return nearest


def _real(number: Decimal) -> str:
    """The shortest text that the column reads as the same number."""
    nearest = single(number)
    spelled = (Decimal(f"{nearest:.{digits}g}") for digits in range(6, 10))
    return decimals.spell(next(text for text in spelled if single(text) == nearest))


def _timestamptz(_: Column, text: str) -> str:
    return moments.spell_moment(moments.moment(text), zone="+00")


def _timestamp(_: Column, text: str) -> str:
    return moments.spell_moment(moments.moment(text), zone="")


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise HeldError(Cause.INVALID_UUID) from error


def _json(_: Column, text: str) -> str:
    parsed(text)
    return _storable(text)


def _lines(text: str) -> str:
    return newlines(text)


def _document(text: str) -> str:
    return json.dumps(parsed(text), sort_keys=True)


_FITS: Final[Mapping[str, Callable[[Column, str], str]]] = {
    "enum": _label,
    "integer": _integer,
    "number": _number,
    "boolean": lambda _, text: "true" if boolean(text) else "false",
    "date": lambda _, text: moments.day(text).isoformat(),
    "time": lambda _, text: moments.clock(text).isoformat(),
    "interval": lambda _, text: moments.spell_seconds(moments.seconds(text)),
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "uuid": lambda _, text: _uuid(text),
    "json": _json,
    "array": _json,
}
_MEANINGS: Final[Mapping[str, Callable[[str], Hashable]]] = {
    "integer": decimals.decimal,
    "number": decimals.decimal,
    "boolean": boolean,
    "date": moments.day,
    "time": moments.clock,
    "interval": moments.seconds,
    "timestamp": moments.moment,
    "timestamptz": moments.moment,
    "uuid": _uuid,
    "json": _document,
    "array": _document,
}
