"""A daemon that dies between two effects: at a chosen call of the CRM or the database nothing of it acts any more.

Death is a BaseException that every later call of that incarnation raises too; its database sessions and its connections
to the CRM are cut. Whatever was under way may or may not have happened.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, cast

from connector.app.daemon import Daemon
from connector.crm.http import Timeouts
from connector.ports import CRM
from connector.store.db import Connection, Database, Fence

UNMORTAL = frozenset({"close", "received", "compare", "capabilities", "budget", "link_url", "recall"})
SHORT = Timeouts(connect=1.0, total=0.4)


class Death(BaseException):
    """The process is no more."""


@dataclass(slots=True)
class Life:
    """So many effects are left (None: no end is set)."""

    left: int | None = None
    dead: bool = False

    def check(self) -> None:
        """The dead do nothing."""
        if self.dead:
            raise Death

    def spend(self) -> None:
        """One effect; the last one kills."""
        self.check()
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                self.end()
                raise Death

    def end(self) -> None:
        """Dies now."""
        self.dead = True


class MortalCRM:
    """A CRM adapter that dies before or after a call."""

    def __init__(self, crm: Any, life: Life) -> None:
        self._crm, self._life = crm, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._crm, name)
        if name in UNMORTAL or not inspect.iscoroutinefunction(found):
            return found
        return self._mortal(found)

    def _mortal(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*args: Any, **kwargs: Any) -> Any:
            self._life.spend()
            try:
                return await call(*args, **kwargs)
            finally:
                self._life.spend()

        return called


class MortalDatabase(Database):
    """A database that dies before a transaction, or after it, when nobody learns that it was committed."""

    def __init__(self, database: Database, life: Life) -> None:
        super().__init__(database.pool)
        self.life = life

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A session; none for the dead."""
        self.life.check()
        async with super().session() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def transaction(self, fence: Fence | None = None, *, durable: bool = True) -> AsyncIterator[Connection]:
        """A transaction between two effects."""
        self.life.spend()
        async with super().transaction(fence, durable=durable) as connection:
            yield connection
            self.life.check()
        self.life.spend()


class MortalDaemon(Daemon):
    """A daemon with a life."""

    life: Life

    async def _make_connections(self, database: Database) -> None:
        await super()._make_connections(MortalDatabase(database, self.life))
        for running in self.running.values():
            cast("Any", running.crm)._client._http._timeouts = SHORT
            running.crm = cast("CRM", MortalCRM(running.crm, self.life))

    async def cut(self) -> None:
        """Cuts every connection, as the death of the process does."""
        for running in self.running.values():
            session = cast("Any", running.crm)._client._http._session
            if session is not None and session.connector is not None:
                await session.connector.close()
