"""A restore that PostgreSQL itself does not show: the same cluster, its files as they were.

Only the CRM, or a process that has seen more, can tell.
"""

from __future__ import annotations

import asyncio
import subprocess
from datetime import datetime
from pathlib import Path

import asyncpg

from connector.core.identity import Role
from connector.postgres.cluster import EmbeddedCluster
from tests.engine.accidents.people import TABLES, add, people, persons, requests, rows
from tests.engine.restoring import becomes, returned
from tests.engine.rig import Rig, rig

FILES = people(match="")
FAST = {"fsync": "off", "full_page_writes": "off"}


async def test_the_crm_knows_more_than_the_database(tmp_path: Path) -> None:
    """Nobody was there when the files were put back; before anything is sent, the CRM's identities tell.

    Fails when the record that waited in the backup is made before the CRM was looked at: eve is there twice.
    """
    cluster = EmbeddedCluster(tmp_path / "postgres", FAST)
    with cluster:
        async with rig(cluster.dsn, tmp_path / "set", FILES, TABLES) as world:
            await world.start()
            await world.stop()
            await add(world, "eve")
            await _swap(world, cluster, tmp_path / "postgres", tmp_path / "backup")
            await world.start(fetch_all=False)
            await world.quiet()
            assert len(await persons(world)) == 1
            await world.stop()
            await _swap(world, cluster, tmp_path / "backup", tmp_path / "postgres")
            before = await requests(world, "POST")
            await world.start(fetch_all=False)
            await becomes(world, Role.IN_DOUBT)
            assert await world.db.fetchval("select doubt from connector.connection") == "behind"
            await world.idle()
            assert await requests(world, "POST") == before
            await returned(world)
            assert len(await persons(world)) == len(await rows(world)) == 1


async def test_under_a_daemon_that_runs(tmp_path: Path) -> None:
    """Nothing was made in the lost time, but the daemon has written later than the database knows.

    Fails when it goes on as if the server had only been away: the line that only sends puts the old phone back.
    """
    files = people(SENDS, match="")
    cluster = EmbeddedCluster(tmp_path / "postgres", FAST)
    with cluster:
        async with rig(cluster.dsn, tmp_path / "set", files, TABLES) as world:
            await world.start()
            await add(world, "ann")
            await world.db.execute("update app.people set phone = '+44 1'")
            await world.quiet()
            await world.stop()
            await _swap(world, cluster, tmp_path / "postgres", tmp_path / "backup")
            await world.start(fetch_all=False)
            await world.db.execute("update app.people set phone = '+44 2'")
            await world.quiet()
            world.clock.leap(60)
            await world.until(lambda: _renewed(world))
            await _swap(world, cluster, tmp_path / "backup", tmp_path / "postgres")
            await becomes(world, Role.IN_DOUBT)
            assert await world.db.fetchval("select doubt from connector.connection") == "went_back"
            await returned(world)
            assert [p["phones"][0]["value"] for p in await persons(world)] == ["+44 2"]


SENDS = """
fields:
  - {column: email, crm: emails, as: primary}
  - {column: first, crm: first_name}
  - {column: last, crm: last_name}
  - {column: phone, crm: phones, as: primary, direction: send}
"""


async def _swap(world: Rig, cluster: EmbeddedCluster, source: Path, target: Path) -> None:
    """Stops the server, puts one directory in the place of the other, starts it."""
    await world.db.close()
    await asyncio.to_thread(_swapped, cluster, source, target)
    world.db = await asyncpg.connect(world.dsn)


async def _renewed(world: Rig) -> bool:
    """The daemon has written something that the backup certainly lacks."""
    expires: datetime = await world.db.fetchval("select expires_at from connector.lease")
    return expires > world.clock.now()


def _swapped(cluster: EmbeddedCluster, source: Path, target: Path) -> None:
    cluster.stop()
    subprocess.run(["rm", "-rf", str(target)], check=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    cluster.start()
