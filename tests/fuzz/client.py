"""Sends a request as it is, byte by byte, and says what is wrong with the answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from tests.fuzz.requests import Door, Shot

PATIENCE = 30.0
LEAVING = 0.02
"""Seconds that one who leaves gives the daemon to say something."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The statuses of the answers, interim ones left out. `hung`: not all came, and the connection stayed open."""

    statuses: Sequence[int]
    hung: bool = False

    def wrong(self, shot: Shot) -> str | None:
        """What must not be; None when all is as it should."""
        if any(status >= 500 for status in self.statuses):
            return f"{self.statuses}: the daemon's own fault"
        if shot.stranger and any(status < 400 for status in self.statuses):
            return f"{self.statuses}: a stranger was let in"
        if self.hung and not shot.aborts:
            return "no answer"
        if shot.clean and not shot.stranger and list(self.statuses) != [200] * shot.answers:
            return f"{self.statuses}: a friend's delivery gets the subscription banned"
        if shot.clean and shot.stranger and list(self.statuses) != [401]:
            return f"{self.statuses}: not 401"
        return None


async def fire(door: Door, shot: Shot) -> Heard:
    """What came back."""
    reader, writer = await asyncio.open_connection(door.host, door.port)
    try:
        sending = asyncio.create_task(_send(writer, shot))
        heard = await _listen(reader, shot)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        return heard
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, shot: Shot) -> None:
    if not shot.pause:
        writer.write(b"".join(shot.parts))
        await writer.drain()
        return
    for part in shot.parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(shot.pause)


async def _listen(reader: asyncio.StreamReader, shot: Shot) -> Heard:
    statuses: list[int] = []
    try:
        async with asyncio.timeout(LEAVING if shot.aborts else PATIENCE):
            while len(statuses) < shot.answers:
                status, length = _head(await reader.readuntil(b"\r\n\r\n"))
                if "HEAD" not in shot.kind:
                    await reader.readexactly(length)
                statuses += [status] if status >= 200 else []
    except (asyncio.IncompleteReadError, ConnectionError):
        return Heard(statuses)
    except TimeoutError:
        return Heard(statuses, hung=True)
    return Heard(statuses)


def _head(head: bytes) -> tuple[int, int]:
    first, *lines = head.split(b"\r\n")
    lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
    return int(first.split()[1]), sum(lengths)


async def shrunk(shot: Shot, fails: Callable[[Shot], Awaitable[bool]]) -> Shot:
    """The request without whatever part can be left out, or half of it, while it still fails."""
    size = max(len(shot.parts) // 2, 1)
    while size:
        at = 0
        while at < len(shot.parts):
            smaller = replace(shot, parts=[*shot.parts[:at], *shot.parts[at + size :]])
            if len(smaller.parts) > 0 and await fails(smaller):
                shot = smaller
            else:
                at += size
        size //= 2
    for at in range(len(shot.parts)):
        shot = await _halved(shot, at, fails)
    return shot


async def _halved(shot: Shot, at: int, fails: Callable[[Shot], Awaitable[bool]]) -> Shot:
    while len(shot.parts[at]) > 1:
        part = shot.parts[at]
        smaller = replace(shot, parts=[*shot.parts[:at], part[: len(part) // 2], *shot.parts[at + 1 :]])
        if not await fails(smaller):
            break
        shot = smaller
    return shot
