"""The application's rows, read and written in a given transaction, many at a time.

Every value travels in PostgreSQL's own text spelling (arrays and json as JSON text), so that no type is ever converted
twice. Written are mapped columns only; every statement says under which mapping's origin it runs, so that the capture
triggers do not report our own writes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import asyncpg
import orjson

from connector.core.errors import SchemaMovedError
from connector.core.model import AppKey, Row
from connector.core.schema import Column, Table
from connector.local.catalogue import Connection, quote_ident, quote_literal

_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
MISFITS: Final = (asyncpg.DataError, asyncpg.CheckViolationError)
"""What PostgreSQL says to a value that a type cannot hold; the second is also a domain's own check."""
_CONSTRAINTS: Final = "23"
"""The class of SQLSTATEs for violated constraints."""
_BITS: Final = {"smallint": 15, "integer": 31}


@dataclass(frozen=True, slots=True)
class RowRefusedError(Exception):
    """PostgreSQL refused a row: the SQLSTATE, and the constraint or column it names."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as one mapping sees it: its key and the columns that are read."""

    origin: str
    table: Table
    key: str
    columns: tuple[str, ...]

    @property
    def sql_name(self) -> str:
        """The table's quoted name."""
        return f"{quote_ident(self.table.schema)}.{quote_ident(self.table.name)}"

    @property
    def sql_key(self) -> str:
        """The key column, qualified."""
        return f"t.{quote_ident(self.key)}"

    @property
    def key_type(self) -> str:
        """The type in which a text is compared with the key."""
        return _unbounded(self.table.columns[self.key])

    @property
    def select_list(self) -> str:
        """The key, every column as text, and whether the columns are those that were last seen."""
        columns = [self.table.columns[name] for name in self.columns]
        return ", ".join([f"{self.sql_key}::text", *map(as_text, columns), self._sql_unmoved(columns)])

    def row(self, record: asyncpg.Record) -> Row:
        """A fetched record as a row; SchemaMovedError where a column was made anew, whose emptiness is no edit."""
        if not record[-1]:
            raise SchemaMovedError(f"{self.sql_name} is not as it was last seen")
        return Row(AppKey(record[0]), dict(zip(self.columns, record[1:-1], strict=True)))

    def _sql_unmoved(self, columns: Sequence[Column]) -> str:
        """SQL that is true while the columns have the numbers under which they were last seen; computed once a query."""
        known = [f"({quote_literal(column.name)}, {column.number})" for column in columns if column.number]
        if not known:
            return "true"
        return (
            f"(select count(*) = {len(known)} from pg_catalog.pg_attribute a "
            f"where a.attrelid = {quote_literal(self.sql_name)}::regclass and (a.attname, a.attnum) in ({', '.join(known)}))"
        )


def _unbounded(column: Column) -> str:
    """The column's type without a length, to which a cast would cut a text."""
    if column.max_length is None:
        return column.type
    return "varchar" if "varying" in column.plain_type else "bpchar"


def as_text(column: Column) -> str:
    """SQL that reads a column in its spelling."""
    name = f"t.{quote_ident(column.name)}"
    return f"to_json({name})::text" if column.kind == "array" else f"{name}::text"


def from_text(column: Column, source: str) -> str:
    """SQL that turns a spelling back into the column's type."""
    if column.kind == "array":
        element = column.element.type if column.element is not None else column.type.removesuffix("[]")
        return (
            f"case when {source} is null then null "
            f"else array(select jsonb_array_elements_text({source}::jsonb)::{element}) end::{column.type}"
        )
    return f"{source}::{column.type}"


@contextmanager
def as_last_seen(shape: Shape) -> Iterator[None]:
    """SchemaMovedError where a statement that only reads names what is not there any more, or may not be read."""
    try:
        yield
    except (asyncpg.UndefinedColumnError, asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError) as error:
        raise SchemaMovedError(f"{shape.sql_name} is not as it was last seen") from error


async def read(db: Connection, shape: Shape, keys: Iterable[AppKey], *, lock: bool = False) -> Mapping[AppKey, Row]:
    """The rows that exist. With `lock` they stay locked until the transaction ends; rows locked elsewhere are left out."""
    with as_last_seen(shape):
        rows = await db.fetch(
            f"select {shape.select_list} from {shape.sql_name} t "
            f"where {shape.sql_key} = any($1::text[]::{shape.key_type}[]) {'for update skip locked' if lock else ''}",
            sorted(keys),
        )
    return {AppKey(row[0]): shape.row(row) for row in rows}


