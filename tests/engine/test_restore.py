"""The app's database is restored from an older backup, the CRM is not: nothing is made twice, nothing newer is lost.

Rows, links, bases and the numbers of intents go back together; the CRM has what was written since. What the accidents
would be: every record of the lost time made again, a new row taken for the one that had its key, old values sent over new
ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.core.identity import Role
from tests.engine.accidents.doubt import ALIKE, COMMENTS, MINUTE, NOTE, living
from tests.engine.accidents.people import TABLES, add, channel, edit, people, persons, requests, rows, work
from tests.engine.restoring import backup, becomes, restore, returned, say
from tests.engine.rig import Rig, rig

FILES = people(match="")
PHONES = people(
    """
fields:
  - {column: email, crm: emails, as: primary}
  - {column: first, crm: first_name}
  - {column: last, crm: last_name, conflict: app}
  - {column: phone, crm: phones, as: primary, direction: send}
""",
    match="",
)


async def test_nothing_is_sent_until_a_person_has_chosen(database: str, tmp_path: Path) -> None:
    """A restored database is in doubt at once; what the app writes waits, and what it lost is not taken in as new.

    Fails when a send goes before the choice, or when the lost row comes in beside the one that waits for its record.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await world.stop()
        await add(world, "eve")
        async with backup(world) as copy:
            await world.start(fetch_all=False)
            await world.quiet()
            await world.stop()
            await restore(world, copy)
            before = await _writes(world)
            await world.start(fetch_all=False)
            await becomes(world, Role.IN_DOUBT)
            await add(world, "zoe")
            await world.ask("sweep", {"kind": "recent"})
            await world.idle()
            assert await _writes(world) == before
            assert [row["first"] for row in await rows(world)] == ["eve", "zoe"]
            assert sorted(await work(world), key=str) == [("waiting", "database")] * 3
            await returned(world)
            assert await _both(world) == ["eve", "zoe"]


async def test_a_day_is_lost(database: str, tmp_path: Path) -> None:
    """Whatever was made and edited on either side since the backup is there once, on both sides; new edits are sent.

    Eve waited for her record when the backup was made, fay was entered and lost, gus was entered in the CRM; zoe gets the
    key that fay had. Fails when a record is found by its number or key alone, and when a base is not what it was.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await add(world, "ann", "bob", "dee")
        await world.quiet()
        await _waiting(world)
        async with backup(world) as copy:
            await _the_lost_day(world)
            await _restored(world, copy)
            await add(world, "zoe")
            await world.db.execute("update app.people set phone = '+44 4' where first = 'dee'")
            await world.start(fetch_all=False)
            await becomes(world, Role.IN_DOUBT)
            await returned(world)
        assert await _both(world) == ["ann", "bob", "dee", "eve", "fay", "gus", "zoe"]
        phones = {row["first"]: row["phone"] for row in await rows(world)}
        assert phones == {"ann": "+44 1", "bob": "+44 2", "dee": "+44 4", "eve": None, "fay": "+44 6"} | {
            "gus": None,
            "zoe": None,
        }
        assert {p["first_name"]: p["phones"][0]["value"] for p in await persons(world) if p["phones"]} == {
            name: phone for name, phone in phones.items() if phone
        }
        assert await _numbers(world) == len({*await _identities(world)})


async def test_a_later_create_has_a_number_of_its_own(database: str, tmp_path: Path) -> None:
    """Numbers of intents go on beyond those that the CRM has seen. Fails when they are given a second time."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        async with backup_after_stop(world) as copy:
            await world.start(fetch_all=False)
            await add(world, "ann", "bob")
            await world.quiet()
            await world.stop()
            await _restored(world, copy)
            await world.start(fetch_all=False)
            await returned(world)
            await add(world, "cid", "dee")
            await world.quiet()
        assert await _both(world) == ["ann", "bob", "cid", "dee"]
        assert len({identity.partition("#")[2] for identity in await _identities(world)}) == 4


