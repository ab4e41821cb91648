"""What commands work with: the database, the applied sets in it, and a connection's owner, or this process for it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import asyncpg

from connector.app.connection import Running, Shared
from connector.app.sets import Account, LoadedSet, load_stored
from connector.core.errors import ConnectorError
from connector.core.mapping import MappingSpec
from connector.engine.clock import Clock, SystemClock
from connector.engine.rota import Rota
from connector.obs.metrics import Metrics
from connector.store import answers, connections, lease
from connector.store.cipher import Cipher
from connector.store.db import Connection, Database, pending, require_known
from connector.store.resealing import account_name

T = TypeVar("T")
Progress = Callable[[Mapping[str, Any]], None]
POLL = 0.1
WATCH = 1.0
CHANGES_HANDS = 3.0
"""Seconds that a connection may be without an owner while a daemon works on it."""
NO_KEY = "set CONNECTOR_SECRET_KEY as the daemon has it, or start the daemon"


def silent(_: Mapping[str, Any]) -> None:
    """Shows no progress."""


@dataclass(frozen=True, slots=True)
class Target:
    """A mapping of an applied set, as a person named it."""

    loaded: LoadedSet
    mapping: MappingSpec

    @property
    def connection(self) -> str:
        """The connection's name."""
        return self.loaded.name


