"""The line between the daemon and its database, which a test can cut: every session breaks and none can be made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

from connector.store import lease
from tests.engine.rig import Rig

LEASE = lease.TERM.total_seconds() + 2.0
"""Seconds after which the lease of a dead process has run out."""


class Wire:
    """Passes bytes on between a port of its own and the server of a DSN. `past`: the database past this line."""

    def __init__(self, dsn: str) -> None:
        self.past = dsn
        self._parts = urlsplit(dsn)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def dsn(self) -> str:
        """The same database by way of this line."""
        user = self._parts.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{self.port}" if user else f"127.0.0.1:{self.port}"
        return urlunsplit(self._parts._replace(netloc=netloc, query=""))

    async def mend(self) -> None:
        """Lets sessions be made (again)."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Breaks every session; afterwards nobody answers."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        for task in list(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._session(reader, writer), name="wire")
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await _connect(self._parts)
        self._open |= {writer, back}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back))
                group.create_task(_pump(there, writer))
        finally:
            for end in (writer, back):
                self._open.discard(end)
                end.transport.abort()


async def _connect(parts: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = parts.port or 5432
    folder = parse_qs(parts.query).get("host", [""])[0]
    if folder.startswith("/"):
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
    return await asyncio.open_connection(parts.hostname, port)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def wired(dsn: str) -> AsyncIterator[Wire]:
    """A whole line."""
    wire = Wire(dsn)
    await wire.mend()
    try:
        yield wire
    finally:
        await wire.cut()


async def crash(world: Rig, wire: Wire) -> None:
    """The process dies: its sessions break, no call of it arrives any more, and after a while its lease runs out."""
    await wire.cut()
    assert world.daemon is not None
    for running in world.daemon.running.values():
        await running.crm.close()
    await world.kill()
    await wire.mend()
    world.clock.leap(LEASE)
