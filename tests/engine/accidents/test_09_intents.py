"""Rule 9, intents: a write whose answer never came is neither repeated blindly nor forgotten.

The accidents: a record twice because its create was sent again, a change lost because it was thought to be applied, a
newer value replaced by a write that was applied late.
"""

import json
from pathlib import Path

import pytest

from tests.engine.accidents.doubt import MINUTE, all_hit, die_in_doubt
from tests.engine.accidents.people import (
    TABLES,
    add,
    channel,
    edit,
    fault,
    links,
    people,
    persons,
    rows,
    stopped,
)
from tests.engine.accidents.wire import crash, wired
from tests.engine.rig import Rig, rig

LATE = 3.0
"""Seconds after which a write is applied late: the next owner has long been at work."""


@pytest.mark.parametrize("kind", ["disconnect_before", "disconnect_after"])
async def test_a_create_without_an_answer(database: str, tmp_path: Path, kind: str) -> None:
    """There is one person in the end, whether the create was applied or not.

    Fails when a write without an answer is repeated at once (applied: doubled) or taken for done (not applied: lost).
    """
    async with rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        await world.start()
        await fault(world, kind, "POST", "persons$")
        await add(world, "ann", "bob")
        await stopped(world, ("waiting", "unknown_outcome"))
        world.clock.leap(MINUTE)
        await world.quiet()
        assert len(await persons(world)) == len(await rows(world)) == 2
        assert [state for _, _, state in await links(world)] == ["linked", "linked"]


@pytest.mark.parametrize("kind", ["disconnect_before", "disconnect_after"])
async def test_an_update_without_an_answer(database: str, tmp_path: Path, kind: str) -> None:
    """The row's value is in the CRM in the end, and what the row became meanwhile.

    Fails when a write without an answer is taken for done (not applied: the CRM's old value comes back).
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await fault(world, kind, "PATCH", "persons")
        await world.db.execute("update app.people set phone = '+44 2'")
        await stopped(world, ("waiting", "unknown_outcome"))
        await world.db.execute("update app.people set last = 'New'")
        world.clock.leap(MINUTE)
        await world.quiet()
        (row,), (person,) = await rows(world), await persons(world)
        assert (row["phone"], row["last"]) == ("+44 2", "New")
        assert (person["phones"][0]["value"], person["last_name"]) == ("+44 2", "New")


async def test_what_an_update_without_an_answer_replaced_is_in_the_journal(database: str, tmp_path: Path) -> None:
    """Somebody's number gives way to the row's; the answer is lost, the number is not.

    Fails when only answered writes are in the journal (simulation, seed 18).
    """
    async with rig(database, tmp_path / "set", people(conflict="app"), TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await edit(world, 1, phones=channel("+44 1"))
        await fault(world, "disconnect_after", "PATCH", "persons")
        await world.db.execute("update app.people set phone = '+44 2'")
        await world.quiet()
        said = await world.db.fetch("select lines from connector.journal where side = 'crm' and action = 'update'")
        assert [json.loads(row["lines"])["phones"] for row in said] == [
            {"old": "+44 1", "new": "+44 2", "reason": "found_out"}
        ]


@pytest.mark.parametrize("kind", ["disconnect_before", "disconnect_after"])
async def test_an_update_without_an_answer_that_the_crm_spells_its_own_way(
    database: str, tmp_path: Path, kind: str
) -> None:
    """The CRM stores phones without blanks: what it made of ours is nobody's edit, and does not come back.

    Fails when a spelling of the CRM's own is taken for another value (simulation, seed 32).
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.control("POST", "settings", {"tidy_phones": True})
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await fault(world, kind, "PATCH", "persons")
        await world.db.execute("update app.people set phone = '+44 2 3'")
        await stopped(world, ("waiting", "unknown_outcome"))
        world.clock.leap(MINUTE)
        await world.quiet()
        (row,), (person,) = await rows(world), await persons(world)
        assert (row["phone"], person["phones"][0]["value"]) == ("+44 2 3", "+4423")


@pytest.mark.parametrize("kind", ["disconnect_before", "disconnect_after"])
async def test_a_delete_without_an_answer(database: str, tmp_path: Path, kind: str) -> None:
    """The person is gone in the end, and the row does not come back.

    Fails when a write without an answer is taken for done (not applied: the person stays).
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await fault(world, kind, "DELETE", "persons")
        await world.db.execute("delete from app.people")
        await stopped(world, ("waiting", "unknown_outcome"))
        world.clock.leap(MINUTE)
        await world.quiet()
        assert await persons(world) == await rows(world) == []


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
async def test_death_between_intent_and_answer(database: str, tmp_path: Path, kind: str) -> None:
    """The next owner finds out what became of three creates by the key that they carry.

    Fails when an intent is not on record before its call (applied: doubled).
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        world.dsn = wire.dsn
        await world.start()
        await world.control("POST", "faults", {"kind": kind, "method": "POST", "path": "persons$", "count": 3})
        await add(world, "ann", "bob", "cid")
        await world.until(lambda: _hits(world, 3))
        await die_in_doubt(world, wire)
        world.clock.leap(MINUTE)
        await world.quiet()
        assert len(await persons(world)) == len(await rows(world)) == 3


