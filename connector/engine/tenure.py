"""Tenure: until when this process surely owns its connection, by its own clock.

A send starts only if the lease outlives it. Who was stopped for a while (a suspended machine, a starved process) asks
first whether he still owns the connection, and sends nothing that the next owner has already found not to be applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta

from connector.core.errors import NotOwnerError
from connector.engine.clock import Clock
from connector.store import lease
from connector.store.db import Database, Fence

HEARTBEAT = 1.0


class Tenure:
    """The lease of one connection as its owner last renewed it; nothing is known of it before the first renewal."""

    def __init__(self, database: Database, clock: Clock, fence: Fence) -> None:
        self._database, self._clock, self._fence = database, clock, fence
        self.until = clock.now()
        """When the lease ends as far as this process knows."""
        self._renewing = asyncio.Lock()

    async def during(self, job: Coroutine[None, None, None]) -> None:
        """Carries out the job and renews the lease as long as it takes. What either raises ends both."""
        tasks = (asyncio.create_task(job), asyncio.create_task(self._beat()))
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task in ended:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            await self.renew()
            await self._clock.sleep(HEARTBEAT)

    async def renew(self) -> None:
        """Extends the lease; NotOwnerError when somebody else has it."""
        async with self._database.session() as db:
            now = self._clock.now()
            if not await lease.renew(db, self._fence, now, self.until):
                raise NotOwnerError(f"connection {self._fence.connection}: the lease was lost")
        self.until = now + lease.TERM

    async def secure(self, seconds: float) -> None:
        """Renews the lease where it would not last for so long. NotOwnerError as in `renew`."""
        async with self._renewing:
            if self._clock.now() + timedelta(seconds=seconds) > self.until:
                await self.renew()
