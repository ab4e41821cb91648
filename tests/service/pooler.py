"""A transaction pooler before the database, as unkind as one may be: every transaction gets another server session.

Like PgBouncer it refuses start-up parameters that it does not track, and the process numbers it tells are its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

SSL, GSS, CANCEL = 80877103, 80877104, 80877102
TRACKED: Final = {
    "user", "database", "client_encoding", "datestyle", "timezone", "standard_conforming_strings", "application_name",
}  # fmt: skip
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """Stands before the server of `dsn`; reached through its own `dsn` while entered."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._free: deque[Stream] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused: list[str] = []
        self.transactions = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._free:
            session[1].close()

    @property
    def dsn(self) -> str:
        """The same database, through the pooler."""
        port = self._server.sockets[0].getsockname()[1]
        who = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{who}@127.0.0.1:{port}"))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._serve((reader, writer))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, client: Stream) -> None:
        """One client: its greeting makes a server session that all share, then each transaction takes the oldest."""
        greeting = await _greeting(client)
        if greeting is None or not await self._greet(client, greeting):
            return
        while True:
            message = await _message(client[0])
            if message[:1] == b"X":
                return
            await self._transaction(client, message)

    async def _transaction(self, client: Stream, first: bytes) -> None:
        """From the client's first message until the server is out of the transaction."""
        session = self._free.popleft()
        session[1].write(first)
        sending = asyncio.create_task(_send(client, session))
        try:
            while await _answer(session, client) != b"I":
                pass
            self._free.append(session)
            self.transactions += 1
        except BaseException:
            session[1].close()
            raise
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _greet(self, client: Stream, greeting: bytes) -> bool:
        """True once the client is in: its own server session, that answered, is everybody's now."""
        words = greeting[8:].rstrip(b"\0").split(b"\0")
        strange = [name for name in map(bytes.decode, words[::2]) if name.lower() not in TRACKED]
        if strange:
            self.refused += strange
            client[1].write(_error(f"unsupported startup parameter: {strange[0]}"))
            await client[1].drain()
            return False
        session: Stream = await asyncio.open_connection(self._target.hostname, self._target.port)
        session[1].write(greeting)
        while (message := await _message(session[0]))[:1] != b"Z":
            if message[:1] == b"K":
                message = b"K" + struct.pack("!iii", 12, 1, 1)
            client[1].write(message)
            if message[:1] == b"R" and struct.unpack("!i", message[5:9])[0] in (3, 5, 10, 11):
                session[1].write(await _message(client[0]))
            if message[:1] == b"E":
                return False
        client[1].write(message)
        self._free.append(session)
        return True


async def _greeting(client: Stream) -> bytes | None:
    """The client's start-up message; None for a cancellation, which a stranger's numbers cannot name."""
    while True:
        head = await client[0].readexactly(8)
        length, code = struct.unpack("!ii", head)
        if code not in (SSL, GSS):
            return None if code == CANCEL else head + await client[0].readexactly(length - 8)
        client[1].write(b"N")


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _send(client: Stream, session: Stream) -> None:
    """Hands on what the client says; nothing is lost when it is stopped, for a client waits for its answer."""
    while (message := await _message(client[0]))[:1] != b"X":
        session[1].write(message)
    session[1].close()


async def _answer(session: Stream, client: Stream) -> bytes:
    """Hands everything on until the server is ready again; its state of transaction."""
    while True:
        message = await _message(session[0])
        client[1].write(message)
        if message[:1] == b"Z":
            await client[1].drain()
            return message[5:6]


def _error(text: str) -> bytes:
    body = b"SFATAL\0C08P01\0M" + text.encode() + b"\0\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body
