"""Rule 13 again: what a tripped brake leaves alone, and how it ends: released, undone, or not at all.

The accidents: a person repairs his mistake himself and a release, weeks later, does what he had repaired; a brake that was
tripped for one thing keeps everybody from working.
"""

from pathlib import Path

from connector.store import brakes, report
from tests.engine.accidents.braked import COUNT, CRUEL, GUARDED, begin, braked
from tests.engine.accidents.people import TABLES, add, edit, people, persons, rows, work
from tests.engine.rig import Rig, rig


async def test_rows_that_come_back_need_no_release(database: str, tmp_path: Path) -> None:
    """DELETE, then INSERT of what was deleted: nothing is stopped any more, no person is lost, and a new one is made.

    Fails when what is stopped is not looked at again.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("create table app.kept as table app.people; delete from app.people")
        await braked(world, COUNT)
        assert await _tripped(world) == {("crm", "delete"): COUNT}
        await world.db.execute("insert into app.people select * from app.kept")
        await world.until(lambda: _at_rest(world))
        assert len(await persons(world)) == COUNT
        await world.until(lambda: _gauge(world, ""))
        await world.db.execute("delete from app.people where id = 1")
        await world.idle()
        assert len(await persons(world)) == COUNT - 1


async def test_values_that_come_back_need_no_release(database: str, tmp_path: Path) -> None:
    """UPDATE … SET phone = NULL, then the phones again, some of them new: those flow, and nothing is stopped any more.

    Fails when what is stopped is not looked at again.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("update app.people set phone = null")
        await braked(world, COUNT)
        await world.db.execute("update app.people set phone = case when id <= 5 then '+44 2' else '+44 1' end")
        await world.until(lambda: _at_rest(world))
        assert sorted(person["phones"][0]["value"] for person in await persons(world)) == ["+44 1"] * 35 + ["+44 2"] * 5


async def test_records_that_are_restored_need_no_release(database: str, tmp_path: Path) -> None:
    """A third of the persons is deleted and restored in the CRM: the rows never knew. Sweeps alone find both.

    Fails when a page leaves alone what the brake stops.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        gone = [person["id"] for person in (await persons(world))[:12]]
        for person in gone:
            await world.crm("DELETE", f"/api/v2/persons/{person}")
        await world.ask("sweep", {"kind": "full"})
        await braked(world, 12)
        assert await _tripped(world) == {("app", "delete"): 12}
        for person in gone:
            await world.control("POST", f"restore/person/{person}")
        await world.ask("sweep", {"kind": "full"})
        await world.until(lambda: _at_rest(world))
        assert len(await rows(world)) == COUNT


async def test_deletions_that_are_marked_wait_too(database: str, tmp_path: Path) -> None:
    """`deletes.receive: {set: …}` of a third: no row is marked until somebody lets them go; then exactly those.

    Fails when only `delete` counts as deletion.
    """
    files = people(deletes="{receive: {set: {archived_at: now}}, send: none}")
    async with rig(database, tmp_path / "set", files, TABLES, connection=GUARDED) as world:
        await begin(world)
        for person in (await persons(world))[:12]:
            await world.crm("DELETE", f"/api/v2/persons/{person['id']}")
        await world.ask("sweep", {"kind": "full"})
        await braked(world, 12)
        assert not any(row["archived_at"] for row in await rows(world))
        await world.ask("brake_release", {"mapping": None})
        await world.idle()
        assert [bool(row["archived_at"]) for row in await rows(world)].count(True) == 12


async def test_the_other_lines_of_a_record_go_on(database: str, tmp_path: Path) -> None:
    """While the clearing of every phone waits, names flow both ways on the same records, by sweeps alone.

    Fails when the brake stops a record where it should stop a line, and when a page leaves alone what it stops.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("update app.people set phone = null, last = 'App'")
        await world.until(lambda: _all(world, last_name="App"))
        await braked(world, COUNT)
        for person in await persons(world):
            await edit(world, person["id"], first_name="Crm")
        await world.quiet()
        assert {(row["first"], row["last"], row["phone"]) for row in await rows(world)} == {("Crm", "App", None)}
        assert all(person["phones"] for person in await persons(world))
        await world.ask("brake_release", {"mapping": None})
        await world.idle()
        assert not any(person["phones"] for person in await persons(world))


