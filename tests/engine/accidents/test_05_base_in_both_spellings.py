"""Rule 5, base in both spellings: what a side stores in its own way is no change.

The accidents: the CRM's spelling overwrites the app's, a difference of spelling is written for ever, one side loses
what the other cannot hold.
"""

from pathlib import Path

from tests.engine.accidents.people import FIELDS, TABLES, channel, edit, people, persons, requests, rows
from tests.engine.rig import Rig, rig

TIDY = """
create function app.tidy() returns trigger language plpgsql as $$ begin
    new.phone = replace(new.phone, ' ', '');
    return new;
end $$;
create trigger tidy before insert or update on app.people for each row execute function app.tidy();
"""


async def test_the_crm_stores_a_phone_in_its_own_way(database: str, tmp_path: Path) -> None:
    """The row keeps its spelling and nothing is written again.

    Fails when the base takes the value that was sent instead of the one that the CRM stored: the row is rewritten.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.control("POST", "settings", {"tidy_phones": True})
        await world.start()
        await world.db.execute(
            "insert into app.people (email, first, last, phone) values ('a@x.test', 'A', 'B', '(020) 1-2')"
        )
        await world.quiet()
        await world.db.execute("update app.people set phone = '(020) 3-4'")
        await world.quiet()
        written = await _writes(world)
        await _touch_both(world)
        await world.db.execute("update app.people set last = 'C'")
        await world.quiet()
        (row,), (person,) = await rows(world), await persons(world)
        assert (row["phone"], person["phones"][0]["value"]) == ("(020) 3-4", "02034")
        assert await _writes(world) == written + 2, "the edit by hand and the one of the row"


async def test_the_crm_stores_what_only_we_write_in_its_own_way(database: str, tmp_path: Path) -> None:
    """A value that the app owns is not sent again at every sweep because the CRM spells it otherwise.

    Fails when the base takes the value that was sent instead of the one that the CRM stored: a write at every pass.
    """
    fields = FIELDS.replace("crm: phones, as: primary", "crm: phones, as: primary, direction: send")
    async with rig(database, tmp_path / "set", people(fields), TABLES) as world:
        await world.control("POST", "settings", {"tidy_phones": True})
        await world.start()
        await world.db.execute(
            "insert into app.people (email, first, last, phone) values ('a@x.test', 'A', 'B', '1-2')"
        )
        await world.quiet()
        await world.db.execute("update app.people set phone = '3-4'")
        await world.quiet()
        written = await _writes(world)
        for _ in range(3):
            await _touch_both(world)
        assert await _writes(world) == written + 3, "the edits by hand"
        assert (await rows(world))[0]["phone"] == "3-4"


async def test_a_trigger_of_the_app_stores_a_phone_in_its_own_way(database: str, tmp_path: Path) -> None:
    """The CRM keeps its spelling, and the app's is no change.

    Fails when the base takes the value that was written instead of the one that the statement returned.
    """
    async with rig(database, tmp_path / "set", people(), TABLES + TIDY) as world:
        await world.start()
        await world.person(name="Ann Test", emails=channel("ann@x.test"), phones=channel("020 1x2"))
        await world.quiet()
        await edit(world, 1, phones=channel("020 3x4"))
        await world.quiet()
        await _touch_both(world)
        await world.quiet()
        (row,), (person,) = await rows(world), await persons(world)
        assert (row["phone"], person["phones"][0]["value"]) == ("0203x4", "020 3x4")
        assert await requests(world, "PATCH") == 2, "the two edits by hand"


async def _touch_both(world: Rig) -> None:
    """An edit of nothing that is mapped, so that the next sweep meets the record again; the rest is compared anew."""
    await edit(world, 1, visible_to=3 if (await persons(world))[0]["visible_to"] == 1 else 1)
    await world.ask("sync", {"mapping": "people", "crm": "1"})
    await world.quiet()


async def _writes(world: Rig) -> int:
    return sum([await requests(world, method) for method in ("POST", "PUT", "PATCH", "DELETE")])
