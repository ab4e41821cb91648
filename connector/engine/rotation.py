"""Webhook passwords take turns, and no delivery is lost by it.

A new password is made; once every replica takes it, a subscription is made under it and the old one ended; the old
password is taken for as long as the CRM repeats deliveries. Each step is stored, and a step done twice does no harm:
whoever owns the connection next goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from connector.engine.context import Context
from connector.store import passwords
from connector.store.cipher import Cipher
from connector.store.passwords import Password

SETTLED = timedelta(minutes=1)
"""By then every replica takes a new password: each looks for it every few seconds."""
GRACE = timedelta(hours=1)
"""Deliveries under a replaced password are taken so long; the last repetition comes within minutes."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Address:
    """Where the CRM shall deliver, and what it shall show."""

    url: str
    user: str
    password: str


class Rotation:
    """The webhook passwords of one connection, in the hands of its owner."""

    def __init__(self, context: Context, cipher: Cipher) -> None:
        self.context, self._cipher = context, cipher
        self._number: int | None = None

    async def turn(self, address: Address) -> Address:
        """The address with the password to subscribe under; what was subscribed under another no longer counts."""
        known = await self._known()
        chosen = self._settled(known)
        if self._number not in (None, chosen.number):
            self.context.subscribed = None
        self._number = chosen.number
        return replace(address, password=chosen.read(self._cipher, self.context.name))

    async def settle(self) -> None:
        """The subscription is in place: older passwords come to their end."""
        if self._number is None:
            return
        end = self.context.clock.now() + GRACE
        async with self.context.database.transaction(self.context.fence) as db:
            if await passwords.end_others(db, self.context.name, self._number, end):
                log.info("webhooks.password_replaced", connection=self.context.name)

    async def _known(self) -> Sequence[Password]:
        """Those that are valid; with one more when the time of the only one has come."""
        name, now = self.context.name, self.context.clock.now()
        async with self.context.database.transaction(self.context.fence) as db:
            await passwords.forget(db, name, now)
            await passwords.first(db, self._cipher, name, now)
            known = (await passwords.valid(db, [name], now))[name]
            if len(known) == 1 and known[0].due_at <= now:
                await passwords.add(db, self._cipher, name, known[0].number, now)
                known = (await passwords.valid(db, [name], now))[name]
        return known

    def _settled(self, known: Sequence[Password]) -> Password:
        """The newest that every replica takes by now."""
        taken = self.context.clock.now() - SETTLED
        return next((each for each in known if each.made_at <= taken), known[-1])
