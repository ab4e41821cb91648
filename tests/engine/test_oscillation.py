"""The oscillation breaker: an app trigger and a CRM automation undo each other, and the connector is in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cli.conftest import Done, connector
from tests.engine.accidents.people import FIELDS, TABLES, add, edit, people, persons, requests, rows
from tests.engine.rig import Rig, rig

SHOUTING = """
create function app.shout() returns trigger language plpgsql as $$
begin
    update app.people set last = upper(last) where id = new.id and last <> upper(last);
    return null;
end $$;
create trigger shout after insert or update on app.people for each row execute function app.shout();
"""
HELD = "select count(*) from connector.link where held ->> 'last_name' = 'oscillation'"


async def test_two_automations_that_undo_each_other_are_stopped(database: str, tmp_path: Path) -> None:
    """The line is held, shown and counted, the rest goes on; once the cause is gone, `retry` lets both sides agree.

    Fails when nothing ends the ping-pong, when it goes on by itself after its ten minutes, or when `retry` does not.
    """
    async with rig(database, tmp_path / "set", people(), TABLES + SHOUTING, webhooks=True) as world:
        await world.start()
        async with _whispering(world):
            await add(world, "ann")
            await world.until(lambda: world.db.fetchval(HELD))
            await world.idle()
            spent = await requests(world, "PATCH")
            world.clock.leap(900)
            await world.db.execute("update app.people set phone = '+44 1'")
            await world.idle()
            await world.quiet()
        assert await world.db.fetchval(HELD) == 1
        assert (await persons(world))[0]["phones"][0]["value"] == "+44 1"
        assert await requests(world, "PATCH") <= spent + 1
        await _shown(world)
        await world.db.execute("drop trigger shout on app.people")
        done = await _command(world, "failures", "retry", "--cause", "oscillation", "--json")
        assert done.json["test"] == {"done": 1}
        await world.idle()
        assert (await rows(world))[0]["last"] == (await persons(world))[0]["last_name"] == "test"
        assert await world.db.fetchval(HELD) == 0


async def _shown(world: Rig) -> None:
    """What an operator reads of it."""
    listed, status = await _command(world, "failures", "list"), await _command(world, "status")
    waited, explained = (
        await _command(world, "wait", "--timeout", "20"),
        await _command(world, "explain", "people", "1"),
    )
    assert "oscillation:last_name" in listed.out
    assert any(line.split()[:3] == ["people", "oscillation", "1"] for line in status.out.splitlines())
    assert (waited.code, "1 held" in waited.err) == (0, True)
    assert "held value last_name: oscillation" in explained.out
    assert "connector failures retry" in explained.out


async def test_a_send_line_against_an_automation_is_stopped(database: str, tmp_path: Path) -> None:
    """The CRM puts its own spelling back each time, and the row owns the line: undoing that drift ends as well.

    Fails when drift is undone for ever.
    """
    files = people(FIELDS.replace("crm: last_name", "crm: last_name, direction: send"))
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        await world.start()
        async with _whispering(world):
            await add(world, "ann")
            await world.until(lambda: world.db.fetchval(HELD))
            await world.idle()
        assert (await rows(world))[0]["last"] == "Test"
        await _command(world, "failures", "discard", "--all")
        assert await world.db.fetchval(HELD) == 0


async def test_people_who_change_their_minds_do_not_trip_it(database: str, tmp_path: Path) -> None:
    """To and fro on the one side, then on the other, twenty times within a moment: every edit arrives.

    Fails when quick edits are taken for an oscillation.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        for turn in range(10):
            await world.db.execute("update app.people set last = $1", f"App {turn % 2}")
            await world.idle()
        for turn in range(10):
            await edit(world, 1, last_name=f"Crm {turn % 2}")
            await world.idle()
        assert (await rows(world))[0]["last"] == (await persons(world))[0]["last_name"] == "Crm 1"
        assert await world.db.fetchval(HELD) == 0


async def _command(world: Rig, *words: str) -> Done:
    return await connector(*words, DATABASE_URL=world.dsn, CONNECTOR_SECRET_KEY="key")


@asynccontextmanager
async def _whispering(world: Rig) -> AsyncIterator[None]:
    """An automation of the CRM: small letters for last names."""

    async def whisper() -> None:
        while True:
            for person in await persons(world):
                if person["last_name"] != person["last_name"].lower():
                    await edit(world, person["id"], last_name=person["last_name"].lower())
            await asyncio.sleep(0.02)

    automation = asyncio.create_task(whisper(), name="automation")
    try:
        yield
    finally:
        automation.cancel()
        await asyncio.gather(automation, return_exceptions=True)
