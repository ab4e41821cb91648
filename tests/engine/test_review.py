"""`conflict: review`: nothing is overwritten, and a conflict stays open until a person ends it, on whichever way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connector.store import conflicts
from tests.engine.accidents.people import FIELDS, TABLES, add, channel, edit, fault, people, persons, requests, rows
from tests.engine.rig import Rig, rig

REVIEWED = people(FIELDS.replace("crm: phones, as: primary", "crm: phones, as: primary, conflict: review"))


async def test_at_first_contact_a_person_is_asked(database: str, tmp_path: Path) -> None:
    """A row meets a record with another phone: both keep theirs, the rest is one, and the choice is for the pair.

    Fails when a conflict without a base is not kept open.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await world.person(name="Ann Test", emails=channel("ann@x.test"), phones=channel("+44 crm"))
        await world.db.execute("insert into app.people (email, phone) values ('ann@x.test', '+44 app')")
        await world.start()
        await world.quiet()
        (row,) = await rows(world)
        assert (row["first"], row["phone"], await _crm_phone(world)) == ("Ann", "+44 app", "+44 crm")
        assert await _open(world) == [("+44 app", "+44 crm", False)]
        await _choose(world, "app")
        assert await _crm_phone(world) == "+44 app"
        assert await _open(world) == []


async def test_an_edit_of_one_side_keeps_it_open(database: str, tmp_path: Path) -> None:
    """With the new values; taking back the one edit does not let the other through; making both equal ends it.

    Fails when one side's return to the old value is taken for agreement.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await _conflict(world)
        await world.db.execute("update app.people set phone = '+44 app again'")
        await world.quiet()
        assert await _open(world) == [("+44 app again", "+44 crm", False)]
        since = await _since(world)
        await world.db.execute("update app.people set phone = '+44 0'")
        await world.quiet()
        assert await _open(world) == [("+44 0", "+44 crm", False)]
        await edit(world, 1, phones=channel("+44 newer"))
        await world.quiet()
        assert await _open(world) == [("+44 0", "+44 newer", False)]
        assert await _since(world) == since
        await world.db.execute("update app.people set phone = '+44 newer'")
        await world.quiet()
        assert await _open(world) == []
        assert await world.db.fetchval("select held_values from connector.link_status") == "{}"


async def test_both_sides_take_their_edits_back(database: str, tmp_path: Path) -> None:
    """There is nothing left to ask, although nothing is written. Fails when only a write ends a conflict."""
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await _conflict(world)
        await edit(world, 1, phones=channel("+44 0"))
        await world.db.execute("update app.people set phone = '+44 0'")
        await world.quiet()
        assert await _open(world) == []
        assert await world.db.fetchval("select held_values from connector.link_status") == "{}"


async def test_a_choice_waits_until_sends_go_on(database: str, tmp_path: Path) -> None:
    """Sends are paused when a person chooses: the choice stands, and is carried out afterwards.

    Fails when a choice that cannot be carried out at once is forgotten.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await _conflict(world)
        await _pause_sends(world, paused=True)
        await _choose(world, "app", wait=False)
        await world.until(lambda: _waits_to_send(world))
        assert await _open(world) == [("+44 app", "+44 crm", False)]
        await _pause_sends(world, paused=False)
        await world.idle()
        assert (await _open(world), await _crm_phone(world)) == ([], "+44 app")


