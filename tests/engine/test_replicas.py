"""Several daemons on one database, in this process: who owns what, and what the others do meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import asyncpg

from connector.app.daemon import Daemon, Options
from connector.app.sets import Account, load_directory
from connector.core.rota import SETTLED
from connector.engine.clock import SystemClock
from connector.service.server import Address
from connector.store import lease
from connector.store.db import Database
from tests.engine.accidents.people import TABLES, people
from tests.engine.rig import PATIENCE, Rig, rig
from tests.ports import free_port

TERM = lease.TERM.total_seconds()
SPEED = 10.0


@asynccontextmanager
async def another(world: Rig, *directories: Path) -> AsyncIterator[Daemon]:
    """A second daemon with the same set, or with these."""
    listen = Address("127.0.0.1", free_port())
    account = Account(world.sandbox.url, world.sandbox.token)
    sets = [(load_directory(directory), account) for directory in directories or (world.directory,)]
    daemon = Daemon(Options(world.dsn, listen, listen, "key", public_url=f"http://{listen}"), sets, world.clock)
    running = asyncio.create_task(daemon.run(), name="another daemon")
    try:
        yield daemon
    finally:
        daemon.stop()
        await asyncio.wait_for(running, PATIENCE)


async def test_an_owner_keeps_its_connection_while_it_prepares(database: str, tmp_path: Path) -> None:
    """The CRM does not answer for longer than a lease lasts: nobody else takes over, who would only begin anew as well.

    Fails when the lease is renewed only once the work has begun: replicas then took a slow start from each other for ever.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, speed=SPEED) as world:
        await world.control("POST", "faults", {"kind": "status", "code": 503, "path": "/api/"})
        async with another(world), another(world):
            await world.until(lambda: _owned(world))
            since = world.clock.monotonic()
            await world.until(lambda: _passed(world, since + 3 * TERM))
            assert await world.db.fetchval("select epoch from connector.lease") == 1
            await world.control("DELETE", "faults")
            await world.until(lambda: _works(world))


async def test_any_replica_takes_webhooks(database: str, tmp_path: Path) -> None:
    """An event that the standby took is carried over by the owner; one that came while nobody owned it, by the next one.

    Fails when a standby refuses, or when it keeps events for itself.
    """
    async with rig(database, tmp_path / "set", people(match=""), TABLES, webhooks=True) as world:
        await world.start()
        async with another(world) as standby:
            await world.until(lambda: _ready(standby))
            (subscription,) = world.sandbox.world.subscriptions.values()
            subscription.url = f"http://{standby.options.listen}/webhooks/test"
            await world.person(name="Ada Q")
            await world.until(lambda: world.db.fetchval("select exists (select from app.people where first = 'Ada')"))
            assert standby.running["test"].context is None
            await world.db.execute(
                "update connector.lease set owner = 'somebody else', epoch = epoch + 1, expires_at = 'infinity'"
            )
            await world.until(lambda: _nobody(world, standby))
            await world.person(name="Bob Q")
            await world.until(lambda: world.db.fetchval("select exists (select from connector.event)"))
            await world.db.execute("update connector.lease set expires_at = 'epoch'")
            await world.until(lambda: world.db.fetchval("select exists (select from app.people where first = 'Bob')"))


async def test_connections_move_to_a_replica_that_owns_fewer(database: str, tmp_path: Path) -> None:
    """Three connections in one hand: once another replica has lived for a while it gets one, and the third stays.

    Fails when replicas that were restarted one after the other leave everything to the first.
    """
    directories = [tmp_path / f"set{n}" for n in range(3)]
    async with rig(database, directories[0], people(), TABLES, speed=SPEED) as world:
        for directory in directories[1:]:
            _copy(directories[0], directory)
        async with another(world, *directories) as first:
            await world.until(lambda: _owns(first, 3))
            began = world.clock.monotonic()
            async with another(world, *directories) as second:
                await world.until(lambda: _owns(second, 1))
                assert world.clock.monotonic() - began >= SETTLED.total_seconds()
                await world.until(lambda: _owns(first, 2))
                since = world.clock.monotonic()
                await world.until(lambda: _passed(world, since + 2 * TERM))
                assert await _owns(second, 1)
            await world.until(lambda: _owns(first, 3))


async def test_connections_that_begin_together_share_the_journal(database: str, tmp_path: Path) -> None:
    """Two connections make the month's partition at once: one of them does it.

    Fails when both try: the daemon ended at its first start with more than one connection.
    """
    directories = [tmp_path / f"set{n}" for n in range(6)]
    async with rig(database, directories[0], people(), TABLES) as world:
        for directory in directories[1:]:
            _copy(directories[0], directory)
        async with another(world, *directories) as daemon:
            await world.until(lambda: _owns(daemon, 6))
            parts = "select count(*) = 3 from pg_inherits where inhparent = 'connector.journal'::regclass"
            await world.until(lambda: world.db.fetchval(parts))


async def test_replicas_go_by_the_databases_clock(database: str) -> None:
    """Two machines whose clocks are an hour apart date leases alike.

    Fails when a process believes its own machine: whose clock is ahead would take every lease from the others.
    """
    ahead, behind = SystemClock(), SystemClock()
    ahead._behind, behind._behind = timedelta(minutes=30), -timedelta(minutes=30)
    pool = await Database.connect(database, size=1)
    try:
        for clock in (ahead, behind):
            await clock.follow(pool)
    finally:
        await pool.close()
    assert abs(ahead.now() - behind.now()) < timedelta(minutes=1)


def _copy(original: Path, copy: Path) -> None:
    copy.mkdir()
    for file in original.iterdir():
        text = file.read_text(encoding="utf-8").replace("name: test", f"name: {copy.name}")
        (copy / file.name).write_text(text, encoding="utf-8")


async def _owned(world: Rig) -> bool:
    with contextlib.suppress(asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return bool(await world.db.fetchval("select exists (select from connector.lease)"))
    return False


async def _passed(world: Rig, moment: float) -> bool:
    return world.clock.monotonic() >= moment


async def _works(world: Rig) -> bool:
    return bool(await world.db.fetchval("select count(*) > 0 from connector.set"))


async def _owns(daemon: Daemon, count: int) -> bool:
    return sum(running.context is not None for running in daemon.running.values()) == count


async def _nobody(world: Rig, standby: Daemon) -> bool:
    assert world.daemon is not None
    return world.daemon.running["test"].context is None and standby.running["test"].context is None


async def _ready(daemon: Daemon) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"http://{daemon.options.listen}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
