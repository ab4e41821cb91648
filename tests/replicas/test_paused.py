"""An owner that is stopped and woken: it writes nothing, sends nothing, waits as a standby, and is there when needed again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import asyncpg

from tests.engine.rig import FastClock
from tests.replicas.estate import Tenant, estate
from tests.replicas.fleet import Fleet, Replica, fleet

SPEED = 4.0
PATIENCE = 60.0
SLOW_INTENTS = """
create function c01.stop() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock(77); return null; end $$;
create trigger stop after insert on connector.intent for each statement execute function c01.stop();
"""


async def test_an_owner_that_is_stopped_in_a_transaction(database: str, tmp_path: Path) -> None:
    """Its open transaction keeps nobody out for long; the other one makes the record, and only that one does.

    Fails when nothing ends the transaction of a stopped process: no other could take over before it was woken.
    """
    clock = FastClock(SPEED)
    async with (
        estate(database, tmp_path / "sets", 1, clock, 1) as (tenant,),
        fleet(database, tmp_path, [tenant], 2, clock=clock, fast=True) as replicas,
    ):
        await replicas.until_owned(1, PATIENCE)
        await tenant.begin(clock)
        first, second = await _roles(replicas)
        await tenant.db.execute(SLOW_INTENTS)
        gate = await asyncpg.connect(database)
        try:
            await gate.execute("select pg_advisory_lock(77)")
            await tenant.people.insert_contact()
            await _until(lambda: _waits_for(tenant, 77))
            first.process.signal(signal.SIGSTOP)
            await gate.execute("select pg_advisory_unlock(77)")
        finally:
            await gate.close()
        await _until(lambda: _owned_by(replicas, second))
        await tenant.quiet(clock, PATIENCE)
        assert len(tenant.people.live("person")) == 1
        before = await _state(tenant)
        first.process.signal(signal.SIGCONT)
        await _until(lambda: _stands_by(first, "c01"))
        assert await _state(tenant) == before, "who was woken has written"
        assert await _owned_by(replicas, second)
        await tenant.people.update_contact()
        await tenant.quiet(clock, PATIENCE)
        assert not await tenant.people.differences()
        await second.process.kill()
        await _until(lambda: _owned_by(replicas, first))
        await tenant.people.insert_contact()
        await tenant.quiet(clock, PATIENCE)
        assert not await tenant.people.differences()


async def _roles(replicas: Fleet) -> tuple[Replica, Replica]:
    """Owner and standby."""
    first, second = replicas.replicas
    return (first, second) if await _owned_by(replicas, first) else (second, first)


async def _owned_by(replicas: Fleet, replica: Replica) -> bool:
    await replicas.watch.look()
    return any(pid == replica.process.pid for _, pid in replicas.watch.owners.values())


async def _waits_for(tenant: Tenant, number: int) -> bool:
    sql = "select exists (select from pg_locks where locktype = 'advisory' and objid = $1 and not granted)"
    return bool(await tenant.db.fetchval(sql, number))


async def _stands_by(replica: Replica, connection: str) -> bool:
    """True once the process says itself that it does not own the connection."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{replica.port}/readyz") as answer:
        told = await answer.json()
    return bool(told["connections"][connection]["state"] == "standby")


async def _state(tenant: Tenant) -> list[tuple[object, ...]]:
    """What an owner writes while it has something to do, and what the CRM was sent."""
    tables = ("link", "work", "intent", "journal")
    rows = [tuple(await tenant.db.fetch(f"select * from connector.{name} order by 1")) for name in tables]
    return [*rows, tuple(record["update_time"] for record in tenant.people.live("person"))]


async def _until(probe: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await probe():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
