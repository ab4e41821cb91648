"""Rule 2, capture only appends: noting a change must neither disturb the app's transactions nor miss what they do.

The accidents: a deadlock between the app and the connector, a change lost because its transaction committed late, what
the app's own triggers do in our statement taken for our own writing.
"""

import asyncio
from pathlib import Path

import asyncpg

from tests.engine.accidents.people import TABLES, add, channel, edit, first_names, people, persons, rows
from tests.engine.rig import Rig, rig

TRIES = """
create sequence app.tries;
create function app.try() returns trigger language plpgsql as $$ begin perform nextval('app.tries'); return new; end $$;
create trigger tries before update on app.people for each row execute function app.try();
"""
SHOUT = """
create function app.shout() returns trigger language plpgsql as $$ begin
    update app.people set last = upper(new.first) where id = new.id;
    return null;
end $$;
create trigger shout after update of first on app.people for each row execute function app.shout();
"""
ASSISTANT = """
create function app.assist() returns trigger language plpgsql as $$ begin
    insert into app.people (first, last) values ('Assistant', 'of ' || new.first);
    return null;
end $$;
create trigger assist after insert on app.people for each row when (new.email is not null)
    execute function app.assist();
"""


async def test_the_app_writes_the_same_rows_in_another_order(database: str, tmp_path: Path) -> None:
    """While the app holds one row of a batch the others are written, and no lock is held while waiting for it.

    Fails when rows are locked with waiting: the two wait for each other.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, *"abcde")
        await world.quiet()
        app = await asyncpg.connect(database)
        try:
            transaction = app.transaction()
            await transaction.start()
            await app.execute("update app.people set phone = '+44 5' where id = 5")
            for person in await persons(world):
                await edit(world, person["id"], last_name="Crm")
            await world.ask("sweep", {"kind": "recent"})
            await world.until(lambda: _last_names(world, ["Crm"] * 4 + ["Test"]))
            for key in (4, 3, 2, 1):
                await app.execute("update app.people set phone = '+44 ' || id where id = $1", key)
            await transaction.commit()
        finally:
            await app.close()
        await world.quiet()
        found = await persons(world)
        assert [row["last"] for row in await rows(world)] == [p["last_name"] for p in found] == ["Crm"] * 5
        assert [p["phones"][0]["value"] for p in found] == [f"+44 {n}" for n in range(1, 6)]


async def test_a_unique_value_that_the_app_has_not_committed(database: str, tmp_path: Path) -> None:
    """We give way when a row has to wait for the app: its next statement wants a row that we wrote before.

    Fails when a batch waits for locks without limit: the app's transaction dies of the deadlock.
    """
    tables = TABLES + "create unique index on app.people (email);" + TRIES
    async with rig(database, tmp_path / "set", people(), tables) as world:
        await world.start()
        await add(world, "ann", "bob")
        await world.quiet()
        app = await asyncpg.connect(database)
        try:
            await app.execute("set deadlock_timeout = '300ms'")
            transaction = app.transaction()
            await transaction.start()
            await app.execute("insert into app.people (email, first) values ('new@x.test', 'New')")
            await edit(world, 1, last_name="Crm")
            await edit(world, 2, emails=channel("new@x.test"))
            await world.ask("sweep", {"kind": "recent"})
            await world.until(lambda: _tried(world, 2))
            await app.execute("update app.people set phone = '+44 1' where id = 1")
            await transaction.rollback()
        finally:
            await app.close()
        await world.idle()
        assert [(row["email"], row["last"]) for row in await rows(world)] == [
            ("ann@x.test", "Crm"),
            ("new@x.test", "Test"),
        ]


async def test_a_long_transaction_commits_after_a_younger_one(database: str, tmp_path: Path) -> None:
    """What was noted first and became visible last is not lost.

    Fails when notes are consumed up to a high-water mark instead of one by one.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        app = await asyncpg.connect(database)
        try:
            async with app.transaction():
                await app.execute("insert into app.people (email, first, last) values ('ann@x.test', 'ann', 'Test')")
                await add(world, "bob")
                await world.idle()
                assert first_names(await persons(world)) == ["bob"]
        finally:
            await app.close()
        await world.idle()
        assert first_names(await persons(world)) == ["ann", "bob"]


async def test_a_trigger_of_the_app_rewrites_the_row_that_we_write(database: str, tmp_path: Path) -> None:
    """What the app's trigger does in our statement is a change of the app, and is sent.

    Fails when everything in a transaction of ours counts as our own writing.
    """
    async with rig(database, tmp_path / "set", people(), TABLES + SHOUT) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await edit(world, 1, first_name="Anna")
        await world.quiet()
        (row,), (person,) = await rows(world), await persons(world)
        assert (row["first"], row["last"]) == (person["first_name"], person["last_name"]) == ("Anna", "ANNA")