async def test_other_things_go_on(database: str, tmp_path: Path) -> None:
    """While forty deletions wait, a new row makes a person, one phone is cleared, a new person makes a row.

    Fails when a brake that was tripped for deletions stops what is no deletion.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("delete from app.people where id <= 30")
        await braked(world, 30)
        await add(world, "new")
        await world.db.execute("update app.people set phone = null where id = 31")
        await world.person(first_name="Newcomer", last_name="Test", emails=[{"value": "c@x.test", "primary": True}])
        await world.quiet()
        assert len(await persons(world)) == COUNT + 2
        assert len(await rows(world)) == 12
        assert [bool(person["phones"]) for person in (await persons(world))[:COUNT]].count(False) == 1
        assert len(await work(world)) == 30


async def test_a_release_is_for_the_lines_that_were_stopped(database: str, tmp_path: Path) -> None:
    """The phones are released while the CRM is away; until it is back, e-mails are emptied too: these wait.

    Fails when a release lets everything of its kind go on a record.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("update app.people set phone = null")
        await braked(world, COUNT)
        await world.control(
            "POST", "faults", {"kind": "status", "method": "PATCH", "path": "/", "code": 503, "count": 10**6}
        )
        await world.ask("brake_release", {"mapping": None})
        await world.until(lambda: _backs_off(world))
        await world.db.execute("update app.people set last = null")
        await world.control("DELETE", "faults")
        world.clock.leap(600)
        await world.until(lambda: _all(world, phones=[]))
        await world.idle()
        assert [person["last_name"] for person in await persons(world)].count(None) <= 10
        assert {cause for _, cause in await work(world)} == {"brake:crm_clear last_name"}


async def test_the_hour_slides(database: str, tmp_path: Path) -> None:
    """Eight deletions pass, and eight more an hour later; then another owner stops eight, whatever the files say meanwhile.

    Fails when counts end with the process or the set, or never.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        await world.db.execute("delete from app.people where id <= 8")
        await world.idle()
        world.clock.leap(3700)
        await world.db.execute("delete from app.people where id <= 16")
        await world.idle()
        assert len(await persons(world)) == COUNT - 16
        file = world.directory / "people.yaml"
        file.write_text(
            file.read_text(encoding="utf-8").replace("match: [email]", "match: [[first, last]]"), encoding="utf-8"
        )
        await world.until(lambda: world.db.fetchval("select files::text like '%first, last%' from connector.set"))
        await world.stop()
        await world.start(fetch_all=False)
        await world.db.execute("delete from app.people where id <= 24")
        await braked(world, 8)
        assert len(await persons(world)) == COUNT - 16


async def test_what_an_operator_is_told(database: str, tmp_path: Path) -> None:
    """Which line of which records on which side, since when; the metric says so too, also of a new owner.

    Fails when the state is the process's.
    """
    async with rig(database, tmp_path / "set", CRUEL, TABLES, connection=GUARDED) as world:
        await begin(world)
        before = world.clock.now()
        await world.db.execute("update app.people set phone = null")
        await braked(world, COUNT)
        (told,) = await report.braked(world.db, report.Now("test", world.clock.now()))  # type: ignore[arg-type]
        assert (told.mapping, told.side, told.effect, told.line, told.records) == (
            "people",
            "crm",
            "clear",
            "phones",
            40,
        )
        assert before <= told.since <= world.clock.now()
        assert len(told.keys) == len(told.crm_ids) == 10
        explained = await world.ask("explain", {"mapping": "people", "key": told.keys[0]})
        assert any("brake" in block and "clear phones in the CRM" in block for block in explained["blocks"])
        await world.stop()
        await world.start(fetch_all=False)
        await world.until(lambda: _gauge(world, 'connector_brake_tripped{mapping="test/people",side="crm"} 1.0'))
        (again,) = await report.braked(world.db, report.Now("test", world.clock.now()))  # type: ignore[arg-type]
        assert again == told


async def _tripped(world: Rig) -> dict[tuple[str, str], int]:
    found = await brakes.tripped(world.db, "test")  # type: ignore[arg-type]
    return {(each.side, each.effect): each.records for each in found}


async def _at_rest(world: Rig) -> bool:
    """True when there is nothing to do and nothing is stopped."""
    left = await report.unfinished(world.db, report.Now("test", world.clock.now()))  # type: ignore[arg-type]
    return not any(left.values()) and not await work(world) and not await _tripped(world)


async def _backs_off(world: Rig) -> bool:
    """True when nobody knows what became of any send."""
    return [state for state, _ in await work(world)] == ["waiting"] * COUNT


async def _all(world: Rig, **fields: object) -> bool:
    return all(person[name] == value for person in await persons(world) for name, value in fields.items())


async def _gauge(world: Rig, line: str) -> bool:
    """True when the metric says just this, or with an empty line, nothing."""
    assert world.daemon is not None
    context = world.daemon.running["test"].context
    said = [] if context is None else context.metrics.render().decode().splitlines()
    return [each for each in said if each.startswith("connector_brake_tripped{")] == ([line] if line else [])
