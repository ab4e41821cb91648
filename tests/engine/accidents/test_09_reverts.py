"""Rule 9, a write without an answer that somebody takes back: it happened, and what was done since is his edit.

The accidents: a write is sent again over the hand that took it back, since its traces are gone; a record that was
restored is deleted once more.
"""

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
    requests,
    rows,
    stopped,
)
from tests.engine.accidents.wire import wired
from tests.engine.rig import Rig, rig

TOLD = {"events": {"delay": 1.0}, "the changelog": {"drop": 1.0}}


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("conflict", ["last_updated", "app"])
async def test_an_update_without_an_answer_that_a_person_takes_back(
    database: str, tmp_path: Path, told: str, conflict: str
) -> None:
    """The number of the row arrives unheard, somebody puts back the old one: that is what both sides say in the end.

    Fails when only a record that shows what was sent proves that it was applied: it is sent again over the revert.
    """
    async with rig(database, tmp_path / "set", people(conflict=conflict), TABLES, webhooks=True) as world:
        await _numbered(world)
        await world.control("POST", "webhooks", TOLD[told])
        await fault(world, "disconnect_after", "PATCH", "persons")
        await world.db.execute("update app.people set phone = '+44 2'")
        await stopped(world, ("waiting", "unknown_outcome"))
        await _taken_back(world)


@pytest.mark.parametrize("replica", [False, True], ids=["the same one", "another replica"])
async def test_death_after_an_update_that_a_person_takes_back(database: str, tmp_path: Path, *, replica: bool) -> None:
    """Whoever owns the connection next finds out by the changelog that the write had arrived.

    Fails when only a record that shows what was sent proves that it was applied: it is sent again over the revert.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(), TABLES) as world:
        world.dsn = wire.dsn
        await _numbered(world)
        await fault(world, "timeout_after", "PATCH", "persons")
        await world.db.execute("update app.people set phone = '+44 2'")
        await die_in_doubt(world, wire, replica=replica)
        await _taken_back(world)


async def test_another_edit_of_that_moment_proves_nothing(database: str, tmp_path: Path) -> None:
    """Our update is lost, somebody edits another field: ours is sent again when its minute is over.

    Fails when a record that has changed since counts as one that had our write.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _numbered(world)
        await fault(world, "disconnect_before", "PATCH", "persons")
        await world.db.execute("update app.people set phone = '+44 2'")
        await stopped(world, ("waiting", "unknown_outcome"))
        world.clock.leap(10)
        await edit(world, 1, last_name="Other")
        world.clock.leap(MINUTE)
        await world.quiet()
        assert [(row["last"], row["phone"]) for row in await rows(world)] == [("Other", "+44 2")]
        assert [person["phones"][0]["value"] for person in await persons(world)] == ["+44 2"]


async def test_the_number_was_there_for_a_moment_before_ours(database: str, tmp_path: Path) -> None:
    """Somebody enters a number and takes it back, the app enters the same one, our update is lost: it is sent again.

    Fails when events from before the write count as its traces.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _numbered(world)
        await world.control("POST", "webhooks", {"delay": 0.5})
        await edit(world, 1, phones=channel("+44 2"))
        world.clock.leap(10)
        await edit(world, 1, phones=channel("+44 1"))
        world.clock.leap(10)
        await fault(world, "disconnect_before", "PATCH", "persons")
        await world.db.execute("update app.people set phone = '+44 2'")
        await stopped(world, ("waiting", "unknown_outcome"))
        await world.until(lambda: _delivered(world))
        world.clock.leap(MINUTE)
        await world.quiet()
        assert [row["phone"] for row in await rows(world)] == ["+44 2"]
        assert [person["phones"][0]["value"] for person in await persons(world)] == ["+44 2"]


async def test_a_delete_without_an_answer_that_a_person_takes_back(database: str, tmp_path: Path) -> None:
    """The person goes with its row unheard, somebody restores it: its row is back, and nothing is deleted again.

    Fails when only a record that is gone proves that it was deleted.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _numbered(world)
        await fault(world, "disconnect_after", "DELETE", "persons")
        await world.db.execute("delete from app.people")
        await world.until(lambda: all_hit(world))
        await world.until(lambda: _delivered(world))
        await world.idle()
        world.clock.leap(10)
        await world.control("POST", "restore/persons/1")
        await world.until(lambda: _delivered(world))
        world.clock.leap(MINUTE)
        await world.quiet()
        assert await requests(world, "DELETE") == 1, await world.history()
        assert len(await persons(world)) == len(await rows(world)) == 1
        assert await links(world) == [("1", "1", "linked")]


async def _numbered(world: Rig) -> None:
    await world.start()
    await add(world, "ann")
    await world.quiet()
    await world.db.execute("update app.people set phone = '+44 1'")
    await world.quiet()


async def _taken_back(world: Rig) -> None:
    assert [person["phones"][0]["value"] for person in await persons(world)] == ["+44 2"]
    patches = await requests(world, "PATCH")
    world.clock.leap(10)
    await edit(world, 1, phones=channel("+44 1"))
    await world.until(lambda: _delivered(world))
    world.clock.leap(MINUTE)
    await world.quiet()
    assert await requests(world, "PATCH") == patches + 1, "by hand"
    assert [row["phone"] for row in await rows(world)] == ["+44 1"]
    assert [person["phones"][0]["value"] for person in await persons(world)] == ["+44 1"]


async def _delivered(world: Rig) -> bool:
    """True when all events have come and are folded: within the minute that a doubt lasts."""
    return not world.sandbox.deliverer.pending and not await world.db.fetchval("select count(*) from connector.event")
