"""The simulation in the tests: so many stories, each of which must keep the laws; `make simulate` plays any number."""

from __future__ import annotations

import asyncio
import os
import sys
from random import Random

from connector.store.db import Database
from tests.simulation.stage import patched
from tests.simulation.theatre import in_simulated_time
from tests.simulation.turns import Turns
from tests.simulation.wire import Net

SEEDS = os.environ.get("SIMULATION_SEEDS", "3-15")


async def test_every_story_keeps_the_laws(postgres_dsn: str) -> None:
    """Both sides agree, nothing is double, one more pass writes nothing; what breaks is printed with its seed."""
    code, told = await _simulate(postgres_dsn, SEEDS)
    assert code == 0, told


async def test_a_seed_tells_the_same_story_twice(postgres_dsn: str) -> None:
    """Down to every entry of the journal, at the same simulated moment."""
    first, second = [await _simulate(postgres_dsn, "5-5", "--digest") for _ in range(2)]
    assert first == second
    assert "digest" in first[1]


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


async def _simulate(dsn: str, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.simulation",
        *arguments,
        env={**os.environ, "TEST_DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return process.returncode, told.decode()