@pytest.mark.parametrize("keep", ["app", "crm"])
async def test_what_our_write_had_put_away_is_asked_about(database: str, tmp_path: Path, keep: str) -> None:
    """Somebody edits the phone between our read and our write; the echo tells, and a person says which one stays.

    Fails when `review` lets stand what we wrote over a value that nobody had seen.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES, webhooks=True) as world:
        await _overwrite(world)
        assert await _open(world) == [("+44 2", "+44 1", True)]
        assert "+44 1" in await _losers(world)
        await edit(world, 1, last_name="Else")
        await world.db.execute("update app.people set first = 'Anna'")
        await world.idle()
        assert await _open(world) == [("+44 2", "+44 1", True)]
        await _choose(world, keep)
        stays = "+44 2" if keep == "app" else "+44 1"
        assert ((await rows(world))[0]["phone"], await _crm_phone(world)) == (stays, stays)
        assert await _open(world) == []


async def test_a_newer_value_of_the_crm_takes_the_place_of_the_one_put_away(database: str, tmp_path: Path) -> None:
    """What a person is asked about is what the CRM holds by now. Fails when the old value is put over the newer one."""
    async with rig(database, tmp_path / "set", REVIEWED, TABLES, webhooks=True) as world:
        await _overwrite(world)
        await edit(world, 1, phones=channel("+44 3"))
        await world.idle()
        assert await _open(world) == [("+44 2", "+44 3", False)]
        assert (await rows(world))[0]["phone"] == "+44 2"
        await _choose(world, "crm")
        assert ((await rows(world))[0]["phone"], await _crm_phone(world)) == ("+44 3", "+44 3")


async def test_another_rule_in_the_file_settles_what_is_open(database: str, tmp_path: Path) -> None:
    """Who no longer wants to be asked has his conflicts settled by the new rule.

    Fails when an open conflict outlives the rule that opened it.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await _conflict(world)
        (world.directory / "people.yaml").write_text(people(conflict="app")["people.yaml"], encoding="utf-8")
        await world.stop()
        await world.start(fetch_all=False)
        await world.ask("sweep", {"kind": "full"})
        await world.idle()
        assert (await _open(world), await _crm_phone(world)) == ([], "+44 app")


async def _conflict(world: Rig) -> None:
    """One person, whose phone both sides have edited."""
    await world.start()
    await add(world, "ann")
    await world.db.execute("update app.people set phone = '+44 0'")
    await world.quiet()
    await edit(world, 1, phones=channel("+44 crm"))
    await world.db.execute("update app.people set phone = '+44 app'")
    await world.quiet()
    assert await _open(world) == [("+44 app", "+44 crm", False)]


async def _overwrite(world: Rig) -> None:
    """The row's phone is sent; between our read and our write somebody edits it in the CRM."""
    await world.start()
    await add(world, "ann")
    await world.idle()
    await fault(world, "slow", "PATCH", "persons", seconds=0.5)
    await world.db.execute("update app.people set phone = '+44 2'")
    await world.until(lambda: _faulted(world))
    await edit(world, 1, phones=channel("+44 1"))
    await world.until(lambda: _written(world))
    await world.idle()


async def _choose(world: Rig, keep: str, *, wait: bool = True) -> None:
    """A person chooses, of what he is shown."""
    found = await conflicts.asked(world.db, "test")  # type: ignore[arg-type]
    shown = [[each.link, each.line, each.conflict.mark] for each in found]
    await world.ask("resolve", {"keep": keep, "shown": shown})
    if wait:
        await world.idle()


async def _open(world: Rig) -> list[tuple[Any, Any, bool]]:
    found = await world.db.fetch("select conflicts from connector.link where conflicts <> '{}' order by id")
    lines = [one for row in found for one in json.loads(row["conflicts"]).values()]
    return [(one["app"], one["crm"], one["overwritten"]) for one in lines]


async def _since(world: Rig) -> str:
    found = await world.db.fetchval("select conflicts -> 'phones' ->> 'since' from connector.link")
    return str(found)


async def _crm_phone(world: Rig) -> str:
    (person,) = await persons(world)
    return str(person["phones"][0]["value"])


async def _losers(world: Rig) -> list[str]:
    found = await world.db.fetch("select lines from connector.journal order by id")
    entries = [entry for row in found for entry in json.loads(row["lines"]).values()]
    return [entry["loser"]["value"] for entry in entries if "loser" in entry]


async def _pause_sends(world: Rig, *, paused: bool) -> None:
    await world.db.execute("update connector.connection set sends_paused = $1", paused)
    await world.ask("gates", {})


async def _waits_to_send(world: Rig) -> bool:
    return bool(await world.db.fetchval("select count(*) from connector.work where cause = 'sends_paused'"))


async def _faulted(world: Rig) -> bool:
    return all(rule["hits"] for rule in await world.control("GET", "faults"))


async def _written(world: Rig) -> bool:
    return await requests(world, "PATCH") == 2
