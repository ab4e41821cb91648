"""``connector wait``: returns once both sides agree as far as no person is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from connector.app.commands import Desk
from connector.app.role import words_of
from connector.cli.place import AsJson, Data, at_desk
from connector.cli.talk import OK, TIMED_OUT, note, say_json
from connector.core.identity import Role
from connector.store import connections, report, roles
from connector.store.db import Database
from connector.store.report import Now

LOOK = 0.1


def wait(
    seconds: Annotated[float, typer.Option("--timeout", min=0, metavar="S", help="Seconds to wait at most.")] = 300.0,
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Sweep for recent changes, then wait until nothing is left to do; exit 0, or 3 after the time.

    What needs a person (parked, braked, held, and what waits for it) is printed and does not count. Where something is
    paused, a connection is held, or nobody has said which database this is, it says so and exits 3 at once.

    Example: connector wait --timeout 60
    """
    at_desk(data, lambda desk: _wait(desk, seconds, as_json=as_json))


async def _wait(desk: Desk, seconds: float, *, as_json: bool) -> int:
    names = await working(desk)
    settling = [asyncio.create_task(_settle(desk, name)) for name in names]
    try:
        code = await _all_settled(settling, seconds)
    finally:
        for task in settling:
            task.cancel()
        await asyncio.gather(*settling, return_exceptions=True)
    return await _told(desk, names, code, as_json=as_json)


async def working(desk: Desk) -> Sequence[str]:
    """The connections that are worked on; says which are not."""
    names = await desk.current()
    for name in sorted(desk.sets.keys() - set(names)):
        note(f"{name}: left alone, for the daemon that runs does not work on it")
    return names


async def _all_settled(settling: Sequence[asyncio.Task[bool]], seconds: float) -> int:
    """The exit code: as soon as one connection is stopped nobody needs to wait for the others."""
    try:
        async with asyncio.timeout(seconds):
            for each in asyncio.as_completed(settling):
                if not await each:
                    return TIMED_OUT
    except TimeoutError:
        return TIMED_OUT
    return OK


async def _settle(desk: Desk, connection: str) -> bool:
    """True once the connection was swept and has nothing left to do; False as soon as something stops it."""
    if await _stops(desk, connection):
        return False
    stopped = asyncio.create_task(_stopped(desk, connection))
    quiet = asyncio.create_task(desk.served(connection, lambda: _quiet(desk, connection)))
    try:
        await asyncio.wait({stopped, quiet}, return_when=asyncio.FIRST_COMPLETED)
        if quiet.done():
            await quiet
        return quiet.done()
    finally:
        stopped.cancel()
        quiet.cancel()
        await asyncio.gather(stopped, quiet, return_exceptions=True)


async def _stopped(desk: Desk, connection: str) -> None:
    """Returns when the connection is paused or held."""
    while not await _stops(desk, connection):
        await desk.clock.sleep(LOOK)


async def _quiet(desk: Desk, connection: str) -> None:
    await desk.ask(connection, "sweep", {"kind": "recent"})
    while any((await _left(desk, connection)).values()):
        await desk.clock.sleep(LOOK)


async def _stops(desk: Desk, connection: str) -> list[str]:
    """Why nothing will be done."""
    async with desk.database.session() as db:
        row, stand = await connections.get(db, connection), await roles.load(db, connection)
    held = [f"held: {row.reason}; {row.advice}"] if row.state == "held" else []
    if stand.role is Role.IN_DOUBT:
        words = words_of(stand)
        held.append(f"{words.why}; {words.advice}")
    return held + await pauses(desk.database, connection)


async def pauses(database: Database, connection: str) -> list[str]:
    """What a person has paused of a connection, and how it goes on."""
    async with database.session() as db:
        row = await connections.get(db, connection)
        mappings = await connections.paused_mappings(db, connection)
    found = [f"paused; go on: connector resume {connection}"] if row.paused else []
    found += [f"sends are paused; go on: connector resume {connection} --sends"] if row.sends_paused else []
    return found + [f"{name} is paused; go on: connector resume {connection}/{name}" for name in sorted(mappings)]


async def _left(desk: Desk, connection: str) -> Mapping[str, int]:
    async with desk.database.session() as db:
        return await report.unfinished(db, Now(connection, desk.clock.now()))


async def _told(desk: Desk, names: Sequence[str], code: int, *, as_json: bool) -> int:
    """Prints what is left, and what needs a person; the code again."""
    found: dict[str, Any] = {}
    for name in names:
        async with desk.database.session() as db:
            person = await report.needs_person(db, Now(name, desk.clock.now()))
        left = await _left(desk, name)
        found[name] = {"left": left, "needs_person": person, "stopped_by": await _stops(desk, name)}
    if as_json:
        say_json({"done": code == OK, "connections": found})
    for name, told in found.items():
        _say(name, told, done=code == OK)
    return code


def _say(name: str, told: Mapping[str, Any], *, done: bool) -> None:
    left = ", ".join(f"{n} {word}" for word, n in told["left"].items() if n)
    person = ", ".join(f"{n} {word}" for word, n in told["needs_person"].items() if n)
    for stop in told["stopped_by"]:
        note(f"{name}: {stop}")
    if not done:
        note(f"{name}: not done; left: {left or 'nothing'}")
    if person:
        note(f"{name}: needs a person: {person} (connector status, connector failures list, connector conflicts list)")
