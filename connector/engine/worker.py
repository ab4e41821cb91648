"""Worker: claims due items and reconciles them in batches, without one batch waiting for another.

Higher lanes go first; a tenth of what is claimed is kept for the lower ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from connector.core.model import Lane
from connector.engine.containment import reconcile
from connector.engine.context import Context
from connector.engine.low_water import WHOLE, since
from connector.engine.reconcile import Reconciler
from connector.store import work
from connector.store.work import Item

BACKGROUND = (Lane.SWEEP, Lane.FETCH_ALL)
IN_FLIGHT = 1000
BATCH = 200
IDLE = 1.0
"""Seconds after which the queue is looked at though nobody said that there is something."""
RUSH, FULL, COLLECT = 100, 100, 0.25
"""From so many arrivals in the last second on, reads collect: so many records, or so many seconds."""


class Worker:
    """Works off the queue of one connection."""

    def __init__(self, context: Context, reconciler: Reconciler) -> None:
        self.context, self.reconciler = context, reconciler
        self._arrivals: deque[tuple[float, int]] = deque()
        self._whole_at = float("-inf")
        self._more = True
        """Whether the last claim may have left something."""

    async def run(self) -> None:
        """Works until cancelled; what is in flight then is awaited by the group that runs it."""
        async with asyncio.TaskGroup() as group:
            while True:
                self.context.pulse.clear()
                items = await self.claim()
                if not items:
                    await self._rest()
                    continue
                self.context.flight.take_off(len(items))
                group.create_task(self._batch(items))
                if len(items) < FULL and self._rushing():
                    await self.context.clock.sleep(COLLECT)

    async def claim(self) -> Sequence[Item]:
        """The next batch; nothing while the connection is paused, held or cooling off."""
        room = min(FULL if self._rushing() else BATCH, IN_FLIGHT - self.context.flight.count)
        if room <= 0 or self.context.gates.closed:
            return []
        fence, now, moment = self.context.fence, self.context.clock.now(), self.context.clock.monotonic()
        whole = self._more or moment - self._whole_at >= WHOLE
        self._whole_at = moment if whole else self._whole_at
        oldest = since(now, whole=whole)
        async with self.context.database.session() as db:
            items = list(await work.claim(db, fence, now, room, tuple(Lane), since=oldest))
            self._more = len(items) == room
            if self._more and items[-1].lane <= Lane.LIVE:
                items += await work.claim(db, fence, now, max(room // 10, 1), BACKGROUND, since=oldest)
        self._arrivals.append((moment, len(items)))
        return items

    def _rushing(self) -> bool:
        horizon = self.context.clock.monotonic() - 1.0
        while self._arrivals and self._arrivals[0][0] < horizon:
            self._arrivals.popleft()
        return sum(count for _, count in self._arrivals) >= RUSH

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(IDLE):
                await self.context.pulse.wait()
        except TimeoutError:
            return

    async def _batch(self, items: Sequence[Item]) -> None:
        try:
            await reconcile(self.reconciler, items)
        finally:
            self.context.flight.land(len(items))
