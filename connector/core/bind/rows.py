"""What a mapping asks of its table beside its lines: the key, columns that an insert must fill, constants, filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from connector.core.bind.lines import Joined
from connector.core.bind.scope import Scope
from connector.core.convert import columns
from connector.core.line import HeldError
from connector.core.mapping import Keyword, SetValue
from connector.core.schema import Column, Table

_KEY_KINDS: Final = ("integer", "uuid", "text")
_TIME_KINDS: Final = ("timestamp", "timestamptz")
_MOMENTS: Final = (*_TIME_KINDS, "date", "text")


def check_table(scope: Scope, table: Table, lines: Iterable[Joined]) -> None:
    """Notes everything that the table does not have or forbids."""
    if table.relation != "table":
        name = f"{table.schema}.{table.name}"
        scope.wrong(f"{name} is a {table.relation}: no trigger can note its changes; map the table behind it", "table")
        return
    _check_key(scope, table)
    for path in ("set.app", "deletes.receive.set"):
        _check_assigned(scope, path)
    for condition in scope.spec.only_send:
        scope.column(condition.name, f"only.send.{condition.name}")
    _check_updated_at(scope)
    if scope.spec.direction.receives:
        _check_filled(scope, table, set(_filled(scope, lines)))


def _check_key(scope: Scope, table: Table) -> None:
    column = scope.column(scope.spec.key, "key")
    if column is None:
        return
    if table.primary_key != (column.name,):
        found = ", ".join(table.primary_key)
        message = f"the primary key is ({found})" if found else f"{table.schema}.{table.name} has no primary key"
        scope.wrong(f"{column.name!r} must be the table's primary key; {message}", "key")
    elif column.kind not in _KEY_KINDS:
        scope.wrong(f"the key must be an integer, uuid or text; {column.name!r} is {column.type}", "key")


def _check_assigned(scope: Scope, path: str) -> None:
    assigned = scope.spec.set_app if path == "set.app" else scope.spec.deletes.set
    for name, value in assigned.items():
        column = scope.column(name, f"{path}.{name}")
        reason = _unassignable(column, value) if column is not None else None
        if reason is not None:
            scope.wrong(f"column {name!r} {reason}", f"{path}.{name}")


def _unassignable(column: Column, value: SetValue) -> str | None:
    """Why the column cannot be given the value; None when it can."""
    if column.generated:
        return "is generated and cannot be written"
    if value is Keyword.NULL or value is None:
        return None if column.nullable else "is NOT NULL and cannot be set to null"
    if value is Keyword.NOW:
        return None if column.kind in _MOMENTS else f"({column.type}) takes no time; now in quotes is text"
    try:
        columns.fit(column, columns.spelled(value))
    except HeldError as error:
        labels = f"; labels: {', '.join(column.labels)}" if column.labels else ""
        return f"({column.type}) cannot hold {value!r}: {error.cause}{labels}"
    return None


def _check_updated_at(scope: Scope) -> None:
    if scope.spec.updated_at is None:
        if scope.spec.backfill.since is not None:
            scope.warn("backfill since needs updated_at to tell how old a row is: no old row is sent", "backfill")
        return
    column = scope.column(scope.spec.updated_at, "updated_at")
    if column is not None and column.kind not in _TIME_KINDS:
        scope.wrong(f"updated_at must be a timestamp; {column.name!r} is {column.type}", "updated_at")


def _filled(scope: Scope, lines: Iterable[Joined]) -> Iterator[str]:
    yield from scope.spec.set_app
    for line in lines:
        if line.receives:
            yield from (column.name for column in line.columns)


def _check_filled(scope: Scope, table: Table, filled: set[str]) -> None:
    for column in table.columns.values():
        if column.name in filled or _fills_itself(column):
            continue
        if column.name in _of_lines_aside(scope):
            scope.met.incomplete = True
            continue
        if column.name == scope.spec.key:
            message = (
                f"rows are inserted, but the key {column.name!r} ({column.type}) has no default and no line fills it"
            )
            scope.wrong(message, "key")
        else:
            message = (
                f"rows are inserted, but column {column.name!r} is NOT NULL without a default and no line fills it"
            )
            scope.wrong(f"{message}; add a line or set.app", "fields")


def _of_lines_aside(scope: Scope) -> set[str]:
    """The columns that are without a line only because it is set aside."""
    if not scope.met.aside:
        return set()
    return {name for line in scope.spec.lines if isinstance(line.column, tuple) for name in line.column}


def _fills_itself(column: Column) -> bool:
    return column.nullable or column.default is not None or column.generated or column.identity
