"""Under which passwords webhooks are taken: what the database says, wherever it was changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

import asyncpg
import structlog

from connector.engine.clock import Clock
from connector.engine.rotation import Address
from connector.ports import CRM, Hint
from connector.service.webhooks import Door
from connector.store import passwords
from connector.store.cipher import Cipher, SecretError
from connector.store.db import AWAY, Database
from connector.store.passwords import Password

USER = "connector"
WATCH = 5.0
log = structlog.get_logger()


@dataclass(slots=True)
class Doorway:
    """Where the door of one connection is, once its passwords were read."""

    connection: str
    cipher: Cipher
    crm: Callable[[], CRM]
    """The client, which may be another one by the time of a delivery."""
    door: Door | None = None
    _sealed: tuple[bytes, ...] = ()

    async def prepare(self, database: Database, now: datetime) -> None:
        """Makes the first password where there is none, and opens; SecretError when one cannot be read."""
        async with database.transaction() as db:
            await passwords.first(db, self.cipher, self.connection, now)
            valid = await passwords.valid(db, [self.connection], now)
        self.open(valid[self.connection])

    def open(self, valid: Sequence[Password]) -> None:
        """Takes deliveries under these passwords, newest first, and no others; SecretError when one cannot be read."""
        sealed = tuple(each.sealed for each in valid)
        if sealed == self._sealed:
            return
        pairs = tuple((USER, each.read(self.cipher, self.connection)) for each in valid)
        self._sealed, self.door = sealed, Door(self.connection, pairs, self._received, self._known)

    def address(self, public_url: str | None) -> Address | None:
        """Where and as whom the CRM delivers; None while it cannot reach us."""
        if public_url is None or self.door is None:
            return None
        (user, password), *_older = self.door.credentials
        return Address(f"{public_url}/webhooks/{self.connection}", user, password)

    def _received(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        return self.crm().received(headers, body)

    def _known(self, name: str) -> bool:
        return self.crm().capabilities(name).read


async def watch(database: Database, clock: Clock, doorways: Mapping[str, Doorway]) -> NoReturn:
    """Follows what the owner of a connection, maybe another process, has made or ended. Runs until cancelled."""
    while True:
        await clock.sleep(WATCH)
        try:
            async with database.session() as db:
                valid = await passwords.valid(db, list(doorways), clock.now())
        except (*AWAY, asyncpg.PostgresError):
            continue
        for name, found in valid.items():
            _open(doorways[name], found)


def _open(doorway: Doorway, found: Sequence[Password]) -> None:
    """It stays as it was where another process has stored a password under a key that is not known here."""
    try:
        doorway.open(found)
    except SecretError as error:
        log.warning("webhooks.password_unreadable", connection=doorway.connection, error=error)
