"""Numbers and money, exact in both directions: decimals, never float arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connector.core.convert import columns, decimals
from connector.core.convert.causes import Cause
from connector.core.convert.joint import Value
from connector.core.line import HeldError, Refs
from connector.core.model import ABSENT, CrmValue, Json

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from decimal import Decimal

    from connector.core.schema import Column

_PAIR: Final = 2


@dataclass(frozen=True, slots=True)
class Number(Value):
    """Decimal text against a JSON number ('1234.50' ↔ 1234.5). `integral`: the CRM field takes whole numbers only.

    Received, a number is rounded to the column's scale as PostgreSQL itself would, so that to_app says what the column
    will hold; an integer column holds back fractions.
    """

    column: Column
    integral: bool = False

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """A JSON number."""
        number = decimals.decimal(app)
        return decimals.whole(number) if self.integral else decimals.json_number(number)

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The number in the column's spelling."""
        return columns.fit(self.column, decimals.spell(decimals.decimal(crm)))

    def app_form(self, app: Json, /) -> Hashable:
        """The number as it would be sent."""
        return self._form(app)

    def crm_form(self, crm: Json, /) -> Hashable:
        """The number as it would be sent."""
        return self._form(crm)

    def _form(self, value: Json) -> Hashable:
        number = decimals.decimal(value)
        return columns.single(number) if self.column.plain_type == "real" else _sent(number)


def _sent(number: Decimal) -> Hashable:
    try:
        return decimals.json_number(number)
    except HeldError:
        return number


@dataclass(frozen=True, slots=True)
class Money(Value):
    """[amount, currency] columns against {"value", "currency"}. Without an amount there is no money: null.

    `needed`: a custom field, whose amount without a currency would take some user's default, so it is held. Else a null
    currency leaves the CRM's as it is, and says nothing when compared.
    """

    amount: Number
    currency: Column
    needed: bool

    def to_crm(self, app: Json, refs: Refs, /) -> Json:
        """Value and currency."""
        amount, currency = _pair(app)
        if amount is None:
            return None
        if currency is None and self.needed:
            raise HeldError(Cause.MISSING_CURRENCY)
        return {"value": self.amount.to_crm(amount, refs), "currency": currency}

    def to_app(self, crm: Json, refs: Refs, /) -> Json:
        """Texts of amount and currency."""
        value, currency = _parts(crm)
        if value is None:
            return None
        return [self.amount.to_app(value, refs), None if currency is None else columns.fit(self.currency, currency)]

    def app_form(self, app: Json, /) -> Hashable:
        """Amount and currency; None without an amount."""
        amount, currency = _pair(app)
        return None if amount is None else (self.amount.app_form(amount), currency)

    def crm_form(self, crm: Json, /) -> Hashable:
        """Amount and currency; None without an amount."""
        value, currency = _parts(crm)
        return None if value is None else (self.amount.crm_form(value), currency)

    def alike(self, one: object, other: object, /) -> bool:
        """Equal amounts and currencies; a currency that one of them does not say is no difference."""
        if not isinstance(one, tuple) or not isinstance(other, tuple):
            return one == other
        return bool(one[0] == other[0]) and (one[1] == other[1] or None in (one[1], other[1]))


def _pair(app: Json) -> tuple[Json, str | None]:
    if not isinstance(app, list) or len(app) != _PAIR:
        raise HeldError(Cause.INVALID_VALUE)
    return app[0], code(app[1])


def _parts(crm: Json) -> tuple[Json, str | None]:
    if not isinstance(crm, dict):
        raise HeldError(Cause.INVALID_VALUE)
    return crm.get("value"), code(crm.get("currency"))


def code(currency: Json) -> str | None:
    """A currency code in capitals; None when blank."""
    return (str(currency).strip().upper() or None) if currency is not None else None


@dataclass(frozen=True, slots=True)
class MoneyField:
    """A monetary field as {"value", "currency"}; None without a value."""

    key: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The field's value."""
        value = fields.get(self.key, ABSENT)
        return None if isinstance(value, dict) and value.get("value") is None else value

    def write(self, crm: Json, _: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The whole field: a part that is not sent would be wiped."""
        return {self.key: crm}


@dataclass(frozen=True, slots=True)
class AmountOfField:
    """The amount of a monetary field; its currency stays."""

    key: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The amount."""
        value = fields.get(self.key, ABSENT)
        return value.get("value") if isinstance(value, dict) else value

    def write(self, crm: Json, current: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The amount with the currency that the record has; without one, the CRM's default applies."""
        held = current.get(self.key)
        currency = code(held.get("currency")) if isinstance(held, dict) else None
        amount: dict[str, Json] = {"value": crm}
        if currency is not None:
            amount["currency"] = currency
        return {self.key: None if crm is None else amount}


@dataclass(frozen=True, slots=True)
class ValueAndCurrency:
    """Two fields, an amount and a currency, as {"value", "currency"}."""

    value: str
    currency: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """Both fields; ABSENT unless the payload has both."""
        if self.value not in fields or self.currency not in fields:
            return ABSENT
        value = fields[self.value]
        return None if value is None else {"value": value, "currency": fields[self.currency]}

    def write(self, crm: Json, _: Mapping[str, Json], /) -> Mapping[str, Json]:
        """Both fields; without a currency only the amount."""
        parts = crm if isinstance(crm, dict) else {}
        currency = parts.get("currency")
        return {self.value: parts.get("value")} | ({} if currency is None else {self.currency: currency})
