"""The theatre itself: what it stands for must not hang or answer under another's name."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connector.store.db import Database
from tests.simulation.life import LIFE, Life
from tests.simulation.loop import Loop, StuckError
from tests.simulation.stage import patched
from tests.simulation.theatre import in_simulated_time
from tests.simulation.turns import Queue, Turns
from tests.simulation.wire import MemoryConnector, MemorySite, Net


def test_a_transaction_has_its_session_before_its_turn(postgres_dsn: str) -> None:
    """Who has the only session and waits for his turn lets go of it: otherwise everybody waits for everybody."""
    in_simulated_time(_crowd(postgres_dsn))


async def _crowd(dsn: str) -> None:
    chance = Random(1)
    with patched(Net(chance), Turns(chance, dsn)):
        database = await Database.open(dsn, size=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(_reads(database))
            group.create_task(_writes(database))
        await database.close()


async def _reads(database: Database) -> None:
    async with database.session() as db:
        await asyncio.sleep(2.0)
        await db.execute("select 1")


async def _writes(database: Database) -> None:
    await asyncio.sleep(1.0)
    async with database.transaction() as db:
        await db.execute("select 1")


async def _nobody_acts() -> None:
    await asyncio.Event().wait()


async def _time_passes() -> None:
    for _ in itertools.count():
        await asyncio.sleep(3600)


@pytest.mark.parametrize("hangs", [_nobody_acts, _time_passes])
def test_a_story_that_hangs_is_told(hangs: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Where everybody waits is said of it: those who can never act again, and those who only pass time."""
    with pytest.raises(StuckError) as told:
        in_simulated_time(hangs())
    assert any("test_theatre.py" in note for note in told.value.__notes__)


def test_who_is_stopped_does_nothing_and_holds_up_nobody() -> None:
    """Neither his timers nor his place in the queue: the others go on, and he does so once he wakes."""
    assert in_simulated_time(_stopped()) == ["b 1.0", "b 3.0", "b 5.0", "a 6.0", "b 7.0"]


async def _stopped() -> list[str]:
    loop, queue = asyncio.get_running_loop(), Queue()
    assert isinstance(loop, Loop)
    said: list[str] = []

    async def speak(name: str, begin: float) -> None:
        await asyncio.sleep(begin)
        while loop.time() < 7.5:
            async with queue:
                said.append(f"{name} {loop.time():.1f}")
            await asyncio.sleep(2.0)

    lives = {name: Life(name=name) for name in "ab"}
    tasks = []
    for name, begin in (("a", 0.5), ("b", 1.0)):
        context = contextvars.copy_context()
        context.run(LIFE.set, lives[name])
        tasks.append(loop.create_task(speak(name, begin), context=context))
    async with queue:
        await asyncio.sleep(0.7)
        loop.stop_process(lives["a"])
    await asyncio.sleep(6.0 - loop.time())
    loop.wake_process(lives["a"])
    queue.recall()
    await asyncio.gather(*tasks)
    return said


def test_who_is_stopped_on_the_point_of_acting_does_not() -> None:
    """Else he takes the turn and stands still with it; and he goes on as himself, whose turn it is."""
    assert in_simulated_time(_about_to_speak()) == ["himself 1.0"]


async def _about_to_speak() -> list[str]:
    loop, life, name = asyncio.get_running_loop(), Life(), contextvars.ContextVar("name", default="nobody")
    assert isinstance(loop, Loop)
    said: list[str] = []

    async def speak() -> None:
        name.set("himself")
        await asyncio.sleep(0)
        said.append(f"{name.get()} {loop.time():.1f}")

    context = contextvars.copy_context()
    context.run(LIFE.set, life)
    task = loop.create_task(speak(), context=context)
    await asyncio.sleep(0)
    loop.stop_process(life)
    await asyncio.sleep(1.0)
    loop.wake_process(life)
    await task
    return said


def test_a_process_answers_as_itself() -> None:
    """Whoever calls it: else a session that it opens to answer is nobody's, and outlives its death with its locks."""
    assert in_simulated_time(_asked()) == "listener"


async def _asked() -> str:
    net = Net(Random(1))
    application = web.Application()
    application.router.add_get("/", _tell)
    runner = web.AppRunner(application)
    await runner.setup()
    context = contextvars.copy_context()
    context.run(LIFE.set, Life(name="listener"))
    site = MemorySite(net, None, runner, "daemon.test", 80)
    await asyncio.create_task(site.start(), context=context)
    async with (
        aiohttp.ClientSession(connector=MemoryConnector(net)) as session,
        session.get("http://daemon.test") as answer,
    ):
        told = await answer.text()
    await runner.cleanup()
    return told


async def _tell(_: web.Request) -> web.Response:
    life = LIFE.get()
    return web.Response(text=life.name if life is not None else "nobody")
