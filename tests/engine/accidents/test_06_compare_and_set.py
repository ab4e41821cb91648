"""Rule 6, local writes are compare-and-set: what was decided on one state of a row is never written over another.

The accidents: an edit of the app overwritten unseen, a newer value of the CRM replaced by an older observation.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from tests.engine.accidents.people import TABLES, add, edit, fault, people, persons, rows
from tests.engine.rig import Rig, rig

WITNESS = """
create table app.seen (id bigint generated always as identity, last text);
create function app.witness() returns trigger language plpgsql as $$ begin
    insert into app.seen (last) values (new.last);
    return null;
end $$;
create trigger witness after update on app.people for each row execute function app.witness();
"""


async def test_another_column_changes_between_observation_and_apply(database: str, tmp_path: Path) -> None:
    """The edit of the app survives, and so does the CRM's.

    Fails when a row is written as a whole, without comparing it with what was observed.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        async with _applying(world, database, last_name="Crm"):
            await world.db.execute("update app.people set phone = '+44 1'")
        await world.quiet()
        (row,), (person,) = await rows(world), await persons(world)
        assert (row["last"], row["phone"]) == ("Crm", "+44 1")
        assert (person["last_name"], person["phones"][0]["value"]) == ("Crm", "+44 1")


async def test_the_same_column_changes_between_observation_and_apply(database: str, tmp_path: Path) -> None:
    """It is a conflict then: the later edit wins, the other is in the journal. Nothing is overwritten unseen.

    Fails when a row is written without comparing it with what was observed: the app's edit is nowhere any more.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        async with _applying(world, database, last_name="Crm"):
            world.clock.leap(30)
            await world.db.execute("update app.people set last = 'App'")
        await world.quiet()
        (row,), (person,) = await rows(world), await persons(world)
        assert row["last"] == person["last_name"]
        losers = {entry["loser"]["value"] for entry in await _conflicts(world)}
        assert {row["last"], *losers} == {"App", "Crm"}


async def test_a_page_is_older_than_what_came_meanwhile(database: str, tmp_path: Path) -> None:
    """A sweep's page on its way while a newer value arrives by webhook does not bring the older one back.

    Fails when an observation counts although its read began before the link's last commit.
    """
    async with rig(database, tmp_path / "set", people(), TABLES + WITNESS, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        await edit(world, 1, last_name="One")
        await world.until(lambda: _is_last(world, "One"))
        await fault(world, "slow_after", "GET", "persons$", seconds=0.7)
        await world.db.execute("update connector.sweep set due_at = $1 where kind = 'recent'", world.clock.now())
        await world.until(lambda: _faulted(world))
        await edit(world, 1, last_name="Two")
        await world.until(lambda: _is_last(world, "Two"))
        await world.until(lambda: _swept(world))
        await world.idle()
        assert [row["last"] for row in await world.db.fetch("select last from app.seen order by id")] == ["One", "Two"]
        assert (await persons(world))[0]["last_name"] == "Two"


async def test_a_page_is_newer_than_what_is_being_worked_on(database: str, tmp_path: Path) -> None:
    """The worker's read is on its way when somebody edits again, unheard, and a sweep lists that: it is looked at again.

    Fails when a page leaves out records in other hands without a word.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        await fault(world, "slow_after", "GET", "persons/1$", seconds=1.5)
        await edit(world, 1, last_name="One")
        await world.until(lambda: _faulted(world))
        await world.control("POST", "webhooks", {"drop": 1.0})
        await edit(world, 1, last_name="Two")
        await world.db.execute("update connector.sweep set due_at = $1 where kind = 'recent'", world.clock.now())
        await world.until(lambda: _swept(world))
        await world.idle()
        assert [row["last"] for row in await rows(world)] == ["Two"]


@asynccontextmanager
async def _applying(world: Rig, dsn: str, **fields: str) -> AsyncIterator[None]:
    """The person is edited and both sides are observed; the body runs before anything is written."""
    await edit(world, 1, **fields)
    holder = await asyncpg.connect(dsn)
    try:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("select 1 from connector.link for share")
        await world.db.execute("update connector.sweep set due_at = $1 where kind = 'recent'", world.clock.now())
        await world.until(lambda: _held_up(world))
        yield
        await transaction.rollback()
    finally:
        await holder.close()


async def _held_up(world: Rig) -> bool:
    return bool(await world.db.fetchval("select count(*) from pg_locks where not granted"))


async def _conflicts(world: Rig) -> list[dict[str, dict[str, str]]]:
    found = await world.db.fetch("select lines from connector.journal order by id")
    entries = [entry for row in found for entry in json.loads(row["lines"]).values()]
    return [entry for entry in entries if "loser" in entry]


async def _is_last(world: Rig, name: str) -> bool:
    return [row["last"] for row in await rows(world)] == [name]


async def _faulted(world: Rig) -> bool:
    return all(rule["hits"] for rule in await world.control("GET", "faults"))


async def _swept(world: Rig) -> bool:
    return bool(
        await world.db.fetchval("select bool_and(finished_at > due_at) from connector.sweep where kind = 'recent'")
    )