async def existing(db: Connection, shape: Shape, keys: Iterable[AppKey]) -> frozenset[AppKey]:
    """Which of the keys have a row; a text that cannot be a key of the table has none."""
    with as_last_seen(shape):
        rows = await db.fetch(
            f"select {shape.sql_key}::text from {shape.sql_name} t "
            f"where {shape.sql_key} = any($1::text[]::{shape.key_type}[])",
            sorted(key for key in keys if may_be_key(shape, key)),
        )
    return frozenset(AppKey(row[0]) for row in rows)


async def referring(db: Connection, shape: Shape, column: str, keys: Iterable[AppKey]) -> Mapping[AppKey, AppKey]:
    """The rows whose column holds one of the keys, and which one."""
    name, kind = f"t.{quote_ident(column)}", _unbounded(shape.table.columns[column])
    with as_last_seen(shape):
        rows = await db.fetch(
            f"select {shape.sql_key}::text, {name}::text from {shape.sql_name} t where {name} = any($1::text[]::{kind}[])",
            sorted(key for key in keys if _fits(shape.table.columns[column], key)),
        )
    return {AppKey(row[0]): AppKey(row[1]) for row in rows}


def may_be_key(shape: Shape, key: AppKey) -> bool:
    """True when PostgreSQL can read the text as a key of the table."""
    return _fits(shape.table.columns[shape.key], key)


def _fits(column: Column, key: AppKey) -> bool:
    kind, bits = column.kind, _BITS.get(_unbounded(column), 63)
    if kind == "integer":
        return _INTEGER.fullmatch(key) is not None and -(2**bits) <= int(key) < 2**bits
    return kind != "uuid" or _UUID.fullmatch(key) is not None


async def keys(db: Connection, shape: Shape, after: AppKey | None, limit: int) -> Sequence[AppKey]:
    """Keys in their order, beginning behind `after`."""
    where = f"where {shape.sql_key} > $2::text::{shape.key_type}" if after is not None else "where $2::text is null"
    with as_last_seen(shape):
        rows = await db.fetch(
            f"select {shape.sql_key}::text from {shape.sql_name} t {where} order by {shape.sql_key} limit $1",
            limit,
            after,
        )
    return [AppKey(row[0]) for row in rows]


async def find(
    db: Connection, shape: Shape, expressions: Sequence[str], values: Sequence[Sequence[str]]
) -> Sequence[Row]:
    """Rows for which each expression (SQL over `t`) equals its part of a value tuple, not always of the same one.

    Written so that an index on one of the expressions is used; whoever asks compares the rows again.
    """
    wanted = " and ".join(f"{expression} = any(${n}::text[])" for n, expression in enumerate(expressions, 1))
    with as_last_seen(shape):
        rows = await db.fetch(
            f"select {shape.select_list} from {shape.sql_name} t where {wanted}",
            *[sorted({value[n] for value in values}) for n in range(len(expressions))],
        )
    return [shape.row(row) for row in rows]


async def wait_at_most(db: Connection, patience: timedelta | None) -> None:
    """How long the statements of this transaction wait for a lock (None: as the database says)."""
    if patience is None:
        await db.execute("set local lock_timeout to default")
    else:
        await db.execute(f"set local lock_timeout = '{round(patience.total_seconds() * 1000)}ms'")


async def say_origin(db: Connection, shape: Shape) -> None:
    """Marks the inserts and updates that follow in this transaction as this mapping's own writing."""
    await db.execute("select set_config('connector.origin', $1, true)", shape.origin)


async def _say_deleting(db: Connection, shape: Shape, keys: Sequence[AppKey]) -> None:
    """Marks the deletion of these rows, and nothing else that follows in this transaction, as this mapping's own."""
    await db.execute(
        """select set_config('connector.origin', '', true), set_config('connector.deleting', $1, true),
                  set_config('connector.deleted', $2::text[]::text, true)""",
        shape.origin,
        keys,
    )


async def update(
    db: Connection, shape: Shape, changes: Mapping[AppKey, Mapping[str, str | None]]
) -> Mapping[AppKey, Row]:
    """Writes columns of rows and returns the rows as they are now, the application's own triggers included."""
    groups: dict[tuple[str, ...], list[AppKey]] = defaultdict(list)
    for key, columns in changes.items():
        groups[tuple(sorted(columns))].append(key)
    written: dict[AppKey, Row] = {}
    await say_origin(db, shape)
    for names, keys in groups.items():
        written |= await _update_alike(db, shape, names, {key: changes[key] for key in sorted(keys)})
    return written