async def test_a_trigger_of_the_app_adds_a_row_to_the_one_that_we_insert(database: str, tmp_path: Path) -> None:
    """A row that the app's trigger inserts in our statement becomes a person like any other.

    Fails when everything in a transaction of ours counts as our own writing.
    """
    async with rig(database, tmp_path / "set", people(), TABLES + ASSISTANT) as world:
        await world.start()
        await world.person(first_name="Ann", last_name="Boss", emails=channel("ann@x.test"))
        await world.quiet()
        assert first_names(await rows(world)) == first_names(await persons(world)) == ["Ann", "Assistant"]


async def test_our_own_writing_is_not_noted(database: str, tmp_path: Path) -> None:
    """What we write into a row leaves no note, so that nothing is reconciled twice.

    Fails when our statements are captured like those of the app.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await world.person(first_name="Ann", last_name="Test", emails=channel("ann@x.test"))
        await world.quiet()
        await edit(world, 1, first_name="Anna")
        await world.quiet()
        assert first_names(await rows(world)) == ["Anna"]
        assert await world.db.fetchval("select last_value = 1 and not is_called from connector.change_id_seq")


async def test_truncate(database: str, tmp_path: Path) -> None:
    """All rows are gone without a single deleted row to be seen: a full sweep finds what is missing.

    Fails when TRUNCATE leaves no note.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ann", "bob")
        await world.quiet()
        await world.db.execute("truncate app.people")
        await world.until(lambda: _nobody(world))


async def test_two_transactions_of_the_app_on_rows_that_are_being_synchronised(database: str, tmp_path: Path) -> None:
    """Writers of the app in opposite order wait for each other's rows only, never for a note.

    Fails when a note is an upsert into one row per record instead of an appended one.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, *"abcd")
        await world.quiet()
        impatient = {"lock_timeout": "5s"}
        one = await asyncpg.connect(database, server_settings=impatient)
        two = await asyncpg.connect(database, server_settings=impatient)
        try:
            first, second = one.transaction(), two.transaction()
            await first.start()
            await second.start()
            await one.execute("update app.people set phone = '+44 1' where id = 1")
            await two.execute("update app.people set phone = '+44 2' where id = 2")
            for person in await persons(world):
                await edit(world, person["id"], last_name="Crm")
            await world.ask("sweep", {"kind": "recent"})
            await world.until(lambda: _last_names(world, ["Test", "Test", "Crm", "Crm"]))
            await asyncio.gather(
                one.execute("update app.people set phone = '+44 3' where id = 3"),
                two.execute("update app.people set phone = '+44 4' where id = 4"),
            )
            await first.commit()
            await second.commit()
        finally:
            await one.close()
            await two.close()
        await world.quiet()
        assert [p["phones"][0]["value"] for p in await persons(world)] == [f"+44 {n}" for n in range(1, 5)]
        assert {p["last_name"] for p in await persons(world)} == {"Crm"}


async def _last_names(world: Rig, wanted: list[str]) -> bool:
    return [row["last"] for row in await rows(world)] == wanted


async def _tried(world: Rig, count: int) -> bool:
    return bool(await world.db.fetchval("select last_value >= $1 and is_called from app.tries", count))


async def _nobody(world: Rig) -> bool:
    return not await persons(world)


async def test_rows_that_go_with_the_one_that_we_delete(database: str, tmp_path: Path) -> None:
    """The app's table deletes the people below with their superior: the persons of these go too, as `deletes.send` says.

    Fails when a foreign key's deletions count as our own writing: their records stay, and are nobody's.
    """
    tables = TABLES + "alter table app.people add boss bigint references app.people on delete cascade;"
    files = people(match="", deletes="{receive: delete, send: delete}")
    async with rig(database, tmp_path / "set", files, tables, webhooks=True) as world:
        await world.start()
        await add(world, "ann", "bob", "cid")
        await world.db.execute("update app.people set boss = id - 1 where id > 1")
        await world.idle()
        await world.crm("DELETE", "/api/v2/persons/1")
        await world.idle()
        assert await rows(world) == []
        assert await persons(world) == []


async def test_a_reference_that_goes_with_the_row_that_we_delete(database: str, tmp_path: Path) -> None:
    """The same of a column that the app's table empties: what was said by it is said no more in the CRM either.

    Fails when a foreign key's updates count as our own writing.
    """
    tables = TABLES + "alter table app.people add boss bigint references app.people on delete set null;"
    named = (
        "\nfields:\n  - {column: first, crm: first_name}\n  - {column: \"{{ boss or 'nobody' }}\", crm: last_name}\n"
    )
    files = people(named, match="", deletes="{receive: delete, send: delete}")
    async with rig(database, tmp_path / "set", files, tables, webhooks=True) as world:
        await world.start()
        await add(world, "ann", "bob")
        await world.db.execute("update app.people set boss = id - 1 where id > 1")
        await world.idle()
        assert [person["last_name"] for person in await persons(world)] == ["nobody", "1"]
        await world.crm("DELETE", "/api/v2/persons/1")
        await world.idle()
        assert [row["boss"] for row in await rows(world)] == [None]
        assert [person["last_name"] for person in await persons(world)] == ["nobody"]
