"""The plain sides: one column, several columns, no column; one CRM field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connector.core.convert import columns as column_texts
from connector.core.line import HeldError
from connector.core.model import ABSENT, CrmValue, Json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from connector.core.schema import Column


_EMPTY: Final = {"text": "", "json": "{}"}
"""By kind of column: what clears it where it takes no null."""


@dataclass(frozen=True, slots=True)
class OneColumn:
    """One column, as it is. A text column that takes no null is cleared with the empty text, a json one with {}."""

    column: Column

    def read(self, columns: Mapping[str, str | None], /) -> Json:
        """The column's text."""
        return columns[self.column.name]

    def write(self, app: Json, /) -> Mapping[str, str | None]:
        """The column's text."""
        return {self.column.name: _cleared(self.column) if app is None else str(app)}


@dataclass(frozen=True, slots=True)
class CollectionColumn:
    """An array or json column whose elements are the value; without elements it reads as null."""

    column: Column

    def read(self, columns: Mapping[str, str | None], /) -> Json:
        """The column's JSON text, None for an empty list."""
        text = columns[self.column.name]
        return None if text is None or _empty_list(text) else text

    def write(self, app: Json, /) -> Mapping[str, str | None]:
        """The column's JSON text; null, where the column takes it, else the empty list."""
        empty = None if self.column.nullable else "[]"
        return {self.column.name: empty if app is None else str(app)}


@dataclass(frozen=True, slots=True)
class SeveralColumns:
    """A list of the columns' texts; all null reads as null. A later column that takes no null is left as it is."""

    columns: Sequence[Column]

    def read(self, columns: Mapping[str, str | None], /) -> Json:
        """The columns' texts in order."""
        texts: list[Json] = [columns[column.name] for column in self.columns]
        return texts if any(text is not None for text in texts) else None

    def write(self, app: Json, /) -> Mapping[str, str | None]:
        """The columns' texts."""
        if not isinstance(app, list):
            first, *rest = self.columns
            return {first.name: _cleared(first)} | {column.name: None for column in rest if column.nullable}
        return {
            column.name: None if text is None else str(text) for column, text in zip(self.columns, app, strict=True)
        }


@dataclass(frozen=True, slots=True)
class Fixed:
    """No column: a value that an admin wrote."""

    app: Json

    def read(self, _: Mapping[str, str | None], /) -> Json:
        """The value."""
        return self.app

    def write(self, _: Json, /) -> Mapping[str, str | None]:
        """Nothing: there is no column."""
        return {}


@dataclass(frozen=True, slots=True)
class OneField:
    """One CRM field, its value put into our spelling by `seen`."""

    key: str
    seen: Callable[[Json], Json] = lambda value: value

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The field's value."""
        value = fields.get(self.key, ABSENT)
        return ABSENT if value is ABSENT else self.seen(value)

    def write(self, crm: Json, _: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The field's value."""
        return {self.key: crm}


def as_id(value: Json) -> Json:
    """An id as text, whatever the CRM's JSON calls it."""
    return None if value in (None, "") else _id(value)


def as_ids(value: Json) -> Json:
    """Ids as sorted text; None when there are none."""
    items = value if isinstance(value, list) else []
    ids: list[Json] = [*sorted({_id(item) for item in items if item not in (None, "")})]
    return ids or None


def _id(value: Json) -> str:
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else column_texts.dumped(value)


def _cleared(column: Column) -> str | None:
    return None if column.nullable else _EMPTY.get(column.kind)


def _empty_list(text: str) -> bool:
    try:
        return column_texts.parsed(text) in ([], None)
    except HeldError:
        return False
