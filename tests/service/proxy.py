"""A TCP proxy before the database: its plug can be pulled and put back."""

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards to the server of `dsn`; reached through its own `dsn` while entered."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._plugged = True
        self._stuck: set[asyncio.StreamWriter] = set()
        self._freed = asyncio.Event()
        self.refused = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.pull()
        while self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def dsn(self) -> str:
        """The database seen through the proxy."""
        user, _, _ = self._target.netloc.rpartition("@")
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{port}"))

    def pull(self) -> None:
        """Ends all connections and refuses new ones; `refused` is set when one was."""
        self._plugged = False
        self.refused.clear()
        self._freed.set()
        for writer in self._writers:
            writer.transport.abort()

    def put_back(self) -> None:
        """The database is there again."""
        self._plugged = True

    def hang(self) -> None:
        """The present connections stay, and nothing gets through them until `pull`; new ones work."""
        self._freed.clear()
        self._stuck = set(self._writers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._plugged:
            writer.transport.abort()
            self.refused.set()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        assert self._target.hostname is not None
        back, forth = await asyncio.open_connection(self._target.hostname, self._target.port or 5432)
        await asyncio.gather(self._pump(reader, forth), self._pump(back, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if writer in self._stuck:
                    await self._freed.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
        self._writers.discard(writer)
