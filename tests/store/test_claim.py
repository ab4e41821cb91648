"""Claiming due work: only the owner of the connection gets any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.core.model import Lane
from connector.engine.low_water import EVER
from connector.store import lease, work
from connector.store.db import Database, migrate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DUE = """
with made as (insert into connector.link (connection, object, mapping, app_key, origin, first_seen_at)
              values ('acme', 'person', 'people', '1', 'app', now()) returning id)
insert into connector.work (link_id, connection, lane, due_at, noticed_at) select id, 'acme', 1, $1, $1 from made
"""


async def test_a_process_that_was_relieved_claims_nothing(database: str) -> None:
    """Work of a connection that another process took over is left to that one.

    Fails when a claim does not look at the lease: both would carry the same change over.
    """
    pool = await Database.connect(database)
    try:
        await migrate(pool)
        async with pool.session() as db:
            await db.execute(DUE, NOW)
            old = await lease.acquire(db, "acme", "one", NOW)
            new = await lease.acquire(db, "acme", "two", NOW + timedelta(hours=1))
            assert old is not None
            assert new is not None
            assert await work.claim(db, old, NOW, 10, tuple(Lane), since=EVER) == []
            assert len(await work.claim(db, new, NOW, 10, tuple(Lane), since=EVER)) == 1
            assert await work.claim(db, new, NOW, 10, tuple(Lane), since=EVER) == []
    finally:
        await pool.close()
