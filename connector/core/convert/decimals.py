"""Decimal text and JSON numbers, into each other without float artefacts."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Final

from connector.core.convert.causes import Cause
from connector.core.line import HeldError

if TYPE_CHECKING:
    from connector.core.model import Json

_LARGEST: Final = 330
"""Decimal exponents beyond those of any double."""
_DECIMAL: Final = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,9})?")
_ENDLESS: Final = re.compile(r"[-+]?(?:inf|infinity|nan)", re.IGNORECASE)
_TOLERANCE: Final = Decimal("1e-6")
_WIDE: Final = Context(prec=20_000)


def decimal(value: Json) -> Decimal:
    """The exact number that a JSON number or a text says; a double by its shortest spelling (0.1, not 0.1000…0055)."""
    text = str(value).strip(" \t\n\r\f\v")
    if not _DECIMAL.fullmatch(text):
        raise HeldError(Cause.OUT_OF_RANGE if _ENDLESS.fullmatch(text) else Cause.INVALID_NUMBER)
    number = Decimal(text)
    if number and abs(number.adjusted()) > _LARGEST:
        raise HeldError(Cause.OUT_OF_RANGE)
    return number


def json_number(number: Decimal) -> int | float:
    """The number as JSON: whole numbers exact at any size, fractions as the double nearest to them.

    A fraction finer than a double holds is off by less than a millionth; where it would be more, HeldError.
    """
    if number == number.to_integral_value():
        return int(number)
    double = float(number)
    if abs(Decimal(repr(double)) - number) >= _TOLERANCE:
        raise HeldError(Cause.OUT_OF_RANGE)
    return int(double) if double.is_integer() else double


def whole(number: Decimal) -> int:
    """The number as an integer; HeldError when it has a fraction, never rounded."""
    if number != number.to_integral_value():
        raise HeldError(Cause.NOT_AN_INTEGER)
    return int(number)


def rounded(number: Decimal, precision: int, scale: int) -> Decimal:
    """The number as numeric(precision, scale) stores it: half away from zero; HeldError on overflow."""
    exact = number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=_WIDE)
    if exact and exact.adjusted() >= precision - scale:
        raise HeldError(Cause.OUT_OF_RANGE)
    return exact


def spell(number: Decimal) -> str:
    """Digits without an exponent and without a negative zero, as PostgreSQL writes numeric."""
    return format(number or abs(number), "f")
