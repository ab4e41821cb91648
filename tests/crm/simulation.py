"""Simulated time: it passes only when everybody waits for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count

from connector.crm.clock import Clock

BEGAN = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Simulation:
    """A clock for `Clock`; `pass_until` lets time go on, waking sleepers in order."""

    def __init__(self, began: datetime = BEGAN) -> None:
        self.began, self.seconds, self.sleeps = began, 0.0, 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = count()

    @property
    def clock(self) -> Clock:
        """The clock to inject."""
        return Clock(self.now, self.monotonic, self.sleep)

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return self.seconds

    def now(self) -> datetime:
        """The time of day."""
        return self.began + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait for time to pass."""
        self.sleeps += 1
        waking = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (self.seconds + seconds, next(self._serial), waking))
        await waking

    async def pass_until(self, seconds: float) -> None:
        """Let time go on to a moment."""
        await settle()
        while self._sleepers and self._sleepers[0][0] <= seconds:
            at, _, waking = heappop(self._sleepers)
            self.seconds = max(self.seconds, at)
            if not waking.done():
                waking.set_result(None)
            await settle()
        self.seconds = max(self.seconds, seconds)
        await settle()


async def settle() -> None:
    """Let every task run until it waits for time."""
    for _ in range(6):
        await asyncio.sleep(0)
