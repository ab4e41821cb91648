"""The clock that is handed to everything that needs one; the only reader of the machine's."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connector.store.db import Database


class Clock(Protocol):
    """Time as the engine sees it."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        ...


class SystemClock:
    """The machine's clock, put right by the database's: leases and due times mean the same to every replica."""

    def __init__(self) -> None:
        self._behind = timedelta(0)

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC) + self._behind

    async def follow(self, database: Database) -> None:
        """Goes by the database's clock from now on, where it differs by more than the asking took."""
        before = self.now()
        async with database.session() as db:
            asked = self.now()
            theirs: datetime = await db.fetchval("select clock_timestamp()")
        now = self.now()
        difference = theirs - (asked + (now - asked) / 2)
        if abs(difference) > now - before:
            self._behind += difference

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        await asyncio.sleep(seconds)
