"""Housekeeper: once an hour makes the journal's next partition and forgets requests that ended long ago.

Notes, items and intents go when they are done; the journal stays, by month, until a person drops a month.
"""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import structlog

from connector.engine.context import Context
from connector.store import connections, journal

EVERY = 3600.0
KEPT = timedelta(days=7)
log = structlog.get_logger()


class Housekeeper:
    """Keeps house for one connection."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def run(self) -> None:
        """Keeps house until cancelled."""
        while True:
            await self.once()
            await self.context.clock.sleep(EVERY)

    async def once(self) -> None:
        """What is due; a journal in use is left for the next time."""
        now = self.context.clock.now()
        async with self.context.database.transaction(self.context.fence) as db:
            await connections.forget_requests(db, self.context.name, now - KEPT)
        try:
            async with self.context.database.transaction(self.context.fence) as db:
                await journal.make_partitions(db, now)
        except asyncpg.LockNotAvailableError:
            log.info("journal.in_use", connection=self.context.name)
