"""Putting work back behind another link: who would be called no more is due at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.core.model import LinkId
from connector.store import work
from connector.store.db import Database, migrate
from connector.store.work import Deferral, WorkState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LINK = """
insert into connector.link (connection, object, mapping, app_key, crm_id, origin, first_seen_at)
values ('acme', 'note', 'note', $1, $2, 'app', now()) returning id
"""
WORK = "insert into connector.work (link_id, connection, lane, due_at, noticed_at) values ($1, 'acme', 1, $2, $2)"
INTENT = """
insert into connector.intent (connection, link_id, epoch, op, object, fields, seen, sent_at)
values ('acme', $1, 1, 'create', 'note', '{}', '{}', $2)
"""


@pytest.mark.parametrize("known", [False, True], ids=["open", "known"])
async def test_an_outcome_that_is_known_by_now_is_not_waited_for(database: str, *, known: bool) -> None:
    """The create was settled while the record that it might have made was still planned.

    Fails when only the state at planning counts: nobody calls it, and it rests for up to an hour.
    """
    pool = await Database.connect(database)
    try:
        await migrate(pool)
        async with pool.session() as db:
            maker, half = await db.fetchval(LINK, "1", None), await db.fetchval(LINK, None, "7")
            await db.execute(WORK, half, NOW)
            if not known:
                await db.execute(INTENT, maker, NOW)
            later = NOW + timedelta(hours=1)
            back = Deferral(LinkId(half), 1, WorkState.WAITING, later, "open_intents", waiting_for=LinkId(maker))
            await work.defer(db, [back], NOW)
            assert await db.fetchval("select due_at from connector.work") == (NOW if known else later)
    finally:
        await pool.close()