@dataclass(frozen=True, slots=True)
class Desk:
    """One command's place of work. `cipher` None: no secret key is known, and only a daemon can do the work."""

    database: Database
    clock: Clock
    sets: Mapping[str, LoadedSet]
    cipher: Cipher | None

    # --- names -------------------------------------------------------------------------------------------------------

    def connection(self, name: str) -> LoadedSet:
        """The set of a connection; ConnectorError with the choices."""
        if name not in self.sets:
            raise ConnectorError(f"there is no connection {name}", _choices(self.sets))
        return self.sets[name]

    def every(self) -> Sequence[str]:
        """All connections; ConnectorError when there is none to work on."""
        if not self.sets:
            raise ConnectorError("there is no connection in this database", _choices(()))
        return list(self.sets)

    def target(self, name: str) -> Target:
        """The mapping that `[CONNECTION/]MAPPING` names; ConnectorError with the choices when none or several do."""
        connection, _, mapping = name.rpartition("/")
        sets = [self.connection(connection)] if connection else list(self.sets.values())
        known = [Target(loaded, spec) for loaded in sets for spec in loaded.spec.mappings]
        found = [each for each in known if each.mapping.name == mapping]
        if len(found) == 1:
            return found[0]
        choices = _choices(f"{each.connection}/{each.mapping.name}" for each in found or known)
        if found:
            raise ConnectorError(f"several connections have a mapping {mapping}", choices)
        raise ConnectorError(f"there is no mapping {name}", choices)

    def chosen(self, name: str | None) -> list[tuple[str, str | None]]:
        """(connection, mapping or all) that `[CONNECTION/]MAPPING` names; every connection without a name."""
        if name is None:
            return [(connection, None) for connection in self.every()]
        target = self.target(name)
        return [(target.connection, target.mapping.name)]

    # --- the owner ---------------------------------------------------------------------------------------------------

    async def owned(self, connection: str) -> bool:
        """True while some process works on the connection."""
        async with self.database.session() as db:
            return await lease.owned(db, connection, self.clock.now())

    async def current(self) -> Sequence[str]:
        """The connections that are worked on: those with an owner, and all where none has one.

        One without an owner beside others was taken from the daemon, or goes by another name now: its work is over, and
        doing it here would have two connections keep one table. Whoever only changes hands has an owner again soon.
        """
        end = self.clock.monotonic() + CHANGES_HANDS
        while True:
            names = self.every()
            owned = [name for name in names if await self.owned(name)]
            if not owned or len(owned) == len(names) or self.clock.monotonic() > end:
                return owned or names
            await self.clock.sleep(POLL)

    async def request(
        self, connection: str, kind: str, args: Mapping[str, Any], progress: Progress = silent
    ) -> Mapping[str, Any]:
        """The owner's answer, or this process's where there is no owner; ConnectorError if it failed."""
        return await self.served(connection, lambda: self.ask(connection, kind, args, progress))

    async def ask(
        self, connection: str, kind: str, args: Mapping[str, Any], progress: Progress = silent
    ) -> Mapping[str, Any]:
        """Like `request`, for where somebody owns the connection already."""
        async with self.database.session() as db:
            number = await connections.ask(db, connection, kind, args, self.clock.now())
        while not (answer := await self._look(number)).ended:
            progress(answer.progress)
            await self.clock.sleep(POLL)
        if answer.state == "failed":
            raise ConnectorError(str(answer.result.get("error")), str(answer.result.get("advice") or ""))
        return answer.result

    async def _look(self, number: int) -> answers.Answer:
        async with self.database.session() as db:
            return await answers.of_request(db, number)

    async def served(self, connection: str, job: Callable[[], Awaitable[T]]) -> T:
        """The job's result. As long as it runs and nobody owns the connection, this process does."""
        standing_in = asyncio.create_task(self._stand_in(connection), name=f"stand in for {connection}")
        asked = asyncio.ensure_future(job())
        try:
            await asyncio.wait({standing_in, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                await standing_in
            return await asked
        finally:
            standing_in.cancel()
            asked.cancel()
            await asyncio.gather(standing_in, asked, return_exceptions=True)

    async def _stand_in(self, connection: str) -> None:
        """Watches the owner, and takes its place when there is none."""
        while await self.owned(connection):
            await self.clock.sleep(WATCH)
        if self.cipher is None:
            raise ConnectorError("no daemon runs, and the secret key is not known", NO_KEY)
        account = await stored_account(self.database, self.cipher, connection)
        rota = Rota(self.database, self.clock, name_of_process())
        shared = Shared(self.database, self.clock, Metrics(version("connector")), self.cipher, rota)
        await Running.make(shared, self.connection(connection), account, watch_files=False).run()


async def stored_account(database: Database, cipher: Cipher | None, connection: str) -> Account:
    """The account that a connection was last run with."""
    async with database.session() as db:
        sealed = await connections.credentials(db, connection)
    if sealed is None:
        raise ConnectorError(f"connection {connection} was never run", "start it once: connector run DIR")
    if cipher is None:
        raise ConnectorError("the secret key is not known", NO_KEY)
    url, _, token = cipher.decrypt(sealed, account_name(connection)).partition("\n")
    return Account(url or None, token)


def name_of_process() -> str:
    """Who a lease says has it."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _choices(names: Any) -> str:  # noqa: ANN401 (any iterable of names)
    listed = ", ".join(sorted(names))
    return f"known: {listed}" if listed else "none is applied yet: start `connector run DIR` once"


def cipher_of(secret_key: str | None, secret_key_old: str | None = None) -> Cipher | None:
    """What reads the secrets in the database, where the key is known."""
    return Cipher(secret_key, secret_key_old) if secret_key else None


@asynccontextmanager
async def opened(database_url: str, secret_key: str | None, secret_key_old: str | None = None) -> AsyncIterator[Desk]:
    """A desk on a database that `migrate` prepared; ConnectorError says what is missing."""
    database = await connected(database_url)
    try:
        async with database.session() as db:
            await require_schema(db)
            stored = await connections.sets(db)
        sets = {name: load_stored(files, directory) for name, files, directory in stored}
        clock = SystemClock()
        await clock.follow(database)
        yield Desk(database, clock, sets, cipher_of(secret_key, secret_key_old))
    finally:
        await database.close()


async def connected(database_url: str) -> Database:
    """The database; ConnectorError when it cannot be reached or lets us not in."""
    try:
        return await Database.connect(database_url, size=6)
    except (asyncpg.PostgresError, ValueError) as error:
        raise ConnectorError(f"the database refuses: {type(error).__name__}", "check DATABASE_URL") from error


async def require_schema(db: Connection) -> None:
    """ConnectorError unless schema `connector` is there, and as new as this program."""
    if await db.fetchval("select to_regclass('connector.request') is null"):
        raise ConnectorError("the database has no schema connector", "make it: connector migrate")
    if await pending(db):
        raise ConnectorError(
            "schema connector is older than this program", "update it, and the daemon with it: connector migrate"
        )
    await require_known(db)