async def test_old_values_do_not_overwrite(database: str, tmp_path: Path) -> None:
    """A line that only sends keeps what it sent since; one on which the app wins gives way to what the CRM has of later.

    Fails when drift is undone by the base of the backup, and when a line's rule lets an edit of before the backup win.
    """
    async with rig(database, tmp_path / "set", PHONES, TABLES) as world:
        await world.start()
        await add(world, "ann", "bob")
        await world.quiet()
        await _waiting(world, "update app.people set last = 'Old' where first = 'bob'")
        async with backup(world) as copy:
            await world.start(fetch_all=False)
            await world.db.execute("update app.people set phone = '+44 1'")
            await world.quiet()
            await edit(world, 2, last_name="Newer")
            await world.stop()
            await _restored(world, copy)
            await world.start(fetch_all=False)
            await returned(world)
            assert [p["phones"][0]["value"] for p in await persons(world)] == ["+44 1", "+44 1"]
            assert [p["last_name"] for p in await persons(world)] == ["Test", "Newer"]
            assert [row["last"] for row in await rows(world)] == ["Test", "Newer"]
            await world.db.execute("update app.people set phone = '+44 9' where first = 'ann'")
            await edit(world, 2, phones=channel("+44 8"))
            await world.quiet()
            assert [p["phones"][0]["value"] for p in await persons(world)] == ["+44 9", "+44 1"]


@pytest.mark.parametrize("direction", ["send", "both"])
async def test_what_carries_no_key(database: str, tmp_path: Path, direction: str) -> None:
    """Notes are found by what they say: of two that were made in the lost time neither is made again, nor entered.

    Fails when the create of a row that the backup left half open is sent without looking; with `both` also when the notes
    are entered as rows before it is clear whose they are.
    """
    files = {"people.yaml": NOTE["people.yaml"].replace("direction: send", f"direction: {direction}")}
    async with rig(database, tmp_path / "set", files, COMMENTS) as world:
        await world.crm("POST", "/api/v2/deals", {"title": "deal"})
        await world.start()
        await _waiting(world, ALIKE["note"].replace("$1::int", "2"))
        async with backup(world) as copy:
            await world.start(fetch_all=False)
            await world.quiet()
            await world.stop()
            await _restored(world, copy)
            await world.start(fetch_all=False)
            await returned(world)
        assert len(await living(world, "note")) == 2
        assert await world.db.fetchval("select count(*) from app.comments") == 2


async def test_a_row_comes_back_under_a_key_that_the_app_makes(database: str, tmp_path: Path) -> None:
    """A lost row whose key is a uuid is the same row again, to whatever knows it. Fails when it gets another key."""
    tables = TABLES.replace("bigint generated by default as identity", "uuid default gen_random_uuid()")
    async with rig(database, tmp_path / "set", FILES, tables) as world:
        await world.start()
        async with backup_after_stop(world) as copy:
            await world.start(fetch_all=False)
            await world.db.execute("insert into app.people (first) values ('ann')")
            await world.quiet()
            key = await world.db.fetchval("select id from app.people")
            await world.stop()
            await _restored(world, copy)
            await world.start(fetch_all=False)
            await returned(world)
        assert [row["id"] for row in await rows(world)] == [key]
        assert await _both(world) == ["ann"]


