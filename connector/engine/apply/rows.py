"""Rows: the local writes of a commit, compare-and-set, many at a time; a bad row costs only itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import asyncpg

from connector.core.errors import SchemaMovedError
from connector.core.held_back import held_back
from connector.core.model import AppKey, Row
from connector.core.plan import DeleteRow, InsertRow, UpdateRow
from connector.engine.apply.result import LATER, Batch, Result, grouped, mapping_name, put_off, row_key
from connector.local import tables
from connector.store.db import Connection

PATIENCE = timedelta(milliseconds=30)
"""How long a statement on the app's tables waits for a lock: far below PostgreSQL's deadlock_timeout."""
MOST_WAITS = 5
"""After so many waits of one commit the rest comes back shortly."""


async def write_rows(db: Connection, batch: Batch) -> None:
    """Writes the rows of a batch; each result learns what became of its row."""
    acting = [r for r in batch.results if r.plan is not None and r.plan.row is not None]
    if not acting:
        return
    await tables.wait_at_most(db, PATIENCE)
    for name, group in grouped(acting, lambda r: r.case.mapping.name if r.case.mapping else "").items():
        try:
            await _write_all(db, group[0].case.rules.shapes[name], group, batch)
        except SchemaMovedError:
            put_off(group, LATER)
    await tables.wait_at_most(db, None)


async def _write_all(db: Connection, shape: tables.Shape, group: Sequence[Result], batch: Batch) -> None:
    """All at once; when PostgreSQL refuses, one by one, so that a bad row costs only itself.

    What would have to wait for the app (for a row, a unique value, a table that it has not let go of) comes back
    later: while we hold rows nobody may have to wait for us because we wait for him.
    """
    if batch.waits > MOST_WAITS:
        put_off(group)
        return
    try:
        async with db.transaction():
            written = await _write_group(db, shape, group)
    except asyncpg.PostgresError as error:
        await _refused(db, shape, group, batch, error)
    else:
        for result, row in written:
            result.row = row
            if row is not None and result.plan is not None and isinstance(result.plan.row, InsertRow):
                result.case.link = replace(result.case.link, mapping=mapping_name(result), app_key=row.key)


async def _refused(
    db: Connection, shape: tables.Shape, group: Sequence[Result], batch: Batch, error: asyncpg.PostgresError
) -> None:
    waited = isinstance(error, asyncpg.LockNotAvailableError)
    batch.waits += waited
    if not waited:
        _raise_unless_refusal(error)
    if len(group) > 1:
        for result in group:
            await _write_all(db, shape, [result], batch)
    elif waited:
        put_off(group, LATER)
    elif await _hold_back(db, shape, group[0], error):
        await _write_all(db, shape, group, batch)
    else:
        group[0].refused = tables.refusal(error)


async def _hold_back(db: Connection, shape: tables.Shape, result: Result, error: asyncpg.PostgresError) -> bool:
    """True when the row can go on without values that no column of their type holds, or a null that one does not take."""
    plan = result.plan
    if plan is None or not isinstance(plan.row, InsertRow | UpdateRow):
        return False
    if isinstance(error, tables.MISFITS):
        result.plan = held_back(plan, await tables.unreadable(db, shape, plan.row.columns))
    elif isinstance(error, asyncpg.NotNullViolationError):
        result.plan = held_back(plan, tables.emptied(error, plan.row.columns))
    return result.plan is not plan


async def _lock_rows(db: Connection, shape: tables.Shape, group: Sequence[Result]) -> None:
    keys = [r.case.link.app_key for r in group if r.case.link.app_key is not None]
    held = await tables.read(db, shape, keys, lock=True) if keys else {}
    for result in group:
        now = held.get(AppKey(str(result.case.link.app_key)))
        result.stale = now is None or result.case.row is None or now.columns != result.case.row.columns


async def _write_group(
    db: Connection, shape: tables.Shape, group: Sequence[Result]
) -> Sequence[tuple[Result, Row | None]]:
    """The rows as they are stored, of those that still held what was observed."""
    await _lock_rows(db, shape, [r for r in group if not isinstance(r.plan and r.plan.row, InsertRow)])
    acting = [(r, r.plan.row) for r in group if r.plan is not None and not r.stale]
    inserts = [(r, action) for r, action in acting if isinstance(action, InsertRow)]
    updates = [(r, action) for r, action in acting if isinstance(action, UpdateRow)]
    deletes = [row_key(r) for r, action in acting if isinstance(action, DeleteRow)]
    stored = await tables.insert(db, shape, [action.columns for _, action in inserts])
    written = await tables.update(db, shape, {row_key(r): action.columns for r, action in updates}) if updates else {}
    if deletes:
        await tables.delete(db, shape, deletes)
    return [
        *zip((r for r, _ in inserts), stored, strict=True),
        *((r, written.get(row_key(r))) for r, _ in updates),
    ]


def _raise_unless_refusal(error: asyncpg.PostgresError) -> None:
    """Data, constraint and privilege errors are the row's; anything else is the database's."""
    if str(getattr(error, "sqlstate", ""))[:2] not in {"22", "23", "42", "P0"}:
        raise error
