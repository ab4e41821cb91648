"""Templates as sources: a side that is rendered instead of read, and never written.

A template that fails for a record renders as `FAILED`, which no conversion accepts: the line is held, nothing cleared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connector.core.convert import choice, columns, decimals
from connector.core.convert.causes import Cause
from connector.core.convert.contact import elements
from connector.core.convert.joint import Value
from connector.core.convert.sides import as_id, as_ids
from connector.core.line import HeldError, Refs
from connector.core.model import ABSENT, CrmValue, Json
from connector.core.schema import Column, CrmField, FieldType, Metadata
from connector.core.template import CompiledTemplate, RenderError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from decimal import Decimal

FAILED: Final[Json] = {"failed": "template"}
_NO_WORD: Final = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class AppTemplate:
    """A text rendered from the row's columns."""

    template: CompiledTemplate
    columns: Sequence[Column]
    html: bool

    def read(self, columns: Mapping[str, str | None], /) -> Json:
        """The text without blanks around it."""
        values = {column.name: typed(column, columns[column.name]) for column in self.columns}
        return _render(self.template, values, html=self.html)

    def write(self, _: Json, /) -> Mapping[str, str | None]:
        """Nothing: a template is a source."""
        return {}


@dataclass(frozen=True, slots=True)
class CrmTemplate:
    """A text rendered from the CRM record's fields, as people read them: options by label, users by e-mail."""

    template: CompiledTemplate
    fields: Mapping[str, CrmField]
    """By the name in the template."""
    metadata: Metadata
    html: bool

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The text without blanks around it; ABSENT when the payload lacks a field."""
        if any(field.key not in fields for field in self.fields.values()):
            return ABSENT
        values = {name: shown(field, fields[field.key], self.metadata) for name, field in self.fields.items()}
        return _render(self.template, values, html=self.html)

    def write(self, _: Json, __: Mapping[str, Json], /) -> Mapping[str, Json]:
        """Nothing: a template is a source."""
        return {}


@dataclass(frozen=True, slots=True)
class Rendered(Value):
    """Another value over rendered text; a failed template is held."""

    inner: Value

    def to_crm(self, app: Json, refs: Refs, /) -> Json:
        """See `inner`."""
        return self.inner.to_crm(_rendered(app), refs)

    def to_app(self, crm: Json, refs: Refs, /) -> Json:
        """See `inner`."""
        return self.inner.to_app(_rendered(crm), refs)

    def app_form(self, app: Json, /) -> Hashable:
        """See `inner`."""
        return self.inner.app_form(_rendered(app))

    def crm_form(self, crm: Json, /) -> Hashable:
        """See `inner`."""
        return self.inner.crm_form(_rendered(crm))


def typed(column: Column, text: str | None) -> object:
    """A column's value for a template: numbers, truth values and JSON as such, everything else as text."""
    if text is None:
        return None
    try:
        return _TYPED.get(column.kind, str)(text)
    except HeldError:
        return text


def shown(field: CrmField, value: Json, metadata: Metadata) -> object:
    """A field's value for a template, ids replaced by what people call them; an unknown id stays."""
    if field.type in (FieldType.EMAILS, FieldType.PHONES):
        return [item["value"] for item in elements(value)]
    known = known_words(field, metadata)
    if known is None or value is None:
        return value
    if field.type is FieldType.SET:
        ids = as_ids(value)
        return [known.get(str(item), str(item)) for item in ids] if isinstance(ids, list) else []
    return known.get(str(as_id(value)), value)


def known_words(field: CrmField, metadata: Metadata) -> Mapping[str, str] | None:
    """What people call the ids that the field holds; None for fields that hold no such ids."""
    words: dict[FieldType, Callable[[], choice.Choices]] = {
        FieldType.ENUM: lambda: choice.by_label(field.options),
        FieldType.SET: lambda: choice.by_label(field.options),
        FieldType.USER: lambda: choice.users(metadata),
        FieldType.PIPELINE: lambda: choice.pipelines(metadata),
        FieldType.STAGE: lambda: choice.stages(metadata),
    }
    found = words.get(field.type)
    return None if found is None else found().shown


def field_named(name: str, fields: Sequence[CrmField]) -> CrmField | None:
    """The field that a template calls `name`: a built-in one by key, else by name, or by name as an identifier.

    ('Customer tier' is customer_tier.) A custom field comes before a built-in one that people call alike.
    """
    custom_first = sorted(fields, key=lambda field: not field.custom)
    return (
        next((field for field in fields if not field.custom and field.key == name), None)
        or next((field for field in custom_first if field.name == name), None)
        or next((field for field in custom_first if _identifier(field.name) == name), None)
    )


def _identifier(name: str) -> str:
    return _NO_WORD.sub("_", name.strip()).strip("_").lower()


def _number(text: str) -> Decimal | int:
    number = decimals.decimal(text)
    return int(number) if text.lstrip("-").isdigit() else number


_TYPED: Final[Mapping[str, Callable[[str], object]]] = {
    "integer": _number,
    "number": _number,
    "boolean": columns.boolean,
    "json": columns.parsed,
    "array": columns.parsed,
}


def _render(template: CompiledTemplate, values: Mapping[str, object], *, html: bool) -> Json:
    try:
        return template.render(values, html=html).strip()
    except RenderError:
        return FAILED


def _rendered(value: Json) -> Json:
    if value == FAILED:
        raise HeldError(Cause.TEMPLATE_FAILED)
    return value
