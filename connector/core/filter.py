"""`only:`: which rows and records a mapping is about. Operands are written as in `values:`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from connector.core.convert import moments
from connector.core.convert.columns import parsed
from connector.core.convert.contact import elements
from connector.core.convert.decimals import decimal
from connector.core.convert.rendered import known_words
from connector.core.convert.sides import as_id, as_ids
from connector.core.line import HeldError
from connector.core.mapping import Condition, Test
from connector.core.model import ABSENT, CrmValue, Json
from connector.core.schema import Column, CrmField, FieldType, Metadata

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

Reader = Callable[[str], CrmValue]
"""name → value. A list stands for several values or spellings of one: any of them may match."""
LinkedIn = Callable[[str, str], bool]
"""(mapping, id or key) → does this record or row belong to the mapping?"""

_DAY: Final = len("2026-11-02")


def failing(conditions: Iterable[Condition], reader: Reader, linked_in: LinkedIn) -> Condition | None:
    """The first condition that does not hold; None when all do.

    A value that was not in the payload is no evidence: its condition counts as holding, and `undecided` names it.
    """
    return next(
        (condition for condition in conditions if not _holds(condition, reader(condition.place), linked_in)), None
    )


def undecided(conditions: Iterable[Condition], reader: Reader) -> Condition | None:
    """The first condition about a value that was not in the payload; None when all can be judged."""
    return next((condition for condition in conditions if reader(condition.place) is ABSENT), None)


def crm_reader(object_fields: Sequence[CrmField], metadata: Metadata, record_fields: Mapping[str, Json]) -> Reader:
    """Reads a CRM record by field key or name, each value as its id and as what people call it.

    Enum and set options, keys: id and label · users: id and e-mail · pipelines: id and name · stages: id, 'Pipeline /
    Stage' and name · e-mails and phones: all of them · money and addresses: the value.
    """

    def read(name: str) -> CrmValue:
        field = _called(name, object_fields)
        key = name if field is None else field.key
        value = record_fields.get(key, ABSENT)
        return value if value is ABSENT or field is None else _spellings(field, value, metadata)

    return read


def row_reader(columns: Mapping[str, Column], row: Mapping[str, str | None]) -> Reader:
    """Reads a row's columns: the elements of a list, intervals as HH:MM:SS, everything else as its text."""

    def read(name: str) -> CrmValue:
        text, kind = row.get(name), columns[name].kind if name in columns else ""
        if text is None or kind not in ("array", "json", "interval"):
            return text
        try:
            if kind == "interval":
                return moments.spell_seconds(moments.seconds(text))
            value = parsed(text)
        except HeldError:
            return text
        return value if isinstance(value, list) else text

    return read


def _called(name: str, fields: Sequence[CrmField]) -> CrmField | None:
    """The field with this key, else the first with this name."""
    by_key = (field for field in fields if field.key == name)
    return next(by_key, None) or next((field for field in fields if field.name == name), None)


def _spellings(field: CrmField, value: Json, metadata: Metadata) -> Json:
    if field.type in (FieldType.EMAILS, FieldType.PHONES):
        return [item["value"] for item in elements(value)]
    if isinstance(value, dict):
        return value.get("value")
    words = _words(field, metadata)
    if words is None or value is None:
        return value
    ids = as_ids(value) if isinstance(value, list) else [as_id(value)]
    return [spelling for item in (ids if isinstance(ids, list) else []) for spelling in (item, *words(str(item)))]


def _words(field: CrmField, metadata: Metadata) -> Callable[[str], tuple[str, ...]] | None:
    if field.type in (FieldType.KEY, FieldType.ENUM, FieldType.SET):
        labels = {option.id: (option.label, *option.former) for option in field.options}
        return lambda item: labels.get(item, ())
    known = known_words(field, metadata)
    if known is None:
        return None
    short = {stage.id: stage.name for stage in metadata.stages} if field.type is FieldType.STAGE else {}
    return lambda item: tuple(words[item] for words in (known, short) if item in words)


def _holds(condition: Condition, value: CrmValue, linked_in: LinkedIn) -> bool:
    if value is ABSENT:
        return True
    values = [item for item in (value if isinstance(value, list) else [value]) if item is not None and item != ""]
    match condition.test:
        case Test.PRESENT | Test.ABSENT:
            return bool(values) == (condition.test is Test.PRESENT)
        case Test.ANY_OF | Test.NOT:
            found = any(_equal(item, operand) for item in values for operand in condition.operands)
            return found == (condition.test is Test.ANY_OF)
        case Test.BETWEEN:
            return any(_between(item, *condition.operands) for item in values)
        case Test.IN:
            return any(linked_in(str(condition.operands[0]), _text(item)) for item in values)


def _equal(value: Json, operand: Json) -> bool:
    """Equal as numbers or instants where both are such, else as words without case: true is 'true', 5 is '5.0'."""
    for read in (_number, _instant):
        if (one := read(value)) is not None and (other := read(operand)) is not None:
            return one == other
    return _text(value).casefold() == _text(operand).casefold()


def _between(value: Json, low: Json, high: Json) -> bool:
    return (low is None or not _less(value, low)) and (high is None or not _less(high, value))


def _less(one: Json, other: Json) -> bool:
    """Less as numbers or instants where both are such, else as text; of an instant and a date, the days are compared."""
    if (first := _number(one)) is not None and (second := _number(other)) is not None:
        return first < second
    if (earlier := _instant(one)) is not None and (later := _instant(other)) is not None:
        return earlier < later
    left, right = _text(one), _text(other)
    return left[: _shorter(left, right)] < right[: _shorter(right, left)]


def _shorter(text: str, other: str) -> int:
    return _DAY if len(other) == _DAY and _is_day(other) and _is_day(text[:_DAY]) else len(text)


def _is_day(text: str) -> bool:
    return len(text) == _DAY and text[4] == text[7] == "-" and text.replace("-", "").isdigit()


def _number(value: Json) -> Decimal | None:
    try:
        return decimal(value)
    except HeldError:
        return None


def _instant(value: Json) -> datetime | None:
    """The instant that a text with a date and a time says; None for a date alone, and for anything else."""
    if not isinstance(value, str) or not _is_day(value[:_DAY]) or value[_DAY : _DAY + 1] not in ("T", " "):
        return None
    try:
        return moments.moment(value)
    except HeldError:
        return None


def _text(value: Json) -> str:
    return str(as_id(value))
