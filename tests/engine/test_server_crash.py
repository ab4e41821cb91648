"""PostgreSQL crashes: what had not reached the disk is undone, and done again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

import asyncpg

from connector.postgres.cluster import EmbeddedCluster
from tests.engine.accidents.people import TABLES, add, edit, people, persons, rows
from tests.engine.rig import CONNECTION, Rig, rig

NEVER = {"wal_writer_delay": "10s"}
"""Only who waits for the disk gets his commits there before the crash."""
COUNT, CRASHES = 40, 3
EPOCH = "select epoch from connector.lease"


async def test_a_crash_of_the_server_undoes_and_nothing_is_lost(tmp_path: Path) -> None:
    """Rows and persons are made and edited on both sides while the server crashes; afterwards both sides agree."""
    dice = Random(7)
    with EmbeddedCluster(tmp_path / "postgres", NEVER) as cluster:
        async with rig(cluster.dsn, tmp_path / "set", people(), TABLES, webhooks=True) as world:
            await world.start()
            for turn in range(CRASHES):
                await add(world, *(f"row{turn}-{n}" for n in range(COUNT)))
                for n in range(COUNT):
                    await world.person(
                        first_name=f"person{turn}-{n}", last_name="Test", emails=[{"value": f"p{turn}-{n}@x.test"}]
                    )
                linked = await _linked(world, at_least=dice.randrange(1, COUNT))
                await world.db.execute("update app.people set last = $1 where id = any($2)", f"a{turn}", linked[::2])
                for person in (await persons(world))[: COUNT // 2]:
                    await edit(world, person["id"], last_name=f"c{turn}")
                await _crash(world)
            await _resolved(world)
            await world.quiet()
            ours = [(r["email"], r["first"], r["last"]) for r in await rows(world)]
            theirs = [(p["emails"][0]["value"], p["first_name"], p["last_name"]) for p in await persons(world)]
            assert sorted(ours, key=str) == sorted(theirs, key=str)
            assert len({mail for mail, *_ in ours}) == len(ours) == 2 * COUNT * CRASHES


async def test_a_crash_of_the_server_makes_no_second_record(tmp_path: Path) -> None:
    """What the CRM has made and PostgreSQL has forgotten is found again by its intent, also where nothing else names it.

    Fails when an intent does not wait for the disk: everybody is made twice.
    """
    with EmbeddedCluster(tmp_path / "postgres", NEVER) as cluster:
        connection, files = f"{CONNECTION}identity_field: none\n", people(match="", direction="send", deletes="")
        async with rig(cluster.dsn, tmp_path / "set", files, TABLES, connection=connection) as world:
            await world.start()
            await add(world, *(f"row{n}" for n in range(COUNT)))
            await _linked(world, at_least=COUNT // 2)
            await _crash(world)
            await _resolved(world)
            assert len(await persons(world)) == COUNT


async def _resolved(world: Rig) -> None:
    """Waits until only those are left whose outcome nobody knows, and then so long that they are looked for."""

    async def only_unknown() -> bool:
        found = await world.db.fetch("select distinct state, cause from connector.work")
        return {tuple(row) for row in found} <= {("waiting", "unknown_outcome")}

    await world.until(only_unknown)
    world.clock.leap(61)
    await world.idle()


async def _linked(world: Rig, at_least: int) -> list[int]:
    """Keys of rows whose records are known, once there are so many more."""

    async def known() -> list[int]:
        found = await world.db.fetch(
            "select app_key::int from connector.link where app_key is not null and crm_id is not null"
        )
        return [row["app_key"] for row in found] if len(found) >= at_least else []

    return await world.until(known)


async def _crash(world: Rig) -> None:
    """Kills one process of the server: it throws out everybody, forgets its memory and recovers from the disk.

    Returns when the daemon is back, under a new epoch.
    """
    dsn, victim = world.dsn, world.db.get_server_pid()
    before = await world.db.fetchval(EPOCH)
    os.kill(victim, signal.SIGKILL)
    world.db.terminate()

    async def again() -> bool:
        try:
            db = await asyncpg.connect(dsn)
            if await db.fetchval(EPOCH) > before:
                world.db = db
                return True
            await db.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pass  # it has not crashed yet, or recovers
        return False

    await world.until(again)
