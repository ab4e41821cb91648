"""One column and one CRM field: both sides and the value between them, once it is known which `as:` it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connector.core.convert import choice, columns, contact, dates, numbers, sides
from connector.core.convert.address import AddressJson, AddressParts, AddressText
from connector.core.convert.causes import Cause
from connector.core.convert.collection import Elements
from connector.core.convert.html import Html, TextInHtml
from connector.core.convert.joint import AppSide, CrmSide, Joint, Value
from connector.core.convert.reference import Id
from connector.core.convert.text import Address, Boolean, Text
from connector.core.line import Converter, HeldError, Refs
from connector.core.schema import Column, CrmField, FieldType, Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connector.core.mapping import TooLong
    from connector.core.model import Json

_TEXTS: Final = frozenset({FieldType.TEXT, FieldType.LONG_TEXT, FieldType.CURRENCY})
_ID_NAMES: Final = frozenset({"enum", "label", "user_email", "user_id", "pipeline", "stage", "id"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """One column (or text that stands for one) and one field, and how to get from one to the other."""

    name: str
    column: Column
    field: CrmField
    metadata: Metadata
    values: Mapping[str, str]
    too_long: TooLong


def join(wanted: Wanted) -> Joint:
    """The converter of one column and one field."""
    return Joint(app_side(wanted), crm_side(wanted), value_of(wanted))


def app_side(wanted: Wanted) -> AppSide:
    """The column as the line reads and writes it."""
    if wanted.name in ("set", "list"):
        return sides.CollectionColumn(wanted.column)
    return sides.OneColumn(wanted.column)


def crm_side(wanted: Wanted) -> CrmSide:
    """The part of the field that the line reads and writes."""
    key = wanted.field.key
    if wanted.name == "label" and wanted.field.type is FieldType.SET:
        return contact.OneLabel(key, _own_labels(wanted))
    special: dict[str, Callable[[str], CrmSide]] = {
        "primary": contact.Primary,
        "list": contact.AllValues,
        "set": contact.OptionSet,
        "address": AddressParts if wanted.column.kind == "json" else AddressText,
    }
    if wanted.field.type is FieldType.MONEY:
        return numbers.AmountOfField(key)
    if wanted.name in special:
        return special[wanted.name](key)
    return sides.OneField(key, sides.as_id if wanted.name in _ID_NAMES else _itself)


def _itself(value: Json) -> Json:
    return value


def _own_labels(wanted: Wanted) -> frozenset[str] | None:
    if not wanted.values:
        return None
    known = choice.by_label(wanted.field.options)
    return frozenset(
        known.words.get(word) or known.folded.get(choice.fold(word), "") for word in wanted.values.values()
    )


def value_of(wanted: Wanted) -> Value:
    """The conversion, behind its `values:` map; of collections, of each element."""
    if wanted.name in ("set", "list"):
        item = wanted.column.element or columns.TEXT
        element = choice.mapped(item, _scalar(wanted, columns.TEXT if wanted.values else item), wanted.values)
        return Elements(element, ordered=wanted.name == "list")
    inner = _scalar(wanted, columns.TEXT if wanted.values else wanted.column)
    return choice.mapped(wanted.column, inner, wanted.values)


def _scalar(wanted: Wanted, column: Column) -> Value:
    """The conversion of one value between `column` and the field."""
    field, metadata = wanted.field, wanted.metadata
    text = Text(column, field.max_length, wanted.too_long)
    if field.type in _TEXTS:
        return text
    if field.type is FieldType.PHONE:
        return Address(column)
    if field.type is FieldType.HTML:
        return Html(column, field.max_length) if wanted.name == "html" else TextInHtml(text)
    if wanted.name == "address":
        return AddressJson(column) if column.kind == "json" else text
    makers: dict[str, Callable[[], Value]] = {
        "integer": lambda: numbers.Number(column, integral=field.type is FieldType.INTEGER),
        "number": lambda: numbers.Number(column, integral=field.type is FieldType.INTEGER),
        "money": lambda: numbers.Number(column),
        "boolean": lambda: Boolean(column),
        "date": lambda: dates.Date(column),
        "datetime": lambda: dates.Date(column) if field.type is FieldType.DATE else dates.Instant(column),
        "time": lambda: dates.TimeOfDay(column),
        "duration": lambda: dates.Duration(column),
        "primary": lambda: Address(column),
        "list": lambda: Address(column),
        "user_id": lambda: Id(column, choice.users(metadata)),
        "id": lambda: Id(column),
    }
    maker = makers.get(wanted.name)
    return choice.Choice(column, _choices(field, metadata)) if maker is None else maker()


def _choices(field: CrmField, metadata: Metadata) -> choice.Choices:
    if field.type is FieldType.KEY:
        return choice.by_key(field.options)
    if field.type is FieldType.USER:
        return choice.users(metadata)
    if field.type is FieldType.PIPELINE:
        return choice.pipelines(metadata)
    if field.type is FieldType.STAGE:
        return choice.stages(metadata)
    return choice.by_label(field.options)


def unknown_words(converter: Converter) -> tuple[str, ...]:
    """Words on the CRM's side of `values:` that the CRM does not define now: a warning of `check`."""
    value = converter.value if isinstance(converter, Joint) else None
    value = value.element if isinstance(value, Elements) else value
    if not isinstance(value, choice.Mapped):
        return ()
    return tuple(word for word in dict.fromkeys(value.there.values()) if not _known(value.inner, word))


def _known(inner: Value, word: str) -> bool:
    try:
        inner.to_crm(word, Refs())
    except HeldError as error:
        return error.cause == Cause.INACTIVE_USER
    return True
