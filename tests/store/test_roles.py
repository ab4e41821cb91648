"""Which database a session works in."""

from __future__ import annotations

import asyncpg

from connector.store import roles
from connector.store.db import Database, migrate


async def test_a_cluster_that_may_not_be_asked(database: str) -> None:
    """Some managed services let nobody see the system identifier; the other two numbers are told all the same.

    Fails when the refusal ends the transaction that it happened in.
    """
    pool = await Database.connect(database)
    try:
        await migrate(pool)
        async with pool.session() as db:
            before = await roles.here(db)
            await _forbid(db)
        async with pool.transaction() as db:
            await db.execute("set local role restore_test")
            here = await roles.here(db)
            await db.execute("reset role")
            assert await db.fetchval("select 1") == 1
        assert before.system is not None
        assert (here.system, here.database, here.table) == (None, before.database, before.table)
    finally:
        await pool.close()


async def _forbid(db: asyncpg.pool.PoolConnectionProxy) -> None:
    await db.execute("revoke execute on function pg_control_system() from public")
    if not await db.fetchval("select true from pg_roles where rolname = 'restore_test'"):
        await db.execute("create role restore_test")
    await db.execute("grant usage on schema connector to restore_test")
