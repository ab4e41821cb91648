"""Rule 13, the brake: mass destruction waits for a person.

The accidents: a mistaken DELETE or UPDATE in the app empties the CRM, a clean-up in the CRM empties the app, a restored
table creates everything anew.
"""

from collections import Counter
from pathlib import Path

from tests.engine.accidents.braked import COUNT, CRUEL, GUARDED, NAMES, begin, braked
from tests.engine.accidents.people import TABLES, add, edit, fault, persons, rows, work
from tests.engine.rig import Rig, rig


async def test_delete_of_all_rows(database: str, tmp_path: Path) -> None:
    """No person is deleted until somebody lets them go; then all are.

    Fails without the brake.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("delete from app.people")
        await braked(world, COUNT)
        assert len(await persons(world)) == COUNT
        await world.ask("brake_release", {"mapping": None})
        await world.idle()
        assert await persons(world) == []


async def test_a_column_is_emptied(database: str, tmp_path: Path) -> None:
    """UPDATE … SET phone = NULL clears nothing in the CRM until somebody lets it.

    Fails when clearing a value is an ordinary update.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("update app.people set phone = null")
        await braked(world, COUNT)
        assert all(person["phones"] for person in await persons(world))
        await world.ask("brake_release", {"mapping": "people"})
        await world.idle()
        assert not any(person["phones"] for person in await persons(world))


async def test_a_sweep_finds_a_third_deleted(database: str, tmp_path: Path) -> None:
    """No row is deleted until somebody lets them go; then exactly those.

    Fails without the brake.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        for person in (await persons(world))[: COUNT * 3 // 10]:
            await world.crm("DELETE", f"/api/v2/persons/{person['id']}")
        await world.ask("sweep", {"kind": "full"})
        await braked(world, COUNT * 3 // 10)
        assert len(await rows(world)) == COUNT
        await world.ask("brake_release", {"mapping": "people"})
        await world.idle()
        assert len(await rows(world)) == len(await persons(world)) == COUNT - COUNT * 3 // 10


async def test_many_creates(database: str, tmp_path: Path) -> None:
    """A table filled by mistake makes no persons until somebody lets it.

    Fails when creates are not counted.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await world.start()
        await add(world, *NAMES)
        await braked(world, COUNT)
        assert await persons(world) == []
        await world.ask("brake_release", {"mapping": None})
        await world.idle()
        assert len(await persons(world)) == COUNT


async def test_one_by_one(database: str, tmp_path: Path) -> None:
    """Forty single deletions within the hour are no less than one of forty: a quarter of the links is the most.

    Fails when only what comes together is counted.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        for key in range(1, COUNT + 1):
            await world.db.execute("delete from app.people where id = $1", key)
            await world.idle()
        assert len(await persons(world)) == COUNT - 10
        assert len(await work(world)) == COUNT - 10


async def test_release_lets_go_on_what_was_stopped_and_no_more(database: str, tmp_path: Path) -> None:
    """A second mistake after a release is stopped again, at once.

    Fails when a release opens the brake for what comes later.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("delete from app.people where id <= 15")
        await braked(world, 15)
        await world.ask("brake_release", {"mapping": None})
        await world.idle()
        assert len(await persons(world)) == COUNT - 15
        await world.db.execute("delete from app.people where id <= 30")
        await braked(world, 15)
        assert len(await persons(world)) == COUNT - 15


async def test_a_release_is_for_what_was_stopped_then(database: str, tmp_path: Path) -> None:
    """The CRM is away when fifteen deletions are released; meanwhile somebody deletes fifteen others by mistake.

    However often the first are tried, they go on, and the others wait. Fails when a release is a number: whoever comes
    first uses it up, and every try a part of it.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("delete from app.people where id <= 15")
        await braked(world, 15)
        await fault(world, "status", method="DELETE", path="/api/", code=503, count=100_000)
        await world.ask("brake_release", {"mapping": None})
        await world.until(lambda: _states(world, waiting=15))
        world.clock.leap(300)
        await world.db.execute("delete from app.people where id <= 30")
        await world.until(lambda: _states(world, waiting=15, braked=15))
        await world.control("DELETE", "faults")
        world.clock.leap(300)
        await world.until(lambda: _states(world, braked=15))
        assert len(await persons(world)) == COUNT - 15


async def test_what_was_confirmed_is_used_up_once(database: str, tmp_path: Path) -> None:
    """Forty creates are confirmed, and the CRM is away for more than an hour: then they are made, and no others.

    Fails when a try uses up what only its success should: the next one is stopped.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await world.start(fetch_all=False)
        await add(world, *NAMES)
        await world.until(lambda: _states(world, waiting=COUNT))
        await fault(world, "status", method="POST", path="/api/", code=503, count=100_000)
        await world.ask("fetch_all", {"allow": {"people": {"crm": COUNT}}})
        await world.until(lambda: _unknown(world))
        await world.control("DELETE", "faults")
        world.clock.leap(4000)
        await world.idle()
        assert len(await persons(world)) == COUNT
        await add(world, *(f"m{n:02}" for n in range(COUNT)))
        await braked(world, COUNT)
        assert len(await persons(world)) == COUNT


async def test_ordinary_edits_are_never_stopped(database: str, tmp_path: Path) -> None:
    """New values for every row and person go through, though the brake is on for deletions.

    Fails when ordinary updates wait for the brake.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("delete from app.people where id <= 15")
        await braked(world, 15)
        await world.db.execute("update app.people set last = 'App'")
        for person in (await persons(world))[-10:]:
            await edit(world, person["id"], first_name="Crm")
        await world.quiet()
        assert [row["last"] for row in await rows(world)] == ["App"] * (COUNT - 15)
        assert [person["last_name"] for person in await persons(world)].count("App") == COUNT - 15
        assert [row["first"] for row in await rows(world)].count("Crm") == 10 - len(await _lost(world))


async def test_restart_forgets_nothing(database: str, tmp_path: Path) -> None:
    """What was stopped stays stopped when the daemon is started again, and what was counted stays counted.

    Fails when the brake's memory is the process's.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("delete from app.people where id <= 8")
        await world.idle()
        assert len(await persons(world)) == COUNT - 8
        await world.stop()
        await world.db.execute("delete from app.people where id <= 16")
        await world.start(fetch_all=False)
        await braked(world, 8)
        await world.stop()
        await world.start(fetch_all=False)
        await world.quiet()
        assert len(await persons(world)) == COUNT - 8


async def _states(world: Rig, **wanted: int) -> bool:
    """True when so many items are in each state, and no other."""
    return Counter(state for state, _ in await work(world)) == wanted


async def _unknown(world: Rig) -> bool:
    """True when nobody knows whether any of the forty was made."""
    return await work(world) == [("waiting", "unknown_outcome")] * COUNT


async def _lost(world: Rig) -> list[str]:
    """Those of the last ten persons whose rows were deleted."""
    deleted = await world.db.fetch(
        "select crm_id from connector.link l where not exists (select 1 from app.people p where p.id::text = l.app_key)"
    )
    last = {str(person["id"]) for person in (await persons(world))[-10:]}
    return [row["crm_id"] for row in deleted if row["crm_id"] in last]