async def test_a_schema_that_was_thrown_away(database: str, tmp_path: Path) -> None:
    """Without any state of ours the CRM still knows which row each record was made for, if a person says so.

    A row that has the key of another since then is not taken for it. Fails when all are made again, and when cid is
    taken for bob, whose key he has.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await add(world, "ann", "bob")
        await world.quiet()
        await world.stop()
        await world.db.execute("drop schema connector cascade")
        await world.db.execute("update app.people set first = 'cid', last = 'Other', email = 'cid@x.test' where id = 2")
        world.clock.leap(10 * MINUTE)
        await world.start(fetch_all=False)
        await returned(world)
        await world.ask("fetch_all", {})
        await world.quiet()
        assert await _both(world) == ["ann", "bob", "cid"]


async def test_a_new_database_on_an_old_account(database: str, tmp_path: Path) -> None:
    """Records that a former installation made are like everybody's: rows are entered for them, and sends go on.

    Fails when a new installation is taken for a restored one, and when its numbers are those of the former one.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await add(world, "ann", "bob")
        await world.quiet()
        await world.stop()
        await world.db.execute("drop schema connector cascade; truncate app.people restart identity")
        await world.start()
        await world.quiet()
        await add(world, "cid")
        await world.quiet()
        assert await _both(world) == ["ann", "bob", "cid"]
        assert len({identity.partition("#")[2] for identity in await _identities(world)}) == 3


async def test_saying_it_of_a_healthy_database(database: str, tmp_path: Path) -> None:
    """Nothing is written on either side, and sends go on. Fails when what is agreed on is forgotten."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        before = await _writes(world)
        await say(world, Role.RETURNING)
        await returned(world)
        assert await _writes(world) == before
        assert await world.db.fetchval("select count(*) from connector.link where lost_since is not null") == 0
        await add(world, "bob")
        await world.quiet()
        assert await _both(world) == ["ann", "bob"]


# --- the story -----------------------------------------------------------------------------------------------------------


def backup_after_stop(world: Rig) -> Any:
    """A backup of a database on which a daemon has worked."""
    return _Stopped(world)


class _Stopped:
    def __init__(self, world: Rig) -> None:
        self.world, self.inner = world, backup(world)

    async def __aenter__(self) -> str:
        await self.world.stop()
        return await self.inner.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self.inner.__aexit__(*error)  # type: ignore[arg-type]


async def _restored(world: Rig, copy: str) -> None:
    """A restore takes more than a moment: what was written last has arrived by then."""
    world.clock.leap(MINUTE)
    await restore(world, copy)


async def _waiting(world: Rig, statement: str = "", name: str = "eve") -> None:
    """Something is written in the app just before the daemon stops: it is noticed, and not sent yet."""
    await world.db.execute("update connector.connection set sends_paused = true")
    await world.ask("gates", {})
    await (world.db.execute(statement) if statement else add(world, name))

    async def met() -> bool:
        return bool(await world.db.fetchval("select count(*) from connector.work where state = 'waiting'"))

    await world.until(met)
    await world.stop()
    await world.db.execute("update connector.connection set sends_paused = false")


async def _the_lost_day(world: Rig) -> None:
    """Everything that the restore takes back."""
    await world.start(fetch_all=False)
    await world.quiet()
    await add(world, "fay")
    await world.db.execute("update app.people set phone = '+44 1' where first = 'ann'")
    await world.quiet()
    await edit(world, 2, phones=channel("+44 2"))
    await edit(world, 5, phones=channel("+44 6"))
    await world.person(name="gus Test", first_name="gus", last_name="Test", emails=channel("gus@x.test"))
    await world.quiet()
    assert await _both(world) == ["ann", "bob", "dee", "eve", "fay", "gus"]
    await world.stop()


async def _both(world: Rig) -> list[str]:
    """The first names, which are the same on both sides."""
    names = sorted(row["first"] for row in await rows(world))
    assert sorted(person["first_name"] for person in await persons(world)) == names
    linked = await world.db.fetchval(
        "select count(*) from connector.link where state = 'linked' and crm_id is not null"
    )
    assert linked == len(names), await world.trouble()
    return names


async def _writes(world: Rig) -> int:
    return sum([await requests(world, method) for method in ("POST", "PATCH", "PUT", "DELETE")])


async def _identities(world: Rig) -> list[str]:
    assert world.daemon is not None
    context = world.daemon.running["test"].context
    assert context is not None
    key = context.rules.metadata.identity["person"]
    return [person["custom_fields"][key] for person in await persons(world) if person["custom_fields"].get(key)]


async def _numbers(world: Rig) -> int:
    return len(await _identities(world))
