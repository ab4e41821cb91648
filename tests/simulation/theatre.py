"""Where stories are played: a PostgreSQL server, a template with the app's tables and our schema, a database per story."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from connector.postgres.cluster import EmbeddedCluster
from connector.store.db import Database, migrate
from tests.simulation import diary
from tests.simulation.files import TABLES
from tests.simulation.loop import Loop
from tests.simulation.stage import CLOCK
from tests.simulation.tale import Told, tell

T = TypeVar("T")
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "1h",
    "max_parallel_workers_per_gather": "0",
    "track_activities": "off",
    "track_counts": "off",
}
"""Without autovacuum: it would change plans, and with them the order of rows, at real moments."""


@dataclass(frozen=True, slots=True)
class Theatre:
    """A server whose template is ready, and a folder for mapping files."""

    server: str
    folder: Path

    @property
    def template(self) -> str:
        """The name of the template: one for each process that plays."""
        return f"simulation_{os.getpid()}"

    def let_in_fast(self) -> None:
        """Makes the password cheap to check: a story opens dozens of sessions."""
        parts = urlsplit(self.server)
        self._execute(
            "do $$ begin if current_setting('server_version_num')::int >= 160000 then"
            f" set scram_iterations = 1; alter role {parts.username} password '{parts.password}'; end if; end $$"
        )

    def build(self) -> None:
        """Makes the template."""
        asyncio.run(self._build())

    def play(self, seed: int, steps: Sequence[int] | None = None) -> Told:
        """Plays one story in a database of its own."""
        name = f"{self.template}_{seed}"
        self._execute(f"create database {name} template {self.template}")
        directory = self.folder / name
        directory.mkdir(exist_ok=True)
        try:
            with _no_collection():
                return in_simulated_time(tell(_at(self.server, name), directory, seed, steps))
        finally:
            self._execute(f"drop database {name} with (force)")

    def close(self) -> None:
        """Drops the template."""
        self._execute(f"drop database if exists {self.template} with (force)")

    def _execute(self, statement: str) -> None:
        asyncio.run(_execute(self.server, statement))

    async def _build(self) -> None:
        await _execute(self.server, f"create database {self.template}")
        database = await Database.open(_at(self.server, self.template))
        async with database.session() as db:
            await db.execute(TABLES)
        await migrate(database)
        async with database.session() as db:
            await db.execute(CLOCK + diary.SCHEMA + diary.TRIGGERS)
        await database.close()


def in_simulated_time(story: Coroutine[Any, Any, T]) -> T:
    """Runs a story on a loop of its own."""

    async def played() -> T:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        try:
            return await story
        finally:
            loop.awaited += 1  # from here on everything is real again: the loop closes

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(played())


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """A story is short: its garbage is collected when it ends."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


@contextlib.contextmanager
def theatre() -> Iterator[Theatre]:
    """A theatre on ``TEST_DATABASE_URL``, else on an embedded server."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connector-simulation-")))
        given = os.environ.get("TEST_DATABASE_URL")
        made = Theatre(given or stack.enter_context(EmbeddedCluster(folder / "postgres", FAST)).dsn, folder)
        if given is None:
            made.let_in_fast()
        made.build()
        stack.callback(made.close)
        yield made


def _at(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


async def _execute(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
