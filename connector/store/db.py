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

from connector.core.errors import ConnectorError, NotOwnerError, UnavailableError

Connection = asyncpg.pool.PoolConnectionProxy
MIGRATION_LOCK = 0x636F6E6E
BREAKS = "-- Breaks older versions."
"""With what a migration begins after which no older version may work on the schema."""
LAZY = "set_config('synchronous_commit', 'off', true)"
"""SQL: the transaction does not wait for the disk when it commits."""
SPELLING = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "idle_in_transaction_session_timeout": "8s",
    "application_name": "connector",
}
"""Of every session. A process that is stopped in a transaction holds the fence: the server ends it as a lease would."""
NAME = {"application_name": "connector"}
AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What asyncpg and the operating system raise while the database cannot be reached."""
UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, ValueError)
"""PostgreSQL, or the driver on its behalf, cannot hold what was given: trying again is no use."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of ownership: the epoch under which a connection's state may be written."""

    connection: str
    epoch: int


class Database:
    """A pool. One instance per process.

    `pooled` is for a database behind a transaction pooler: sessions there belong to nobody, so each use is one
    transaction that says how values are spelt, and statements are not kept. Which of the two it is, `dsn` is asked at the
    first use.
    """

    def __init__(self, pool: asyncpg.Pool, pooled: asyncpg.Pool | None = None, dsn: str | None = None) -> None:
        self.pool, self._pooled, self._unasked = pool, pooled, dsn
        self._asking = asyncio.Lock()
        self._spelling = ""

    @classmethod
    async def open(cls, dsn: str, *, size: int = 10) -> Database:
        """A pool that connects when it is first used: every use may raise one of `AWAY`."""
        direct = _pool(dsn, size, server_settings=SPELLING)
        return cls(await direct, await _pool(dsn, size, server_settings=NAME, statement_cache_size=0), dsn)

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
        pools = [self.pool, *([self._pooled] if self._pooled is not None else [])]
        try:
            await asyncio.wait_for(asyncio.gather(*(pool.close() for pool in pools)), 2)
        except TimeoutError:
            for pool in pools:
                pool.terminate()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A session for reading; what it writes one by one is committed at its end at the latest."""
        await self._ask()
        async with self.pool.acquire() as connection:
            if not self._spelling:
                yield connection
                return
            async with connection.transaction():
                await connection.execute(self._spelling)
                yield connection

    @asynccontextmanager
    async def transaction(self, fence: Fence | None = None, *, durable: bool = True) -> AsyncIterator[Connection]:
        """A transaction. With a fence it holds the lease's row: nobody can take the connection over before it ends.

        One that is not `durable` does not wait for the disk: a crash of the server may undo it, with all that came after.
        """
        await self._ask()
        async with self.pool.acquire() as connection, connection.transaction():
            if self._spelling:
                await connection.execute(self._spelling)
            if fence is not None:
                await hold(connection, fence, durable=durable)
            elif not durable:
                await connection.execute(f"select {LAZY}")
            yield connection

    async def _ask(self) -> None:
        """Finds out once whether a pooler stands before the database."""
        if self._unasked is None:
            return
        async with self._asking:
            asked, pooled = self._unasked, self._pooled
            if asked and pooled is not None and await _behind_pooler(asked):
                self.pool, self._pooled = pooled, self.pool
                self._spelling = "; ".join(
                    f"set local {n} = '{value}'" for n, value in SPELLING.items() if n not in NAME
                )
            self._unasked = None


def _pool(dsn: str, size: int, **settings: Any) -> asyncpg.Pool:  # noqa: ANN401 (as the driver takes them)
    return asyncpg.create_pool(
        dsn, min_size=0, max_size=size, command_timeout=120, timeout=10, reset=_nothing_to_reset, **settings
    )


async def _nothing_to_reset(_: object) -> None:
    """A session is left as it was found: settings end with their transaction, and nothing is listened to."""


async def _behind_pooler(dsn: str) -> bool:
    """True when the process that serves a query is not the one that took the connection."""
    probe = await asyncpg.connect(dsn, timeout=10, statement_cache_size=0, server_settings=NAME)
    try:
        return bool(await probe.fetchval("select pg_backend_pid()") != probe.get_server_pid())
    finally:
        await probe.close()


async def hold(connection: Connection, fence: Fence, *, durable: bool = True) -> None:
    """Keeps the epoch from moving until the transaction ends; NotOwnerError when it has moved."""
    held = await connection.fetchval(
        f"select true{'' if durable else f', {LAZY}'} from connector.lease"
        " where connection = $1 and epoch = $2 for key share",
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


async def pending(connection: Connection) -> Sequence[str]:
    """The names of migrations that a migrated database does not have yet."""
    known = {row["number"] for row in await connection.fetch("select number from connector.migration")}
    return [name for number, name, _ in migrations() if number not in known]


async def require_known(connection: Connection) -> None:
    """ConnectorError where a newer version has changed the schema so that this one must not work on it any more.

    Other migrations that are not known here only add: old and new daemons may work side by side.
    """
    row = await connection.fetchrow(
        "select name from connector.migration m where (to_jsonb(m) ->> 'breaks')::bool and number <> all($1::int[])"
        " order by number desc limit 1",
        [number for number, _, _ in migrations()],
    )
    if row is not None:
        raise ConnectorError(
            f"schema connector is newer than this program can work with ({row['name']})",
            "run the version that has migrated it, or a later one",
        )


async def migrate(database: Database) -> Sequence[str]:
    """Brings schema `connector` to this version; the names of what was applied. Any number may run it at once."""
    while True:
        async with database.transaction() as connection:
            if await connection.fetchval("select pg_try_advisory_xact_lock($1)", MIGRATION_LOCK):
                return await _apply(connection)
        await asyncio.sleep(0.1)


async def _apply(connection: Connection) -> Sequence[str]:
    await connection.execute(
        "create schema if not exists connector;"
        "create table if not exists connector.migration "
        "(number integer primary key, name text not null, digest text not null, at timestamptz not null default now())"
    )
    await require_known(connection)
    known = {row["number"] for row in await connection.fetch("select number from connector.migration")}
    applied = []
    for number, name, sql in migrations():
        if number not in known:
            await _apply_one(connection, number, name, sql)
            applied.append(name)
    return applied


async def _apply_one(connection: Connection, number: int, name: str, sql: str) -> None:
    await connection.execute(sql)
    digest = hashlib.sha256(sql.encode()).hexdigest()
    await connection.execute(
        "insert into connector.migration (number, name, digest) values ($1, $2, $3)", number, name, digest
    )
    if sql.startswith(BREAKS):
        await connection.execute("update connector.migration set breaks = true where number = $1", number)
