"""Rule 9, whose send it is: who was stopped for a while sends nothing that the next owner already settled.

The accident: a process is suspended between its intent and its call; the next owner finds that nothing was applied and
creates; then the first one wakes up and creates as well.
"""

from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from connector.engine.send.sender import FRESH
from connector.engine.tenure import HEARTBEAT
from connector.ports import WRITE_SECONDS
from connector.store import lease
from tests.engine.accidents.people import TABLES, add, people, persons, requests, stopped, turns
from tests.engine.rig import Rig, rig

SLOW_INTENTS = """
create function app.stop() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock(77); return null; end $$;
create trigger stop after insert on connector.intent for each statement execute function app.stop();
"""


def test_a_lease_is_longer_than_a_write() -> None:
    """Renewed in time, it always outlives a write that starts now; one late renewal does not stop the sends."""
    assert timedelta(seconds=WRITE_SECONDS + HEARTBEAT) < lease.TERM


@pytest.mark.parametrize("seconds", [16.0, 50.0], ids=["the lease ran out", "the intent is too old as well"])
async def test_a_process_that_slept_after_its_intent(database: str, tmp_path: Path, seconds: float) -> None:
    """It sends nothing while it does not know that it still owns the connection; then it goes on, or begins anew.

    Fails when whoever has an intent may send: the next owner may have settled it.
    """
    async with rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        await world.start()
        await world.db.execute(SLOW_INTENTS)
        other = await asyncpg.connect(database)
        try:
            await other.execute("select pg_advisory_lock(77)")
            async with other.transaction():
                await add(world, "ann")
                await world.until(lambda: _asleep(world))
                await other.execute("select * from connector.lease for no key update")  # nor can the lease be renewed
                world.clock.leap(seconds)
                await other.execute("select pg_advisory_unlock(77)")
                await world.until(lambda: world.db.fetchval("select count(*) = 1 from connector.intent"))
                await world.until(turns(30))
                assert await requests(world, "POST") == 1  # the identity field
            if timedelta(seconds=seconds) > FRESH:
                await stopped(world, ("retry", "unavailable"))
        finally:
            await other.close()
        await world.quiet()
        assert len(await persons(world)) == 1


async def _asleep(world: Rig) -> bool:
    sql = "select exists (select from pg_locks where locktype = 'advisory' and objid = 77 and not granted)"
    return bool(await world.db.fetchval(sql))
