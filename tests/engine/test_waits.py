"""Waits that end as soon as what they wait for has come, not when their time is over."""

from __future__ import annotations

from pathlib import Path

from tests.engine.accidents.people import TABLES, add, edit, fault, people, persons, rows, work
from tests.engine.rig import Rig, rig


async def test_a_clear_that_a_recent_sweep_found_goes_on_once_the_sweep_is_complete(
    database: str, tmp_path: Path
) -> None:
    """A phone is cleared in the CRM and no webhook tells: the sweep that finds it is enough, nobody waits ten minutes."""
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ada")
        await world.db.execute("update app.people set phone = '+44 1'")
        await world.idle()
        (person,) = await persons(world)
        await edit(world, person["id"], phones=[])
        await world.db.execute("update connector.sweep set due_at = $1 where kind = 'recent'", world.clock.now())

        async def cleared() -> bool:
            return (await rows(world))[0]["phone"] is None

        await world.until(cleared)


async def test_after_an_outage_nobody_sits_out_his_back_off(database: str, tmp_path: Path) -> None:
    """The CRM was away so long that the next try is an hour away: it goes out as soon as the CRM answers anybody."""
    async with rig(database, tmp_path / "set", people(), TABLES, speed=20.0) as world:
        await world.start()
        await add(world, "ada")
        await world.idle()
        await fault(world, "status", path="/api/", code=503, count=100_000)
        await world.db.execute("update app.people set first = 'Ada'")
        await world.until(lambda: _backs_off(world))
        await world.db.execute("update connector.work set due_at = due_at + interval '1 hour', attempt = 12")
        await _outage(world)
        await world.control("DELETE", "faults")
        await world.idle()
        assert [person["first_name"] for person in await persons(world)] == ["Ada"]


async def test_a_single_fault_hurries_nobody(database: str, tmp_path: Path) -> None:
    """One call fails and the next one does not: that was no outage, and what backs off keeps its time."""
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ada")
        await world.idle()
        await fault(world, "status", path="/api/", code=503)
        await world.db.execute("update app.people set first = 'Ada'")
        await world.until(lambda: _backs_off(world))
        await world.db.execute("update connector.work set due_at = due_at + interval '1 hour'")
        await add(world, "bob")
        await world.until(lambda: _backs_off_alone(world))


async def _backs_off(world: Rig) -> bool:
    return ("retry", "unavailable") in await work(world)


async def _backs_off_alone(world: Rig) -> bool:
    return len(await persons(world)) > 1 and await work(world) == [("retry", "unavailable")]


async def _outage(world: Rig) -> None:
    """So long that it is one."""
    end = world.clock.now().timestamp() + 30

    async def over() -> bool:
        return world.clock.now().timestamp() > end

    await world.until(over)
