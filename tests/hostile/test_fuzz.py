"""The fuzzing of the webhook endpoint, short; and that it would find what it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.fuzz.client import Heard, fire, shrunk
from tests.fuzz.process import target
from tests.fuzz.requests import Door, Shot, shot
from tests.fuzz.run import fuzz, report

DOOR = Door("127.0.0.1", 1, "fuzz", "connector", "password")
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def test_a_volley(database: str, tmp_path: Path) -> None:
    """Nothing to be said against the daemon: `make fuzz` with a small number. The report says what else."""
    async with target(database, tmp_path, tmp_path / "log") as aim:
        found = await fuzz(aim, 7, 600)
    assert not found.wrong, report(found)
    assert found.stored[1] > 0
    assert found.statuses.keys() >= {"friends 200", "strangers 401", "strangers 404"}


def test_a_request_is_a_function_of_seed_and_number() -> None:
    """Else none could be sent again."""
    assert [shot(3, n, DOOR) for n in range(200)] == [shot(3, n, DOOR) for n in range(200)]
    assert shot(3, 1, DOOR) != shot(4, 1, DOOR)


@pytest.mark.parametrize(
    ("stranger", "statuses", "hung", "wrong"),
    [
        (True, [401], False, None),
        (True, [200], False, "let in"),
        (True, [500], False, "fault"),
        (True, [404], False, "not 401"),
        (False, [200], False, None),
        (False, [503], False, "fault"),
        (False, [400], False, "banned"),
        (False, [], False, "banned"),
        (False, [], True, "no answer"),
    ],
)
def test_what_is_wrong_with_an_answer(stranger: bool, statuses: list[int], hung: bool, wrong: str | None) -> None:  # noqa: FBT001
    """To a whole request."""
    said = Heard(statuses, hung=hung).wrong(Shot(1, "x", stranger=stranger, parts=[b"x"], clean=True))
    assert (said is None) == (wrong is None)
    assert (wrong or "") in (said or "")


async def _fragile(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    status = b"500 No" if b"x-bad: 8472" in head.lower() else b"200 OK"
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nok" % status)
    await writer.drain()
    writer.close()


async def test_what_fails_is_made_small() -> None:
    """A daemon that trips over one header: what is printed is hardly more than that."""
    server = await asyncio.start_server(_fragile, "127.0.0.1", 0)
    door = Door("127.0.0.1", server.sockets[0].getsockname()[1], "x", "x", "x")
    noise = [b"X-%d: a\r\n" % number for number in range(40)]
    sent = Shot(
        1, "x", stranger=False, parts=[b"POST / HTTP/1.1\r\n", *noise, b"X-Bad: 8472\r\n", *noise, b"\r\n", b"y" * 500]
    )

    async def fails(smaller: Shot) -> bool:
        return (
            (await fire(door, smaller)).wrong(smaller) is not None if b"\r\n\r\n" in b"".join(smaller.parts) else False
        )

    assert await fails(sent)
    smallest = await shrunk(sent, fails)
    server.close()
    await server.wait_closed()
    assert b"".join(smallest.parts).lower().startswith(b"x-bad: 8472\r\n")
    assert len(smallest.parts) <= 3