async def _update_alike(
    db: Connection, shape: Shape, names: tuple[str, ...], changes: Mapping[AppKey, Mapping[str, str | None]]
) -> Mapping[AppKey, Row]:
    sets = ", ".join(
        f"{quote_ident(name)} = {from_text(shape.table.columns[name], f'n.v{n}')}" for n, name in enumerate(names)
    )
    rows = await db.fetch(
        f"update {shape.sql_name} t set {sets} from {_recordset(len(names))} "
        f"where {shape.sql_key} = n.key::{shape.key_type} returning {shape.select_list}",
        _records([(key, *(columns[name] for name in names)) for key, columns in changes.items()]),
    )
    return {AppKey(row[0]): shape.row(row) for row in rows}


async def insert(db: Connection, shape: Shape, rows: Sequence[Mapping[str, str | None]]) -> Sequence[Row]:
    """Adds rows, in order; as they are stored. Keys that no column gives come from the key's default, drawn first."""
    if not rows:
        return []
    await say_origin(db, shape)
    keyed = [row if shape.key in row else dict(row) for row in rows]
    missing = [row for row in keyed if shape.key not in row]
    for row, key in zip(missing, await _new_keys(db, shape, len(missing)), strict=True):
        row[shape.key] = key  # type: ignore[index]
    stored: dict[str, Row] = {}
    for group, members in _alike(keyed).items():
        stored |= await _insert_alike(db, shape, group, members)
    return [stored[str(row[shape.key])] for row in keyed]


def _alike(rows: Sequence[Mapping[str, str | None]]) -> Mapping[tuple[str, ...], list[Mapping[str, str | None]]]:
    """Rows by the columns they give: a column that a row leaves out takes its default."""
    groups: dict[tuple[str, ...], list[Mapping[str, str | None]]] = defaultdict(list)
    for row in rows:
        groups[tuple(sorted(row))].append(row)
    return groups


async def _insert_alike(
    db: Connection, shape: Shape, names: tuple[str, ...], rows: Sequence[Mapping[str, str | None]]
) -> Mapping[str, Row]:
    values = ", ".join(from_text(shape.table.columns[name], f"n.v{n}") for n, name in enumerate(names))
    overriding = "overriding system value" if shape.table.columns[shape.key].identity else ""
    found = await db.fetch(
        f"insert into {shape.sql_name} as t ({', '.join(quote_ident(name) for name in names)}) {overriding} "
        f"select {values} from {_recordset(len(names))} returning {shape.select_list}",
        _records([("", *(row[name] for name in names)) for row in rows]),
    )
    return {row[0]: shape.row(row) for row in found}


def _recordset(columns: int) -> str:
    """SQL for parameter 1 as rows `n` of texts: key, v0, v1, … One JSON text costs a quarter of as many arrays."""
    return f"json_to_recordset($1::json) n(key text, {', '.join(f'v{n} text' for n in range(columns))})"


def _records(rows: Sequence[Sequence[str | None]]) -> str:
    names = ["key", *(f"v{n}" for n in range(len(rows[0]) - 1))] if rows else []
    return orjson.dumps([dict(zip(names, row, strict=True)) for row in rows]).decode()


async def _new_keys(db: Connection, shape: Shape, count: int) -> Sequence[str]:
    default = shape.table.columns[shape.key].default
    if not count or default is None:
        return []
    rows = await db.fetch(f"select ({default})::text from generate_series(1, $1)", count)
    return [row[0] for row in rows]


async def unreadable(db: Connection, shape: Shape, row: Mapping[str, str | None]) -> frozenset[str]:
    """The columns whose text PostgreSQL cannot read as their type."""
    found = set()
    for name, text in row.items():
        try:
            async with db.transaction():
                await db.execute(f"select {from_text(shape.table.columns[name], '$1::text')}", text)
        except MISFITS:
            found.add(name)
    return frozenset(found)


def emptied(error: asyncpg.NotNullViolationError, row: Mapping[str, str | None]) -> frozenset[str]:
    """The column that takes no null, where it is the row that would write one."""
    name = str(getattr(error, "column_name", None) or "")
    return frozenset({name} if row.get(name, "") is None else ())


async def delete(db: Connection, shape: Shape, keys: Iterable[AppKey]) -> None:
    """Removes rows."""
    wanted = sorted(keys)
    await _say_deleting(db, shape, wanted)
    await db.execute(
        f"delete from {shape.sql_name} t where {shape.sql_key} = any($1::text[]::{shape.key_type}[])", wanted
    )


def refusal(error: asyncpg.PostgresError) -> RowRefusedError:
    """What a person may know of an error: its code and the names in it, never values.

    Only a violated constraint is named by PostgreSQL itself; a trigger of the application may name anything.
    """
    code = str(getattr(error, "sqlstate", "") or "unknown")
    name = getattr(error, "constraint_name", None) or getattr(error, "column_name", None) or ""
    return RowRefusedError(code, str(name) if code.startswith(_CONSTRAINTS) else "")
