"""Rule 9 with two replicas: the owner dies in the middle of a write, the other one goes on with what is on record.

The accidents: those of one process that starts anew, and that two owners each make what one of them had in hand.
"""

from pathlib import Path

import pytest

from tests.engine.accidents.doubt import ALIKE, COMMENTS, MINUTE, NOTE, PATHS, die_in_doubt, fault_many, living
from tests.engine.accidents.people import TABLES, add, fault, links, people, persons, rows
from tests.engine.accidents.wire import wired
from tests.engine.rig import Rig, rig

LATE = 3.0
"""Seconds after which a write is applied late: the other replica has long been at work."""


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "applied_late"])
async def test_creates(database: str, tmp_path: Path, kind: str) -> None:
    """Three persons, whether the dead one's calls were applied, or not, or come to be applied later.

    Fails when the next owner makes what is on record as being made, or takes it for done.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        world.dsn = wire.dsn
        await world.start()
        await fault_many(world, *[kind] * 3, method="POST", path="persons$", **_late(kind))
        await add(world, "ann", "bob", "cid")
        await die_in_doubt(world, wire, replica=True)
        await world.until(lambda: _nothing_late(world))
        world.clock.leap(MINUTE)
        await world.quiet()
        assert len(await persons(world)) == len(await rows(world)) == 3
        assert [state for _, _, state in await links(world)] == ["linked"] * 3


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "applied_late"])
async def test_an_update(database: str, tmp_path: Path, kind: str) -> None:
    """The row has a newer value by then, which is the last to be sent.

    Fails when the next owner sends it before the older one cannot arrive any more.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(), TABLES) as world:
        world.dsn = wire.dsn
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await fault(world, kind, "PATCH", "persons", **_late(kind))
        await world.db.execute("update app.people set phone = '+44 2'")
        await die_in_doubt(world, wire, replica=True)
        await world.db.execute("update app.people set phone = '+44 3'")
        await world.until(lambda: _nothing_late(world))
        world.clock.leap(MINUTE)
        await world.quiet()
        assert [row["phone"] for row in await rows(world)] == ["+44 3"]
        assert [person["phones"][0]["value"] for person in await persons(world)] == ["+44 3"]


async def test_notes_that_are_alike(database: str, tmp_path: Path) -> None:
    """Of three alike notes one was made: there are three in the end, each of its own row.

    Fails when what the dead one made is not counted.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", NOTE, COMMENTS) as world:
        world.dsn = wire.dsn
        await world.start()
        await world.crm("POST", "/api/v2/deals", {"title": "Roof"})
        await fault_many(world, "timeout_after", *["timeout_before"] * 2, method="POST", path=PATHS["note"])
        await world.db.execute(ALIKE["note"], 3)
        await die_in_doubt(world, wire, replica=True)
        world.clock.leap(MINUTE)
        await world.quiet()
        assert len(await living(world, "note")) == 3
        assert sorted(crm_id or "" for _, crm_id, _ in await links(world)) == ["1", "2", "3"]


async def test_a_copy_of_what_the_dead_one_made(database: str, tmp_path: Path) -> None:
    """Somebody duplicates the person before anybody knows whose it is: the row stays with the first, the copy gets its own.

    Fails when whichever carries the key is taken for what was made.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        world.dsn = wire.dsn
        await world.start()
        await fault(world, "timeout_after", "POST", "persons$")
        await add(world, "ann")
        await die_in_doubt(world, wire, replica=True)
        await world.control("POST", "duplicate/persons/1")
        world.clock.leap(MINUTE)
        await world.quiet()
        assert await links(world) == [("1", "1", "linked"), ("2", "2", "linked")]


def _late(kind: str) -> dict[str, float]:
    return {"seconds": LATE} if kind == "applied_late" else {}


async def _nothing_late(world: Rig) -> bool:
    return world.sandbox.late == 0
