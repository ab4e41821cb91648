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
from tests.simulation.loop import StuckError
from tests.simulation.stage import patched
from tests.simulation.theatre import in_simulated_time
from tests.simulation.turns import Turns
from tests.simulation.wire import MemoryConnector, MemorySite, Net


def test_a_transaction_has_its_session_before_its_turn(postgres_dsn: str) -> None:
    """Who has the only session and waits for his turn lets go of it: otherwise everybody waits for everybody."""
    in_simulated_time(_crowd(postgres_dsn))


async def _crowd(dsn: str) -> None:
    chance = Random(1)
    with patched(Net(chance), Turns(chance)):
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
