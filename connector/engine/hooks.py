"""Webhook subscriptions as desired state: exactly one active subscription to our address, checked on a timer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from connector.core.errors import ConnectorError, ForbiddenError, RefusedError
from connector.core.mapping import Webhooks
from connector.core.model import Lane
from connector.engine.context import Context
from connector.engine.rotation import Address, Rotation
from connector.ports import Subscription
from connector.store import connections, sweeps

log = structlog.get_logger()
CHECK = 900.0
RETRY, REFUSED = 15.0, 900.0
ASIDE = 1.0
"""Seconds between two looks for whether the subscriptions are ours to change: a copy leaves them to the original."""
ANEW = 3600.0
"""Seconds between two subscriptions that are made because nothing comes: it may be our address that is not reached."""
MISSED = (
    "sweeps find changes that webhooks did not tell; until an hour after the last one they come as often as without"
)


class Hooks:
    """Keeps the subscription of one connection."""

    def __init__(self, context: Context, address: Address | None, rotation: Rotation) -> None:
        self.context, self.address, self.rotation = context, address, rotation
        self._made_at = float("-inf")
        self._trouble: str | None = ""

    async def run(self) -> None:
        """Checks until cancelled, at once when there is a doubt; without an address sweeps alone find changes."""
        webhooks = self.context.rules.spec.connection.webhooks
        if self.address is None or webhooks is Webhooks.MANUAL:
            return
        if webhooks is Webhooks.OFF:
            await self._end(self.address)
            return
        while True:
            if self.context.gates.role.aside:
                self.context.hearing.lose()
                await self.context.clock.sleep(ASIDE)
                continue
            self.context.hearing.doubt.clear()
            pause = RETRY if self.context.gates.closed else await self._kept(self.address)
            await self._doubted(pause)

    async def _doubted(self, seconds: float) -> None:
        """Returns when the subscription is doubted, or after so many seconds."""
        waiting = asyncio.create_task(self.context.hearing.doubt.wait())
        sleeping = asyncio.create_task(self.context.clock.sleep(seconds))
        try:
            await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            sleeping.cancel()
            await asyncio.gather(waiting, sleeping, return_exceptions=True)

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

    async def _kept(self, address: Address) -> float:
        """Has the subscription be in place; in how many seconds it is to be looked at again."""
        hearing = self.context.hearing
        if hearing.silent and self.context.clock.monotonic() - self._made_at >= ANEW:
            self.context.subscribed = None
        try:
            await self.ensure(await self.rotation.turn(address))
            await self.rotation.settle()
        except ConnectorError as error:
            self.context.failures.note(error)
            hearing.lose()
            log.warning("webhooks.failed", error=error, connection=self.context.name)
            refused = isinstance(error, RefusedError | ForbiddenError)
            await self._say(error.message if refused else None)
            return REFUSED if refused else RETRY
        hearing.keep(self.context.clock.now())
        await self._say(MISSED if hearing.deaf(self.context.clock.now()) else None)
        return CHECK

    async def _say(self, trouble: str | None) -> None:
        """Keeps for `status` what is wrong with webhooks."""
        if trouble == self._trouble:
            return
        async with self.context.database.transaction(self.context.fence) as db:
            await connections.save_webhook_trouble(db, self.context.name, trouble)
        self._trouble = trouble

    async def ensure(self, address: Address) -> None:
        """One active subscription to our address with our password; our own that are dead or double go."""
        ours = await self._ours(address)
        if self.context.subscribed not in {s.id for s in ours if s.active}:
            self.context.hearing.lose()
            self.context.subscribed = await self._subscribe(address, ours)
            self.context.hearing.silent, self._made_at = False, self.context.clock.monotonic()
            await self._sweep()
        for other in ours:
            if other.id != self.context.subscribed:
                await self.context.crm.unsubscribe(other.id, lane=Lane.LIVE)

    async def _subscribe(self, address: Address, ours: Sequence[Subscription]) -> str:
        """A new one. The CRM may not let us have one more: then those that it replaces go first."""
        crm = self.context.crm
        try:
            made = await crm.subscribe(address.url, address.user, address.password, lane=Lane.LIVE)
        except RefusedError:
            if not ours:
                raise
            for other in ours:
                await crm.unsubscribe(other.id, lane=Lane.LIVE)
            made = await crm.subscribe(address.url, address.user, address.password, lane=Lane.LIVE)
        return made.id

    async def _sweep(self) -> None:
        """What changed while nothing told of it is looked for at once."""
        async with self.context.change() as db:
            await sweeps.ask(db, self.context.name, "recent", self.context.clock.now())

    async def _ours(self, address: Address) -> list[Subscription]:
        listed = await self.context.crm.subscriptions(lane=Lane.LIVE)
        return [s for s in listed if s.url == address.url or s.id == self.context.subscribed]
