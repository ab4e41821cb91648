"""Schedule: when which sweep runs. Every start begins with a recent sweep; a known gap also asks for a full one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import structlog

from connector.core.errors import ConnectorError, CursorExpiredError, ForbiddenError, RefusedError
from connector.core.model import Lane
from connector.engine.context import Context
from connector.engine.sweeps.sweeper import Sweeper
from connector.store import sweeps
from connector.store.sweeps import Sweep

log = structlog.get_logger()
TICK = 0.5
SHARE, SHARE_WITHOUT_WEBHOOKS = 0.1, 0.5
AUTO_SHORTEST, AUTO_LONGEST = timedelta(minutes=1), timedelta(hours=1)
WITHOUT_WEBHOOKS = timedelta(minutes=5)
LIST_PRICE = 10.0
DAY = 86_400.0
Known = Mapping[tuple[str, str], Sweep]
"""By object and kind: how far each sweep has come."""


class Scheduler:
    """Runs the sweeps of one connection when they are due."""

    def __init__(self, context: Context, sweeper: Sweeper) -> None:
        self.context, self.sweeper = context, sweeper
        self.began_at: datetime | None = None
        self.failures = 0

    async def run(self) -> None:
        """Sweeps until cancelled."""
        self.began_at = self.context.clock.now()
        while True:
            if not self.context.gates.closed:
                await self.tick()
            await self.context.clock.sleep(TICK)

    async def tick(self) -> None:
        """Runs what is due. A failing sweep comes back after a pause; nothing it found is lost."""
        async with self.context.database.session() as db:
            known = await sweeps.load(db, self.context.name)
        names = self.context.rules.objects
        done = [await self._tried(self._recent, name, known) for name in names]
        done += [await self._tried(self._full, name, known) for name in names]
        if all(done):
            self.failures = 0
            return
        self.failures = min(self.failures + 1, 6)
        await self.context.clock.sleep(2.0**self.failures)

    async def _tried(self, sweep: Callable[[str, Known], Awaitable[None]], name: str, known: Known) -> bool:
        """False when what is due of an object could not be done; the others do not wait for it."""
        try:
            await sweep(name, known)
        except CursorExpiredError:
            await self._ask_for_full()
        except ConnectorError as error:
            self.context.failures.note(error)
            log.warning("sweep.failed", error=error, connection=self.context.name, object=name)
            if isinstance(error, ForbiddenError | RefusedError):
                await self.sweeper.looked(name)
            return False
        return True

    async def _recent(self, name: str, known: Known) -> None:
        recent = known.get((name, "recent"))
        if self._lapsed(name, recent):
            await self._ask_for_full(name)
        if self._recent_due(recent):
            await self.sweeper.recent(name, recent)
        self._age(name, recent)

    async def _full(self, name: str, known: Known) -> None:
        full = known.get((name, "full"))
        if self._full_due(full):
            await self.sweeper.listed(await self.sweeper.full(name, full))
            await self.sweeper.rows(name, Lane.SWEEP)

    async def _ask_for_full(self, name: str | None = None) -> None:
        async with self.context.change() as db:
            objects = None if name is None else [name]
            await sweeps.ask(db, self.context.name, "full", self.context.clock.now(), objects)

    def _lapsed(self, name: str, recent: Sweep | None) -> bool:
        """True when nobody has looked for longer than the CRM tells of what was deleted."""
        if recent is None or recent.started_at is None:
            return False
        return self.context.clock.now() - recent.started_at >= self.context.capabilities(name).memory

    def _age(self, name: str, recent: Sweep | None) -> None:
        if recent is not None and recent.finished_at is not None:
            seconds = (self.context.clock.now() - recent.finished_at).total_seconds()
            self.context.metrics.sweep_age.labels(self.context.name, name).set(max(seconds, 0.0))

    def _recent_due(self, sweep: Sweep | None) -> bool:
        """Due at every start, when asked for, and after the interval."""
        if (
            sweep is None
            or sweep.started_at is None
            or (self.began_at is not None and sweep.started_at < self.began_at)
        ):
            return True
        if sweep.asked:
            return True
        return self.context.clock.now() - sweep.started_at >= self.recent_interval()

    def _full_due(self, sweep: Sweep | None) -> bool:
        """Not before the first fetch-all, which is a full sweep itself."""
        if sweep is None or sweep.started_at is None:
            return False
        if sweep.asked:
            return True
        if self.context.gates.role.aside:
            return False
        unfinished = sweep.cursor is not None
        age = (self.context.clock.now() - sweep.started_at).total_seconds()
        return unfinished or age >= self.context.rules.spec.connection.sweep.full

    def recent_interval(self) -> timedelta:
        """The set's, else what a tenth of the daily budget allows (half, and at least every 5 min, without webhooks).

        A copy takes no more of the budget than it must: the original needs it.
        """
        spec = self.context.rules.spec.connection
        if self.context.gates.role.aside:
            return AUTO_LONGEST
        if spec.sweep.recent is not None:
            return timedelta(seconds=spec.sweep.recent)
        daily = next((w.limit for w in self.context.crm.budget() if w.name == "daily" and w.limit > 0), None)
        pushed = self.context.pushed and not self.context.hearing.deaf(self.context.clock.now())
        if daily is None:
            return WITHOUT_WEBHOOKS
        price = LIST_PRICE * 2 * len(self.context.rules.objects)
        interval = timedelta(seconds=price * DAY / (daily * (SHARE if pushed else SHARE_WITHOUT_WEBHOOKS)))
        return min(max(interval, AUTO_SHORTEST), AUTO_LONGEST if pushed else WITHOUT_WEBHOOKS)
