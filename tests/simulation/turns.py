"""One call of the database at a time: a transaction of the daemon is one call, so that nobody waits for another's lock.

Each call first takes a moment of simulated time that the seed draws; this alone decides who comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

import asyncpg

from connector.store.db import LAZY, SPELLING, Connection, Database, Fence, _nothing_to_reset, hold
from tests.simulation.life import AFTER_COMMIT, BEFORE_COMMIT, LIFE, Life
from tests.simulation.loop import Loop

SESSIONS = 5
"""Of one process at most: each costs its server's start and knows no statement yet, and only one has its turn."""
MINE: ContextVar[object] = ContextVar("mine", default=None)
"""The turn that the running code has."""


@dataclass(slots=True)
class Queue:
    """A lock that passes over who is stopped: he keeps his place."""

    taken: bool = False
    waiting: list[tuple[asyncio.Future[None], Life | None]] = field(default_factory=list)

    async def __aenter__(self) -> None:
        if not self.taken:
            self.taken = True
            return
        place = asyncio.get_running_loop().create_future(), LIFE.get()
        self.waiting.append(place)
        try:
            await place[0]
        except asyncio.CancelledError:
            if place in self.waiting:
                self.waiting.remove(place)
            else:
                self.call()
            raise

    async def __aexit__(self, *_: object) -> None:
        self.call()

    def call(self) -> None:
        """Lets the next one in who can come."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        found = next((place for place in self.waiting if place[1] not in loop.asleep), None)
        self.taken = found is not None
        if found is not None:
            self.waiting.remove(found)
            found[0].set_result(None)

    def recall(self) -> None:
        """Somebody woke who may have waited."""
        if not self.taken:
            self.call()


@dataclass(slots=True)
class Turns:
    """Whose turn it is to talk to the database."""

    chance: Random
    dsn: str
    queue: Queue = field(default_factory=Queue)
    holder: object = None
    dead: list[int] = field(default_factory=list)
    """Server processes of the dead, whose locks must be gone before anybody goes on."""
    grave: Any = None

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """The turn; whoever has it may take it again."""
        if self.holder is not None and MINE.get() is self.holder:
            yield
            return
        await asyncio.sleep(self.chance.choice((0.0002, 0.0005, 0.001, 0.003, 0.01)))
        async with self.queue:
            await self._clear()
            token = self.holder = object()
            mark = MINE.set(token)
            try:
                yield
            finally:
                self.holder = None
                MINE.reset(mark)

    async def _clear(self) -> None:
        if self.dead and self.grave is not None:
            pids, self.dead = self.dead, []
            await real(self.grave.execute("select pg_terminate_backend(pid, 5000) from unnest($1::int[]) pid", pids))


async def real(answer: Awaitable[Any]) -> Any:
    """Waits for an answer of the real database; the simulated clock stands meanwhile. Not to be interrupted."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    task = asyncio.ensure_future(answer)
    loop.awaited += 1
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
    finally:
        loop.awaited -= 1


TYPES: dict[frozenset[int], Any] = {}
"""Types of the database by their ids, which are alike in every copy of the template."""
TALKS = frozenset(
    {
        "prepare",
        "bind_execute",
        "bind_execute_many",
        "bind",
        "execute",
        "query",
        "copy_in",
        "copy_out",
        "close_statement",
    }
)


class _Protocol:
    """asyncpg's protocol, each of whose calls takes a turn and counts as an effect."""

    def __init__(self, protocol: Any, turns: Turns) -> None:
        self._protocol, self._turns = protocol, turns

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._protocol, name)
        return self._called(found, queries=name == "query") if name in TALKS else found

    def _called(self, call: Callable[..., Awaitable[Any]], *, queries: bool) -> Callable[..., Awaitable[Any]]:
        async def called(*args: Any, **kwargs: Any) -> Any:
            life = LIFE.get()
            commits = queries and str(args[0]).startswith("COMMIT")
            if life is not None:
                life.check()
            async with self._turns.taken():
                if life is not None:
                    _spend(life, commits, BEFORE_COMMIT)
                answer = await real(call(*args, **kwargs))
                if life is not None and commits:
                    life.spend(AFTER_COMMIT)
                return answer

        return called

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 (asyncpg's own shape)
        await real(self._protocol.close(timeout))


def _spend(life: Life, commits: bool, moment: str) -> None:  # noqa: FBT001
    life.spend()
    if commits:
        life.spend(moment)


async def _introspected(dsn: str, wanted: frozenset[int]) -> Any:
    session: Any = await asyncpg.connect(dsn)
    try:
        return await session._introspect_types(wanted, None)
    finally:
        await session.close()


def session_class(turns: Turns) -> type[asyncpg.Connection]:
    """The connection of asyncpg over `_Protocol`.

    What a type is, it need not ask itself. The first to ask does not let go of the loop, as nobody after him does: a story
    is the same whether it is a process's first or not.
    """

    class Session(asyncpg.Connection):
        def __init__(self, protocol: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(cast("Any", _Protocol(protocol, turns)), *args, **kwargs)

        async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> Any:  # noqa: ASYNC109 (asyncpg's own shape)
            wanted = frozenset(typeoids)
            if wanted not in TYPES:
                with ThreadPoolExecutor() as aside:
                    TYPES[wanted] = aside.submit(asyncio.run, _introspected(turns.dsn, wanted)).result()
            return TYPES[wanted]

    return Session


@dataclass(slots=True)
class Databases:
    """Takes the place of `Database.open`, `session` and `transaction` while a story runs."""

    turns: Turns

    async def open(self, dsn: str, *, size: int = 10) -> Database:
        """A pool of sessions that take turns."""
        pool = await asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=min(size, SESSIONS),
            server_settings=SPELLING,
            connection_class=session_class(self.turns),
            connect=self.connect,
            reset=_nothing_to_reset,
            max_inactive_connection_lifetime=0,
        )
        return Database(pool)

    async def connect(self, *args: Any, **kwargs: Any) -> asyncpg.Connection:
        """A session of the process whose code runs."""
        life = LIFE.get()
        if life is not None:
            life.check()
        kwargs.pop("loop", None)
        async with self.turns.taken():
            made: asyncpg.Connection = await real(asyncpg.connect(*args, **kwargs))
        if life is not None:
            life.sessions.append(made)
        return made

    def transaction_of(self) -> Callable[..., Any]:
        """`Database.transaction` as one call from its begin to its end; nobody else's comes between.

        The session first, then the turn: who has a session may be waiting for his turn, and would never let go of it.
        """

        @contextlib.asynccontextmanager
        async def transaction(
            database: Database, fence: Fence | None = None, *, durable: bool = True
        ) -> AsyncIterator[Connection]:
            async with database.pool.acquire() as connection, self.turns.taken(), connection.transaction():
                if fence is not None:
                    await hold(connection, fence, durable=durable)
                elif not durable:
                    await connection.execute(f"select {LAZY}")
                yield connection

        return transaction
