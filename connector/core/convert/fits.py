"""Which `as:` fits which CRM field, and which columns each takes: the table behind inference and its complaints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connector.core.schema import Column, CrmField, FieldType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = FieldType
_TEXTUAL: Final = ("text", "enum", "other")
_TYPED_TEXT: Final = ("text", "integer", "number", "boolean", "date", "time", "datetime")

NAMES: Final = (
    "text", "integer", "number", "boolean", "date", "datetime", "time", "duration", "money", "enum", "set", "primary",
    "list", "user_email", "user_id", "org_name", "label", "pipeline", "stage", "address", "html", "link", "id",
)  # fmt: skip

FITS: Final[Mapping[FieldType, tuple[str, ...]]] = {
    T.TEXT: _TYPED_TEXT,
    T.LONG_TEXT: _TYPED_TEXT,
    T.PHONE: ("text",),
    T.HTML: ("text", "html"),
    T.INTEGER: ("integer", "number"),
    T.NUMBER: ("number", "integer"),
    T.BOOLEAN: ("boolean",),
    T.DATE: ("date", "datetime"),
    T.DATETIME: ("datetime", "date"),
    T.TIME: ("time",),
    T.DURATION: ("duration",),
    T.MONEY: ("money", "number"),
    T.CURRENCY: ("text",),
    T.ENUM: ("enum", "label"),
    T.KEY: ("enum", "text", "label"),
    T.SET: ("set", "label"),
    T.USER: ("user_email", "user_id"),
    T.PIPELINE: ("pipeline", "id"),
    T.STAGE: ("stage", "id"),
    T.ORG: ("id",),
    T.PERSON: ("id",),
    T.DEAL: ("id",),
    T.LEAD: ("id",),
    T.EMAILS: ("primary", "list"),
    T.PHONES: ("primary", "list"),
    T.ADDRESS: ("address",),
    T.ID: ("id",),
}
"""By field type; what is inferred first comes first."""

_MOMENTS: Final = ("timestamptz", "timestamp", "date", "text")
TAKES: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text", "enum", "uuid", "integer", "number", "boolean", "date", "time", "timestamp", "timestamptz",
             "interval", "json", "array", "other"),
    "integer": ("integer", "number", "text"),
    "number": ("number", "integer", "text"),
    "boolean": ("boolean", "text", "integer"),
    "date": _MOMENTS,
    "datetime": _MOMENTS,
    "time": ("time", "text"),
    "duration": ("integer", "interval", "number", "text"),
    "money": ("number", "integer", "text"),
    "enum": _TEXTUAL,
    "set": ("array", "json"),
    "primary": _TEXTUAL,
    "list": ("array", "json"),
    "user_email": _TEXTUAL,
    "user_id": ("integer", "text", "number"),
    "label": _TEXTUAL,
    "pipeline": _TEXTUAL,
    "stage": _TEXTUAL,
    "address": ("text", "json", "other"),
    "html": ("text", "other"),
    "id": ("integer", "text", "uuid", "number"),
}  # fmt: skip
"""Column kinds by `as:`."""

MAPPABLE: Final = frozenset(NAMES) - {"money", "address", "html", "duration", "link"}
"""What a `values:` map may stand before."""

REFERENCES: Final = frozenset({T.ORG, T.PERSON, T.DEAL, T.LEAD, T.USER, T.PIPELINE, T.STAGE})
"""Fields that hold the id of a record: what `link:` is for."""


class ImpossiblePairError(Exception):
    """This column and this CRM field cannot be one line; the message says what would fit."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def infer(column: Column, field: CrmField, *, mapped: bool) -> str:
    """The `as:` for a pair that names none. With a `values:` map any column does that can spell the map's words."""
    fitting = FITS.get(field.type, ())
    if mapped and fitting:
        lists = column.kind in ("array", "json")
        return next((name for name in fitting if (name in ("set", "list")) == lists), fitting[0])
    found = next((name for name in fitting if column.kind in TAKES[name]), None)
    if found is None or _needs_a_word(found, column, field):
        raise ImpossiblePairError(complaint(column, field))
    return found


def _needs_a_word(found: str, column: Column, field: CrmField) -> bool:
    """True where guessing would surprise: a set cut down to one label, a text column of raw ids."""
    one_of_a_set = found == "label" and field.custom and field.type is T.SET
    raw_ids = found == "id" and column.kind == "text" and field.type in REFERENCES
    return one_of_a_set or raw_ids


def check(name: str, column: Column, field: CrmField, *, mapped: bool) -> None:
    """ImpossiblePairError unless `as: name` fits both the field and the column."""
    if name == "org_name":
        raise ImpossiblePairError(
            "as: org_name is not supported: the CRM's records hold only the organization's id. Map organizations and "
            "use link: with that mapping's name"
        )
    if name not in NAMES:
        raise ImpossiblePairError(f"as: {name} is unknown; known: {', '.join(NAMES)}")
    if name not in FITS.get(field.type, ()):
        raise ImpossiblePairError(f"as: {name} does not fit {_field(field)}; {_alternatives(field)}")
    if not mapped and column.kind not in TAKES[name]:
        raise ImpossiblePairError(complaint(column, field, name))
    if mapped and name not in MAPPABLE:
        raise ImpossiblePairError(f"as: {name} takes no values: map")


def complaint(column: Column, field: CrmField, name: str | None = None) -> str:
    """Why the pair is impossible and what would be right."""
    pair = f"column {column.name!r} ({column.type}) does not fit {_field(field)}"
    return f"{pair}; {_alternatives(field) if name is None else _takes(name)}"


def _field(field: CrmField) -> str:
    return f"CRM field {field.name!r} ({field.type.value})"


def _alternatives(field: CrmField) -> str:
    fitting = FITS.get(field.type, ())
    if not fitting:
        return "fields of this type cannot be mapped"
    link = "link: with the name of a mapping, " if field.type in REFERENCES else ""
    return f"what fits: {link}{'; '.join(_takes(name) for name in fitting)}"


def _takes(name: str) -> str:
    return f"as: {name} with a column of kind {_any_of(TAKES[name])}"


def _any_of(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
