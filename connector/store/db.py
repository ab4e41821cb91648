"""The database: a pool whose sessions spell values alike, transactions that only the owner can commit, migrations.

Every session speaks UTC and ISO, so that `column::text` means the same everywhere.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import asyncpg

from connector.core.errors import NotOwnerError, UnavailableError

Connection = asyncpg.pool.PoolConnectionProxy
MIGRATION_LOCK = 0x636F6E6E
SPELLING = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "application_name": "connector",
}
AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""What asyncpg and the operating system raise while the database cannot be reached."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of ownership: the epoch under which a connection's state may be written."""

    connection: str
    epoch: int


class Session(asyncpg.Connection):
    """A session of the pool. Nobody leaves settings, cursors or locks behind in one: giving it back asks nothing."""

    def get_reset_query(self) -> str:
        """What is sent when it is given back; an open transaction is rolled back in any case."""
        return ""


class Database:
    """A pool. One instance per process."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    @classmethod
    async def open(cls, dsn: str, *, size: int = 10) -> Database:
        """A pool that connects when it is first used: every use may raise one of `AWAY`."""
        pool = await asyncpg.create_pool(
            dsn, connection_class=Session, min_size=0, max_size=size, server_settings=SPELLING,
            command_timeout=120, timeout=10,
        )  # fmt: skip
        return cls(pool)

    @classmethod
    async def connect(cls, dsn: str, *, size: int = 10) -> Database:
        """A pool whose database answers; UnavailableError when it does not."""
        database = await cls.open(dsn, size=size)
        try:
            async with database.session() as connection:
                await connection.fetchval("select 1")
        except AWAY as error:
            await database.close()
            raise UnavailableError("the database cannot be reached", "check DATABASE_URL and that it runs") from error
        return database

    async def close(self) -> None:
        """Closes the pool; waits at most two seconds for sessions in use."""
        try:
            await asyncio.wait_for(self.pool.close(), 2)
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A session without a transaction, for reading."""
        async with self.pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self, fence: Fence | None = None) -> AsyncIterator[Connection]:
        """A transaction. With a fence it holds the lease's row: nobody can take the connection over before it ends."""
        async with self.pool.acquire() as connection, connection.transaction():
            if fence is not None:
                await hold(connection, fence)
            yield connection


async def hold(connection: Connection, fence: Fence) -> None:
    """Keeps the epoch from moving until the transaction ends; NotOwnerError when it has moved."""
    held = await connection.fetchval(
        "select true from connector.lease where connection = $1 and epoch = $2 for key share",
        fence.connection,
        fence.epoch,
    )
    if not held:
        raise NotOwnerError(f"connection {fence.connection}: another process owns it now")


def migrations() -> Sequence[tuple[int, str, str]]:
    """(number, name, SQL) in order."""
    folder = resources.files(__package__).joinpath("migrations")
    files = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [(int(name[:4]), name, folder.joinpath(name).read_text(encoding="utf-8")) for name in files]


async def migrate(database: Database) -> Sequence[str]:
    """Brings schema `connector` to this version; the names of what was applied. Any number may run it at once."""
    async with database.session() as connection:
        while not await connection.fetchval("select pg_try_advisory_lock($1)", MIGRATION_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        try:
            return await _apply(connection)
        finally:
            await connection.execute("select pg_advisory_unlock($1)", MIGRATION_LOCK)


async def _apply(connection: Connection) -> Sequence[str]:
    await connection.execute(
        "create schema if not exists connector;"
        "create table if not exists connector.migration "
        "(number integer primary key, name text not null, digest text not null, at timestamptz not null default now())"
    )
    known: dict[int, Any] = {r["number"]: r for r in await connection.fetch("select * from connector.migration")}
    applied = []
    for number, name, sql in migrations():
        if number not in known:
            await _apply_one(connection, number, name, sql)
            applied.append(name)
    return applied


async def _apply_one(connection: Connection, number: int, name: str, sql: str) -> None:
    async with connection.transaction():
        await connection.execute(sql)
        digest = hashlib.sha256(sql.encode()).hexdigest()
        await connection.execute(
            "insert into connector.migration (number, name, digest) values ($1, $2, $3)", number, name, digest
        )
