"""Gauges: what the operator's metrics say about one connection, read from the database now and then."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from connector.engine.context import Context
from connector.store import brakes, connections, report

EVERY = 5.0


class Gauges:
    """Keeps the gauges of one connection."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._kept: datetime | None = None

    async def run(self) -> None:
        """Refreshes until cancelled."""
        while True:
            await self.refresh()
            await self.context.clock.sleep(EVERY)

    async def refresh(self) -> None:
        """Sets every gauge that the database knows."""
        context, metrics = self.context, self.context.metrics
        async with context.database.session() as db:
            now = report.Now(context.name, context.clock.now())
            counted = await report.work_items(db, now)
            parked = await report.parked(db, now)
            held = await report.held_values(db, now)
            tripped = await brakes.tripped(db, context.name)
        for gauge in (
            metrics.work_items,
            metrics.work_oldest,
            metrics.parked_records,
            metrics.held_values,
            metrics.brake_tripped,
            metrics.quarantined_fields,
        ):
            gauge.clear()
        for item in counted:
            metrics.work_items.labels(context.name, item.lane, item.state).set(item.count)
            if item.oldest is not None:
                metrics.work_oldest.labels(context.name, item.lane).set(item.oldest)
        for mapping, cause, n in parked:
            metrics.parked_records.labels(context.label(mapping), cause).set(n)
        for mapping, cause, n in held:
            metrics.held_values.labels(context.label(mapping), cause).set(n)
        for each in tripped:
            metrics.brake_tripped.labels(context.label(each.mapping), each.side).set(1)
        for mapping, n in Counter(mapping for mapping, _ in context.rules.bound.pins.aside).items():
            metrics.quarantined_fields.labels(context.label(mapping)).set(n)
        self._budget()
        self._state()
        await self._keep_webhook_time()

    async def _keep_webhook_time(self) -> None:
        """For commands, which see the database only."""
        at = self.context.hearing.heard_at
        if at is None or at == self._kept:
            return
        async with self.context.database.transaction(self.context.fence) as db:
            await connections.save_webhook_time(db, self.context.name, at)
        self._kept = at

    def _state(self) -> None:
        gates, gauge = self.context.gates, self.context.metrics.connection_state
        for state in ("ok", "paused", "unauthorised", "account_expired", "in_doubt", "copy", "returning"):
            gauge.labels(self.context.name, state).set(int(state == gates.state))

    def _budget(self) -> None:
        context, metrics = self.context, self.context.metrics
        for window in context.crm.budget():
            if window.name == "daily":
                context.forecast.note(context.clock.monotonic(), window.remaining)
                metrics.crm_tokens_remaining.labels(context.name).set(window.remaining)
                metrics.crm_tokens_forecast.labels(context.name).set(context.forecast.seconds)
