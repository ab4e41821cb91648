"""A sweep that fails half way: what its pages had in hand is taken to its end, and nobody waits for the next owner."""

from pathlib import Path

import asyncpg

from tests.engine.accidents.doubt import all_hit
from tests.engine.accidents.people import TABLES, edit, fault, people, turns
from tests.engine.rig import Rig, rig

PAGE = 500


async def test_a_page_that_is_at_work_when_the_next_one_fails(database: str, tmp_path: Path) -> None:
    """What the first page had claimed comes to its end, and the record can be reconciled again.

    Fails when the pages at work are cut off: their items stay claimed while this process owns the connection.
    """
    async with rig(database, tmp_path / "set", people(match=""), TABLES, records=PAGE + 100) as world:
        await world.start()
        await edit(world, 1, last_name="Swept")
        await fault(world, "slow", "GET", "persons$", seconds=0)
        await fault(world, "timeout_before", "GET", "persons$")
        world.impatient()
        other = await asyncpg.connect(world.dsn)
        async with other.transaction():
            await other.execute("lock table connector.intent")
            await world.db.execute("update connector.sweep set due_at = $1 where kind = 'full'", world.clock.now())
            await world.until(lambda: all_hit(world))
            await world.until(lambda: _waits(world))
            await world.until(turns(150))
        await other.close()
        await world.idle()
        await edit(world, 1, last_name="Again")
        await world.quiet()
        assert await _last(world) == "Again"


async def _waits(world: Rig) -> bool:
    """True when somebody waits for the table."""
    return bool(await world.db.fetchval("select exists (select 1 from pg_locks where not granted)"))


async def _last(world: Rig) -> str | None:
    """The last name in the row of the person with the id 1."""
    found: str | None = await world.db.fetchval(
        "select p.last from app.people p join connector.link l on l.app_key = p.id::text where l.crm_id = '1'"
    )
    return found
