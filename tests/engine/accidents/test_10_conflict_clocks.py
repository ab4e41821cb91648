"""Rule 10, conflict clocks: the later edit of a field wins, by times that can be compared.

The accidents: a clock that is wrong decides for years, an edit of another field makes an old value the newest.
"""

import json
from pathlib import Path

from tests.engine.accidents.people import TABLES, add, channel, edit, people, persons, rows
from tests.engine.rig import Rig, rig

HOUR = 3600


async def test_the_clock_of_the_crm_is_ahead(database: str, tmp_path: Path) -> None:
    """The app's later edit wins although the CRM's time of the earlier one looks later.

    Fails when the offset of the CRM's clock is not taken off.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.control("POST", "clock", {"offset": HOUR})
        await _both_edit(world, first="crm")
        assert await _phones(world) == ("+44 app", "+44 app")


async def test_the_clock_of_the_crm_is_behind(database: str, tmp_path: Path) -> None:
    """The CRM's later edit wins although its time looks earlier.

    Fails when the offset of the CRM's clock is not taken off.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.control("POST", "clock", {"offset": -HOUR})
        await _both_edit(world, first="app")
        assert await _phones(world) == ("+44 crm", "+44 crm")


async def test_the_clock_of_the_database_is_behind(database: str, tmp_path: Path) -> None:
    """The app's later edit wins although the database dates it an hour before.

    Fails when the times of the capture triggers are taken as they are.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        world.clock.leap(HOUR)
        await _both_edit(world, first="crm")
        assert await _phones(world) == ("+44 app", "+44 app")


async def test_two_edits_within_the_uncertainty_of_the_clocks(database: str, tmp_path: Path) -> None:
    """Nobody can tell which was later: it is the CRM's, each time, and the app's value is in the journal.

    Fails when the clocks are believed to the second.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await _pause(world, paused=True)
        await edit(world, 1, phones=channel("+44 crm"))
        await world.db.execute("update app.people set phone = '+44 app'")
        await _pause(world, paused=False)
        await world.quiet()
        assert await _phones(world) == ("+44 crm", "+44 crm")
        assert await _losers(world) == ["+44 app"]


async def test_a_later_edit_of_another_field_in_the_crm(database: str, tmp_path: Path) -> None:
    """The event that names the field decides, not the record's last change.

    Fails when the CRM's side is dated by the record's `update_time` alone.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        await _pause(world, paused=True)
        await edit(world, 1, phones=channel("+44 crm"))
        await world.until(lambda: _folded(world))
        world.clock.leap(30)
        await world.db.execute("update app.people set phone = '+44 app'")
        await world.until(lambda: _folded(world))
        world.clock.leap(30)
        await edit(world, 1, last_name="Crm")
        await world.until(lambda: _folded(world))
        await _pause(world, paused=False)
        await world.idle()
        assert await _phones(world) == ("+44 app", "+44 app")
        assert (await rows(world))[0]["last"] == "Crm"


async def test_a_later_edit_of_another_column_in_the_app(database: str, tmp_path: Path) -> None:
    """The note that names the column decides, not the row's last change.

    Fails when the app's side is dated by the row's last note alone.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await _pause(world, paused=True)
        await world.db.execute("update app.people set phone = '+44 app'")
        await world.until(lambda: _folded(world))
        world.clock.leap(30)
        await edit(world, 1, phones=channel("+44 crm"))
        world.clock.leap(30)
        await world.db.execute("update app.people set last = 'App'")
        await world.until(lambda: _folded(world))
        await _pause(world, paused=False)
        await world.idle()
        assert await _phones(world) == ("+44 crm", "+44 crm")
        assert (await persons(world))[0]["last_name"] == "App"


async def test_no_event_tells_when_the_field_was_edited(database: str, tmp_path: Path) -> None:
    """Without webhooks, the phone was edited on both sides, in the app later; then somebody edits another field.

    The record's changelog tells. Fails when its last change stands for every field of it.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await _conflict(world, "app")
        await edit(world, 1, last_name="Crm")
        await _pause(world, paused=False)
        await world.quiet()
        assert await _phones(world) == ("+44 app", "+44 app")
        assert (await rows(world))[0]["last"] == "Crm"
        assert await _changelogs(world) == 1
        assert await _losers(world) == ["+44 crm"]


async def test_the_changelog_is_read_only_where_it_may_decide(database: str, tmp_path: Path) -> None:
    """It is dear: not for the edits of one side, and not where even the record's last change is the earlier one.

    Fails when every change or every conflict is looked up.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await _conflict(world, "app")
        await _pause(world, paused=False)
        await world.quiet()
        await edit(world, 1, last_name="Crm")
        await world.quiet()
        assert await _phones(world) == ("+44 app", "+44 app")
        assert await _changelogs(world) == 0


async def test_the_changelog_is_not_read_where_an_event_told(database: str, tmp_path: Path) -> None:
    """The event that named the field has dated it already. Fails when every conflict is looked up."""
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _conflict(world, "crm")
        await world.until(lambda: _folded(world))
        await _pause(world, paused=False)
        await world.idle()
        assert await _phones(world) == ("+44 crm", "+44 crm")
        assert await _changelogs(world) == 0


async def _conflict(world: Rig, later: str) -> None:
    """Both sides edit the phone of one person, the later one half a minute after the other; nothing is synchronised."""
    await world.start()
    await add(world, "ann")
    await world.quiet()
    await _pause(world, paused=True)
    for side in ("crm", "app") if later == "app" else ("app", "crm"):
        world.clock.leap(30)
        if side == "crm":
            await edit(world, 1, phones=channel("+44 crm"))
        else:
            await world.db.execute("update app.people set phone = '+44 app'")
            await world.until(lambda: _folded(world))
    world.clock.leap(30)


async def _changelogs(world: Rig) -> int:
    stats = await world.control("GET", "stats")
    return sum(count for name, count in stats["requests"].items() if "changelog" in name)


async def _both_edit(world: Rig, *, first: str) -> None:
    """Both sides edit the phone, half a minute apart, before anything is synchronised."""
    await world.start()
    await add(world, "ann")
    await world.quiet()
    await _pause(world, paused=True)
    for side in (first, "app" if first == "crm" else "crm"):
        if side == "crm":
            await edit(world, 1, phones=channel("+44 crm"))
        else:
            await world.db.execute("update app.people set phone = '+44 app'")
            await world.until(lambda: _folded(world))
        world.clock.leap(30)
    await _pause(world, paused=False)
    await world.idle()


async def _pause(world: Rig, *, paused: bool) -> None:
    await world.db.execute("update connector.connection set paused = $1", paused)
    await world.ask("gates", {})


async def _folded(world: Rig) -> bool:
    """True when every note is folded into work."""
    notes = await world.db.fetchval(
        "select (select count(*) from connector.change) + (select count(*) from connector.event)"
    )
    return notes == 0 and not world.sandbox.deliverer.pending


async def _phones(world: Rig) -> tuple[str, str]:
    (row,), (person,) = await rows(world), await persons(world)
    return row["phone"], person["phones"][0]["value"]


async def _losers(world: Rig) -> list[str]:
    found = await world.db.fetch("select lines from connector.journal order by id")
    entries = [entry for row in found for entry in json.loads(row["lines"]).values()]
    return [entry["loser"]["value"] for entry in entries if "loser" in entry]