async def test_a_create_that_is_applied_late(database: str, tmp_path: Path) -> None:
    """A read that does not show it proves nothing before the minute is over.

    Fails when a read begun at once counts as proof: the person is doubled.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        world.dsn = wire.dsn
        await world.start()
        await fault(world, "applied_late", "POST", "persons$", seconds=LATE)
        await add(world, "ann")
        await die_in_doubt(world, wire)
        await world.until(lambda: _nothing_late(world))
        world.clock.leap(MINUTE)
        await world.quiet()
        assert len(await persons(world)) == len(await rows(world)) == 1


async def test_an_update_that_is_applied_late(database: str, tmp_path: Path) -> None:
    """The row's newer value is not sent before the older one cannot arrive any more.

    Fails when a read begun at once counts as proof: the older value overtakes the newer one.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(), TABLES) as world:
        world.dsn = wire.dsn
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await fault(world, "applied_late", "PATCH", "persons", seconds=LATE)
        await world.db.execute("update app.people set phone = '+44 2'")
        await world.until(lambda: all_hit(world))
        await crash(world, wire)
        await world.db.execute("update app.people set phone = '+44 3'")
        await world.start(fetch_all=False)
        await world.until(lambda: _nothing_late(world))
        world.clock.leap(MINUTE)
        await world.quiet()
        (row,), (person,) = await rows(world), await persons(world)
        assert row["phone"] == person["phones"][0]["value"] == "+44 3"


async def test_only_the_record_in_doubt_waits(database: str, tmp_path: Path) -> None:
    """Others are created while one is in doubt.

    Fails when a doubt holds up its whole object.
    """
    async with rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        await world.start()
        await fault(world, "disconnect_before", "POST", "persons$")
        await add(world, "ann")
        await stopped(world, ("waiting", "unknown_outcome"))
        await add(world, "bob", "cid")
        await world.until(lambda: _count(world, 2))
        assert await world.db.fetchval("select count(*) from connector.intent where unknown") == 1


@pytest.mark.parametrize("drop", ["", "create"], ids=["told of both", "told of the deletion"])
async def test_a_create_without_an_answer_that_somebody_deletes(database: str, tmp_path: Path, drop: str) -> None:
    """A person whom we made without knowing it is deleted within the minute: the row follows, and comes back with it.

    Fails when only a read shows that a create was applied: nobody is listed, so the person is made again, and there are
    two when the first one is restored.
    """
    async with rig(database, tmp_path / "set", people(match=""), TABLES, webhooks=True) as world:
        await world.start()
        await world.control("POST", "webhooks", {"drop": float(drop == "create")})
        await fault(world, "disconnect_after", "POST", "persons$")
        await add(world, "ann")
        await world.until(lambda: _count(world, 1))
        await world.control("POST", "webhooks", {"drop": 0.0})
        await world.crm("DELETE", "/api/v2/persons/1")
        await world.idle()
        assert (await rows(world))[0]["archived_at"] is not None
        assert await persons(world) == []
        await world.control("POST", "restore/persons/1")
        await world.quiet()
        assert (await rows(world))[0]["archived_at"] is None
        assert len(await persons(world)) == len(await rows(world)) == 1


async def test_the_copy_of_a_person_that_we_made(database: str, tmp_path: Path) -> None:
    """The CRM's own copying copies our key: the copy is a new person, and the row stays with the first.

    Fails when a record joins because its identity names an intent, though another record has that identity already.
    """
    async with rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        await world.start()
        await fault(world, "disconnect_after", "POST", "persons$")
        await add(world, "ann")
        await stopped(world, ("waiting", "unknown_outcome"))
        await world.control("POST", "duplicate/persons/1")
        world.clock.leap(MINUTE)
        await edit(world, 1, phones=channel("+44 1"))
        await world.quiet()
        await edit(world, 2, last_name="Copy")
        await world.quiet()
        assert [(row["last"], row["phone"]) for row in await rows(world)] == [("Test", "+44 1"), ("Copy", None)]
        assert len(await persons(world)) == 2


async def test_an_ordered_end_waits_for_answers(database: str, tmp_path: Path) -> None:
    """Who is asked to stop takes the answers of what is under way along: no doubt is left behind.

    Fails when what is in flight is cut off at shutdown.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await fault(world, "slow_after", "POST", "persons$", seconds=0.7)
        await add(world, "ann")
        await world.until(lambda: all_hit(world))
        await world.stop()
        assert await world.db.fetchval("select count(*) from connector.intent") == 0
        assert [state for _, _, state in await links(world)] == ["linked"]


async def _hits(world: Rig, count: int) -> bool:
    hits: list[int] = [rule["hits"] for rule in await world.control("GET", "faults")]
    return sum(hits) == count


async def _nothing_late(world: Rig) -> bool:
    return world.sandbox.late == 0


async def _count(world: Rig, count: int) -> bool:
    return len(await persons(world)) == count
