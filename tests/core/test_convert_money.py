"""An amount and its currency: one monetary field or two fields of the CRM, one or two columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from connector.core.line import HeldError
from connector.core.model import ABSENT
from connector.core.schema import FieldType as T
from tests.core.converters import REFS, one, several

if TYPE_CHECKING:
    from connector.core.model import Json

CUSTOM = several({"arr": "numeric(10,2)", "cur": "text"}, {"m": T.MONEY})
DEAL = several({"arr": "numeric(10,2)", "cur": "text"}, {"value": T.NUMBER, "currency": T.CURRENCY})
EUR: Json = {"value": 5, "currency": "EUR"}


def test_money_in_two_columns() -> None:
    """Amount and currency are one value; an amount without a currency is held on a custom field only."""
    custom = several({"arr": "numeric(10,2)", "cur": "text"}, {"m": T.MONEY})
    deal = several({"arr": "numeric(10,2)", "cur": "text"}, {"value": T.NUMBER, "currency": T.CURRENCY})
    assert custom.read_app({"arr": "1.50", "cur": "EUR"}) == ["1.50", "EUR"]
    for made in (custom, deal):
        assert made.to_crm(["1234.50", "eur"], REFS) == {"value": 1234.5, "currency": "EUR"}
        assert made.to_app({"value": 1234.5, "currency": "EUR"}, REFS) == ["1234.50", "EUR"]
        assert made.to_crm([None, "EUR"], REFS) is None
        assert made.same_app(["1.5", "eur"], ["1.50", "EUR"])
        assert not made.same_app(["1.5", "USD"], ["1.50", "EUR"])
        assert made.same_app([None, "EUR"], None)
    with pytest.raises(HeldError, match="missing_currency"):
        custom.to_crm(["1", None], REFS)
    assert deal.write_crm(deal.to_crm(["1", None], REFS), {}) == {"value": 1}
    assert deal.same_crm({"value": 1, "currency": None}, {"value": 1, "currency": "EUR"})
    assert deal.write_crm({"value": 1, "currency": "EUR"}, {}) == {"value": 1, "currency": "EUR"}
    assert custom.write_crm({"value": 1, "currency": "EUR"}, {}) == {"m": {"value": 1, "currency": "EUR"}}
    assert custom.read_crm({"m": {"value": None, "currency": "EUR"}}) is None
    assert custom.write_app(None) == {"arr": None, "cur": None}


def test_amount_alone_keeps_the_currency_of_the_record() -> None:
    """One column against a monetary field writes the amount; the record's currency stays."""
    made = one("numeric(10,2)", T.MONEY)
    current: dict[str, Json] = {"f": {"value": 9, "currency": "USD"}}
    assert made.read_crm(current) == 9
    assert made.write_crm(1.5, current) == {"f": {"value": 1.5, "currency": "USD"}}
    assert made.write_crm(1.5, {"f": None}) == {"f": {"value": 1.5}}
    assert made.write_crm(None, current) == {"f": None}


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"m": EUR}, EUR),
        ({"m": {"value": 0, "currency": None}}, {"value": 0, "currency": None}),
        ({"m": {"value": None, "currency": "EUR"}}, None),
        ({"m": None}, None),
        ({"other": EUR}, ABSENT),
    ],
)
def test_a_monetary_field_as_it_is_read(fields: dict[str, Json], held: Any) -> None:
    """Without an amount there is no money; without the field nobody knows."""
    assert CUSTOM.read_crm(fields) == held


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"value": 5, "currency": "EUR"}, EUR),
        ({"value": 5, "currency": None}, {"value": 5, "currency": None}),
        ({"value": None, "currency": "EUR"}, None),
        ({"value": 5}, ABSENT),
        ({"currency": "EUR"}, ABSENT),
    ],
)
def test_two_fields_as_they_are_read(fields: dict[str, Json], held: Any) -> None:
    """Both of them, or nobody knows."""
    assert DEAL.read_crm(fields) == held


@pytest.mark.parametrize(
    ("one_value", "other", "same"),
    [
        (EUR, {"value": 5.0, "currency": "eur "}, True),
        (EUR, {"value": 6, "currency": "EUR"}, False),
        (EUR, {"value": 5, "currency": "USD"}, False),
        (EUR, {"value": 5, "currency": None}, True),
        (EUR, {"value": 6, "currency": None}, False),
        (EUR, None, False),
        ({"value": None, "currency": "EUR"}, None, True),
        ({"value": None, "currency": "EUR"}, {"value": None, "currency": "USD"}, True),
        (EUR, [5, "EUR"], False),
    ],
)
def test_amounts_are_compared_with_their_currencies(one_value: Json, other: Json, same: bool) -> None:  # noqa: FBT001
    """A currency that one of them does not say is no difference."""
    assert CUSTOM.same_crm(one_value, other) is same
    assert CUSTOM.same_crm(other, one_value) is same


def test_money_as_it_is_written_and_read_in_a_row() -> None:
    """Two columns that are both null say nothing; either may be null by itself."""
    assert CUSTOM.read_app({"arr": None, "cur": None}) is None
    assert CUSTOM.read_app({"arr": None, "cur": "EUR"}) == [None, "EUR"]
    assert CUSTOM.write_app(["1.50", "EUR"]) == {"arr": "1.50", "cur": "EUR"}
    assert CUSTOM.write_app(["1.50", None]) == {"arr": "1.50", "cur": None}


@pytest.mark.parametrize("fields", [{"m": T.MONEY}, {"value": T.NUMBER, "currency": T.CURRENCY}])
def test_money_by_its_name(fields: dict[str, T]) -> None:
    """`as: money` may be written out."""
    assert several({"arr": "numeric", "cur": "text"}, fields, "money").to_crm(["5", "eur"], REFS) == EUR
