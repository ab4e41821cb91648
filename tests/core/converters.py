"""An account's definitions and short ways to make converters, for the tests of convert, match and filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.core.convert import converter_for
from connector.core.line import Refs
from connector.core.mapping import FieldName, LineSpec, Position, Template, TooLong
from connector.core.model import AppKey, CrmId
from connector.core.schema import Column, CrmField, FieldType, Metadata, Option, Stage, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connector.core.line import Converter

AT = Position("contact.yaml", 1, 1)
OPTIONS = (Option("31", "Gold"), Option("32", "Silver"), Option("33", "Straße"))
METADATA = Metadata(
    pipelines={"1": "Sales", "2": "Renewal"},
    stages=(Stage("1", "New", "1"), Stage("2", "Won", "1"), Stage("3", "New", "2")),
    users=(
        User("7", "Ana", "ana@acme.test"),
        User("8", "Old Bob", "bob@acme.test", active=False),
        User("9", "Old Ana", "ana@acme.test", active=False),
    ),
)
REFS = Refs({("company", AppKey("5")): CrmId("12")}, {("company", CrmId("12")): AppKey("5")})

COLUMNS = {
    "text": Column("c", "text", "text"),
    "varchar5": Column("c", "character varying(5)", "text", max_length=5),
    "required": Column("c", "text", "text", nullable=False),
    "smallint": Column("c", "smallint", "integer"),
    "integer": Column("c", "integer", "integer"),
    "bigint": Column("c", "bigint", "integer"),
    "numeric": Column("c", "numeric", "number"),
    "numeric(10,2)": Column("c", "numeric(10,2)", "number"),
    "real": Column("c", "real", "number"),
    "double": Column("c", "double precision", "number"),
    "boolean": Column("c", "boolean", "boolean"),
    "date": Column("c", "date", "date"),
    "time": Column("c", "time without time zone", "time"),
    "interval": Column("c", "interval", "interval"),
    "timestamp": Column("c", "timestamp without time zone", "timestamp"),
    "timestamptz": Column("c", "timestamp with time zone", "timestamptz"),
    "uuid": Column("c", "uuid", "uuid"),
    "jsonb": Column("c", "jsonb", "json"),
    "jsonb not null": Column("c", "jsonb", "json", nullable=False),
    "text[]": Column("c", "text[]", "array"),
    "text[] not null": Column("c", "text[]", "array", nullable=False),
    "inet": Column("c", "inet", "other"),
}


def field(of: FieldType, *, name: str = "F", custom: bool = True, max_length: int | None = None) -> CrmField:
    """A field of the type, key f; options where the type has some."""
    options = (Option("call", "Call"), Option("lunch", "Lunch")) if of is FieldType.KEY else OPTIONS
    held = options if of in (FieldType.ENUM, FieldType.SET, FieldType.KEY) else ()
    return CrmField("f", name, of, custom=custom, options=held, max_length=max_length)


def one(
    column: str | Column,
    of: FieldType | CrmField,
    converter: str | None = None,
    *,
    values: Mapping[str, str] | None = None,
    link: str | None = None,
    too_long: TooLong = TooLong.HOLD,
) -> Converter:
    """The converter of one column, c, and one field, f."""
    target = field(of) if isinstance(of, FieldType) else of
    spec = LineSpec(
        AT, ("c",), (FieldName("F"),), converter=converter, values=values or {}, link=link, too_long=too_long
    )
    return converter_for(spec, [COLUMNS[column] if isinstance(column, str) else column], [target], METADATA)


def several(columns: Mapping[str, str], fields: Mapping[str, FieldType], converter: str | None = None) -> Converter:
    """The converter of a composite; both sides as name → kind."""
    named = [
        Column(name, COLUMNS[kind].type, COLUMNS[kind].kind, nullable=COLUMNS[kind].nullable)
        for name, kind in columns.items()
    ]
    wanted = [CrmField(key, key, of) for key, of in fields.items()]
    spec = LineSpec(AT, tuple(columns), tuple(FieldName(key) for key in fields), converter=converter)
    return converter_for(spec, named, wanted, METADATA)


def sending(source: str, columns: Mapping[str, str], target: FieldType, **more: str) -> Converter:
    """The converter of a template over columns, given as name → kind."""
    named = [Column(name, COLUMNS[kind].type, COLUMNS[kind].kind) for name, kind in columns.items()]
    spec = LineSpec(AT, Template(source), (FieldName("F"),), converter=more.get("converter"))
    return converter_for(spec, named, [field(target)], METADATA)
