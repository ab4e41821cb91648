"""Webhook subscriptions as desired state: exactly one active subscription to our address, checked on a timer."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from connector.core.errors import ConnectorError
from connector.core.mapping import Webhooks
from connector.core.model import Lane
from connector.engine.context import Context
from connector.ports import Subscription

log = structlog.get_logger()
CHECK = 300.0
RETRY = 15.0
ASIDE = 1.0
"""Seconds between two looks for whether the subscriptions are ours to change: a copy leaves them to the original."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the CRM shall deliver, and what it shall show."""

    url: str
    user: str
    password: str


class Hooks:
    """Keeps the subscription of one connection."""

    def __init__(self, context: Context, address: Address | None) -> None:
        self.context, self.address = context, address

    async def run(self) -> None:
        """Checks until cancelled; without an address sweeps alone find changes."""
        webhooks = self.context.rules.spec.connection.webhooks
        if self.address is None or webhooks is Webhooks.MANUAL:
            return
        if webhooks is Webhooks.OFF:
            await self._end(self.address)
            return
        while True:
            pause = CHECK
            if self.context.gates.role.aside:
                self.context.kept, pause = False, ASIDE
            elif not self.context.gates.closed:
                pause = CHECK if await self._kept(self.address) else RETRY
            await self.context.clock.sleep(pause)

    async def _end(self, address: Address) -> None:
        """Takes back what was subscribed before webhooks were switched off."""
        while self.context.gates.role.aside:
            await self.context.clock.sleep(ASIDE)
        while True:
            try:
                for left in await self._ours(address):
                    await self.context.crm.unsubscribe(left.id, lane=Lane.LIVE)
            except ConnectorError as error:
                self.context.failures.note(error)
                log.warning("webhooks.failed", error=error, connection=self.context.name)
                await self.context.clock.sleep(CHECK)
            else:
                return

    async def _kept(self, address: Address) -> bool:
        try:
            await self.ensure(address)
        except ConnectorError as error:
            self.context.failures.note(error)
            self.context.kept = False
            log.warning("webhooks.failed", error=error, connection=self.context.name)
            return False
        self.context.kept = True
        return True

    async def ensure(self, address: Address) -> None:
        """One active subscription to our address with our password; our own that are dead or double go."""
        ours = await self._ours(address)
        active = [s for s in ours if s.active]
        if self.context.subscribed is None or self.context.subscribed not in {s.id for s in active}:
            made = await self.context.crm.subscribe(address.url, address.user, address.password, lane=Lane.LIVE)
            self.context.subscribed = made.id
        for other in ours:
            if other.id != self.context.subscribed:
                await self.context.crm.unsubscribe(other.id, lane=Lane.LIVE)

    async def _ours(self, address: Address) -> list[Subscription]:
        listed = await self.context.crm.subscriptions(lane=Lane.LIVE)
        return [s for s in listed if s.url == address.url or s.id == self.context.subscribed]
