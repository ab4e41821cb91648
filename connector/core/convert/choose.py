"""Chooses and builds the converter of a line: explicit `as:`, or inferred from the CRM field and the column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from connector.core.convert import columns, dates, numbers, sides
from connector.core.convert.fits import REFERENCES, ImpossiblePairError, check, infer
from connector.core.convert.html import Html
from connector.core.convert.joint import Joint
from connector.core.convert.pair import Wanted, app_side, crm_side, join, value_of
from connector.core.convert.reference import Reference
from connector.core.convert.rendered import AppTemplate, CrmTemplate, Rendered, field_named
from connector.core.mapping import LineSpec, Template
from connector.core.schema import Column, CrmField, FieldType, Metadata
from connector.core.template import CompiledTemplate, TemplateProblem, compile_template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.core.line import Converter

_Item = TypeVar("_Item")
_RENDERED: Final = CrmField("", "template", FieldType.TEXT)
_RENDERED_HTML: Final = CrmField("", "template", FieldType.HTML)
_PAIR: Final = 2
_AMOUNT_KINDS: Final = ("number", "integer")
_CODE_KINDS: Final = ("text", "enum", "other")
_AMOUNTS: Final = (FieldType.NUMBER, FieldType.INTEGER)


def converter_for(
    spec: LineSpec, columns: Sequence[Column], fields: Sequence[CrmField], metadata: Metadata
) -> Converter:
    """The converter of a line; ImpossiblePairError says what would fit.

    `columns` and `fields` are those that the line names, in its order; of a template, those that it mentions.
    """
    if isinstance(spec.column, Template):
        return _from_app_template(spec, spec.column, columns, _one(fields, "a template over columns"), metadata)
    if isinstance(spec.crm, Template):
        return _from_crm_template(spec, spec.crm, _one(columns, "a template over CRM fields"), fields, metadata)
    if len(columns) == 1 and len(fields) == 1:
        return _single(spec, columns[0], fields[0], metadata)
    return _composite(spec, columns, fields)


def _single(spec: LineSpec, column: Column, field: CrmField, metadata: Metadata) -> Converter:
    if spec.link is not None:
        return _reference(spec, spec.link, column, field)
    return join(_wanted(spec, column, field, metadata))


def _wanted(spec: LineSpec, column: Column, field: CrmField, metadata: Metadata) -> Wanted:
    name = spec.converter or infer(column, field, mapped=bool(spec.values))
    check(name, column, field, mapped=bool(spec.values))
    return Wanted(name, column, field, metadata, spec.values, spec.too_long)


def _reference(spec: LineSpec, mapping: str, column: Column, field: CrmField) -> Converter:
    if field.type not in REFERENCES:
        raise ImpossiblePairError(
            f"link: needs a CRM field that points to a record; {field.name!r} is {field.type.value}"
        )
    if spec.values or spec.converter not in (None, "id", "link"):
        raise ImpossiblePairError("link: stands alone: it takes neither values: nor another as:")
    return Joint(sides.OneColumn(column), sides.OneField(field.key, sides.as_id), Reference(mapping, column))


def _composite(spec: LineSpec, columns: Sequence[Column], fields: Sequence[CrmField]) -> Converter:
    if spec.values or spec.link is not None:
        raise ImpossiblePairError("values: and link: need one column and one CRM field")
    types = tuple(field.type for field in fields)
    made = _money(columns, fields, types) or _due(columns, fields, types)
    if made is None or spec.converter not in (None, made[0]):
        raise ImpossiblePairError(
            "this is no composite: [amount, currency] columns fit a monetary field or [value, currency] as: money; a "
            "timestamp, a date, or [date, time] columns fit [date, time] fields as: datetime"
        )
    return made[1]


def _money(
    columns: Sequence[Column], fields: Sequence[CrmField], types: tuple[FieldType, ...]
) -> tuple[str, Converter] | None:
    if len(columns) != _PAIR or columns[0].kind not in _AMOUNT_KINDS or columns[1].kind not in _CODE_KINDS:
        return None
    app, amount = sides.SeveralColumns(columns), numbers.Number(columns[0])
    if types == (FieldType.MONEY,):
        return "money", Joint(app, numbers.MoneyField(fields[0].key), numbers.Money(amount, columns[1], needed=True))
    if len(types) == _PAIR and types[0] in _AMOUNTS and types[1] is FieldType.CURRENCY:
        side = numbers.ValueAndCurrency(fields[0].key, fields[1].key)
        return "money", Joint(app, side, numbers.Money(amount, columns[1], needed=False))
    return None


def _due(
    columns: Sequence[Column], fields: Sequence[CrmField], types: tuple[FieldType, ...]
) -> tuple[str, Converter] | None:
    if types != (FieldType.DATE, FieldType.TIME):
        return None
    due = dates.DueFields(fields[0].key, fields[1].key)
    kinds = tuple(column.kind for column in columns)
    if kinds == ("date",):
        return "datetime", Joint(sides.OneColumn(columns[0]), sides.OneField(fields[0].key), dates.Date(columns[0]))
    if kinds in (("timestamptz",), ("timestamp",), ("text",)):
        return "datetime", Joint(sides.OneColumn(columns[0]), due, dates.Instant(columns[0]))
    if kinds == ("date", "time"):
        return "datetime", Joint(sides.SeveralColumns(columns), due, dates.DayAndTime(*columns))
    return None


def _from_app_template(
    spec: LineSpec, template: Template, given: Sequence[Column], field: CrmField, metadata: Metadata
) -> Converter:
    compiled = _compiled(template)
    missing = sorted(compiled.names - {column.name for column in given})
    if missing:
        raise ImpossiblePairError(
            f"the template mentions {', '.join(map(repr, missing))}, which is no column of the table"
        )
    used = tuple(column for column in given if column.name in compiled.names)
    html = field.type is FieldType.HTML
    wanted = _wanted(spec, columns.TEXT, field, metadata)
    value = Html(columns.TEXT, field.max_length) if html else value_of(wanted)
    return Joint(AppTemplate(compiled, used, html), crm_side(wanted), Rendered(value))


def _from_crm_template(
    spec: LineSpec, template: Template, column: Column, given: Sequence[CrmField], metadata: Metadata
) -> Converter:
    compiled = _compiled(template)
    named = {name: field_named(name, given) for name in compiled.names}
    missing = sorted(name for name, field in named.items() if field is None)
    if missing:
        raise ImpossiblePairError(
            f"the template mentions {', '.join(map(repr, missing))}, which is no field of the CRM"
        )
    html = spec.converter == "html"
    wanted = _wanted(spec, column, _RENDERED_HTML if html else _RENDERED, metadata)
    found = {name: field for name, field in named.items() if field is not None}
    return Joint(app_side(wanted), CrmTemplate(compiled, found, metadata, html), Rendered(value_of(wanted)))


def _compiled(template: Template) -> CompiledTemplate:
    try:
        return compile_template(template.source)
    except TemplateProblem as problem:
        raise ImpossiblePairError(f"template, line {problem.line}: {problem.message}") from problem


def _one(items: Sequence[_Item], what: str) -> _Item:
    if len(items) != 1:
        raise ImpossiblePairError(f"{what} needs exactly one target")
    return items[0]
