"""Deliveries that were answered but not stored, remembered until somebody durable knows that a sweep is due."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import NoReturn

import asyncpg
import structlog

from connector.core.errors import UnavailableError
from connector.store.db import AWAY

Tell = Callable[[str, str], Awaitable[None] | None]
"""Makes a gap durable: (connection, reason). Returning means it is."""

log = structlog.get_logger()


class Gaps:
    """Each (connection, reason) once, however often it happens; told again until `tell` succeeds."""

    def __init__(self, tell: Tell, *, pause: float) -> None:
        self._tell, self._pause = tell, pause
        self._open: dict[tuple[str, str], None] = {}
        self._news = asyncio.Event()

    @property
    def open(self) -> frozenset[tuple[str, str]]:
        """What nobody durable knows yet."""
        return frozenset(self._open)

    def remember(self, connection: str, reason: str) -> None:
        """Something that this connection sent is not in the database."""
        if (connection, reason) not in self._open:
            log.warning("webhook.gap", connection=connection, reason=reason)
        self._open[connection, reason] = None
        self._news.set()

    async def run(self) -> NoReturn:
        """Tells every gap as soon as it can be told. Runs until cancelled."""
        while True:
            await self._news.wait()
            try:
                await self.settle()
            except (*AWAY, asyncpg.PostgresError, UnavailableError):
                await asyncio.sleep(self._pause)

    async def settle(self) -> None:
        """Tells all open gaps now; the error of the first that cannot be told, which stays open with the rest."""
        while self._open:
            gap = next(iter(self._open))
            del self._open[gap]
            try:
                await self._told(*gap)
            except BaseException:
                self._open[gap] = None
                raise
        self._news.clear()

    async def _told(self, connection: str, reason: str) -> None:
        told = self._tell(connection, reason)
        if inspect.isawaitable(told):
            await told
