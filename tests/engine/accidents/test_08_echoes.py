"""Rule 8, echoes: our own writes come back as events. They cost nothing, and nobody else's edit is taken for one.

The accidents: a read for every write of ours (the budget), an edit under our own token that never arrives, a loop.
"""

from functools import partial
from pathlib import Path

from tests.engine.accidents.people import TABLES, add, channel, edit, people, persons, rows
from tests.engine.rig import Rig, rig


async def test_an_echo_costs_no_read(database: str, tmp_path: Path) -> None:
    """Ten creates and ten updates of ours: ten reads (a send reads first), none for the events.

    Fails when every event asks for a read.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await world.quiet()
        await world.control("POST", "webhooks", {"delay": 0.5})
        await world.control("DELETE", "stats")
        await add(world, *"abcdefgh")
        await world.until(lambda: _agreed(world, "Test"))
        await world.idle()
        assert await _reads(world) == 0
        await world.db.execute("update app.people set last = 'New'")
        await world.until(lambda: _agreed(world, "New"))
        await world.idle()
        assert await _reads(world) == 8


async def test_an_edit_under_our_token_in_the_same_second(database: str, tmp_path: Path) -> None:
    """It is somebody's, whoever's token it is and though its version is the one that we know.

    Fails when events are told apart by user, or by version alone.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, *"abcdefgh")
        await world.until(lambda: _agreed(world, "Test"))
        await world.idle()
        for person in await persons(world):
            await edit(world, person["id"], phones=channel("+44 1"))
            await world.until(partial(_has_phone, world, person["id"], "+44 1"))
            await edit(world, person["id"], phones=channel("+44 2"))
        await world.idle()
        assert {row["phone"] for row in await rows(world)} == {"+44 2"}


async def test_an_edit_that_comes_with_our_echo(database: str, tmp_path: Path) -> None:
    """Our write and another edit within a moment, their events in any order: both arrive.

    Fails when events are told apart by user, or by version alone.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, *"abcdefgh")
        await world.until(lambda: _agreed(world, "Test"))
        await world.control("POST", "webhooks", {"reorder": 0.3, "duplicate": 0.5})
        await world.db.execute("update app.people set last = 'New'")
        await world.until(lambda: _sent(world, "New"))
        for person in await persons(world):
            await edit(world, person["id"], phones=channel("+44 2"))
        await world.idle()
        assert {(row["last"], row["phone"]) for row in await rows(world)} == {("New", "+44 2")}
        assert {p["last_name"] for p in await persons(world)} == {"New"}


async def _reads(world: Rig) -> int:
    stats = await world.control("GET", "stats")
    singly = "GET /api/v2/persons/{id}"
    assert not [name for name in stats["requests"] if name.startswith("GET") and "/persons" in name and name != singly]
    return int(stats["requests"].get(singly, 0))


async def _agreed(world: Rig, last: str) -> bool:
    """True when the CRM and our record of it hold the name; asks the sandbox without its API."""
    known = {str(p["id"]) for p in world.sandbox.world.tables["person"].records() if p["last_name"] == last}
    linked = await world.db.fetchval(
        "select count(*) from connector.link where state = 'linked' and crm_id = any($1::text[])", list(known)
    )
    return bool(linked == len(await rows(world)))


async def _sent(world: Rig, last: str) -> bool:
    return all(p["last_name"] == last for p in world.sandbox.world.tables["person"].records())


async def _has_phone(world: Rig, person: int, phone: str) -> bool:
    return bool(
        await world.db.fetchval(
            """select p.phone = $2 from app.people p join connector.link l on l.app_key = p.id::text where l.crm_id = $1""",
            str(person),
            phone,
        )
    )
