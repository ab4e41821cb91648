"""``conflicts``: what `conflict: review` leaves to a person, as he reads it and as he ends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connector.core.model import OpenConflict
from tests.cli.conftest import Done, connector
from tests.engine.accidents.people import TABLES, channel, edit, people, persons, rows
from tests.engine.rig import Rig, rig

FIELDS = """
fields:
  - {column: email, crm: emails, as: primary}
  - {column: first, crm: first_name}
  - {column: last, crm: last_name}
  - {column: phone, crm: phones, as: primary, conflict: review}
"""
REVIEWED = people(FIELDS)


async def command(world: Rig, *words: str) -> Done:
    """A command on the rig's database, in a process of its own."""
    return await connector(*words, DATABASE_URL=world.dsn, CONNECTOR_SECRET_KEY="key")


async def in_conflict(world: Rig, *names: str) -> None:
    """People of both sides whose phone was edited on either, and whose first name in the CRM."""
    await world.start()
    await world.db.execute(
        """insert into app.people (email, first, last, phone)
           select n || '@x.test', n, 'Test', '+44 0' from unnest($1::text[]) n""",
        list(names),
    )
    await world.quiet()
    for person in await persons(world):
        name = person["first_name"]
        await edit(world, person["id"], first_name=name.upper(), phones=channel(f"+44 crm {name}"))
    await world.db.execute("update app.people set phone = '+44 app ' || first")
    await world.quiet()


async def test_an_open_conflict_is_shown_with_both_values(database: str, tmp_path: Path) -> None:
    """Both values with their times and the page of the CRM; the rest of the record went on; everybody tells of it.

    Fails when a conflict under review is not kept with its values, or keeps `wait` from ending.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await in_conflict(world, "ann")
        shown = await command(world, "conflicts", "list")
        program = await command(world, "conflicts", "list", "people", "--json")
        status, waited = await command(world, "status"), await command(world, "wait", "--timeout", "20")
        explained = await command(world, "explain", "people", "1")
        assert (await rows(world))[0]["first"] == "ANN"
        (told,) = program.json
        assert (told["connection"], told["mapping"], told["key"], told["line"]) == ("test", "people", "1", "phones")
        assert (told["app"]["value"], told["crm"]["value"]) == ("+44 app ann", "+44 crm ann")
        assert None not in (told["since"], told["app"]["changed_at"], told["crm"]["changed_at"])
        assert told["crm"]["url"].endswith("/person/1")
        for part in ("test/people 1  phones", '"+44 app ann"', '"+44 crm ann"', told["crm"]["url"]):
            assert part in shown.out
        assert any(line.split()[:3] == ["people", "review", "1"] for line in status.out.splitlines())
        assert (waited.code, "1 held" in waited.err) == (0, True)
        assert "held value phones: review" in explained.out
        assert "connector conflicts resolve" in explained.out
        assert "connector conflicts resolve" in status.out


async def test_a_person_says_which_side_stays(database: str, tmp_path: Path) -> None:
    """One record by its key, one by its id with the line named, the rest of the mapping: both sides agree afterwards.

    Fails when a choice is not carried out, or the other value is not in the journal.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await in_conflict(world, "ann", "bob", "cid")
        ids = {person["first_name"].lower(): str(person["id"]) for person in await persons(world)}
        one = await command(world, "conflicts", "resolve", "people", "1", "--keep", "app")
        two = await command(world, "conflicts", "resolve", "people", "phones", "--crm", ids["bob"], "--keep", "crm")
        none = await command(world, "conflicts", "resolve", "people", "1", "--keep", "crm")
        rest = await command(world, "conflicts", "resolve", "test/people", "--all", "--keep", "crm", "--json")
        assert (one.code, two.code, none.code, rest.code) == (0, 0, 1, 0)
        assert "test/people 1  phones: the app's value stays" in one.err
        assert "no conflict there is open" in none.err
        assert [each["key"] for each in rest.json["resolved"]] == ["3"]
        assert await _phones(world) == {"ANN": "+44 app ann", "BOB": "+44 crm bob", "CID": "+44 crm cid"}
        assert [row["phone"] for row in await rows(world)] == ["+44 app ann", "+44 crm bob", "+44 crm cid"]
        assert await _losers(world) == {"1": "+44 crm ann", "2": "+44 app bob", "3": "+44 app cid"}
        assert (await command(world, "conflicts", "list")).err.strip() == "no conflict is open"


async def test_a_conflict_that_changed_meanwhile_stays_open(database: str, tmp_path: Path) -> None:
    """The CRM holds another value by now, which nobody has told us: it is not overwritten by a choice about the old one.

    Fails when a choice is carried out whatever the sides hold by then.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await in_conflict(world, "ann")
        await edit(world, 1, phones=channel("+44 newer"))
        done = await command(world, "conflicts", "resolve", "people", "1", "--keep", "app")
        assert (done.code, "still open" in done.err) == (1, True)
        (told,) = (await command(world, "conflicts", "list", "--json")).json
        assert (told["app"]["value"], told["crm"]["value"]) == ("+44 app ann", "+44 newer")
        assert await _phones(world) == {"ANN": "+44 newer"}
        old = OpenConflict("+44 app ann", "+44 crm ann", world.clock.now())
        shown = [[told["link"], "phones", old.mark]]
        assert await world.ask("resolve", {"keep": "app", "shown": shown}) == {"chosen": []}
        await world.idle()
        assert await _phones(world) == {"ANN": "+44 newer"}


async def test_without_a_daemon_the_command_does_it(database: str, tmp_path: Path) -> None:
    """The conflict is known after the daemon has stopped, and the command carries the choice out by itself.

    Fails when an open conflict lives in the daemon's memory, or a choice waits for a daemon.
    """
    async with rig(database, tmp_path / "set", REVIEWED, TABLES) as world:
        await in_conflict(world, "ann")
        await world.stop()
        done = await command(world, "conflicts", "resolve", "people", "1", "--keep", "app", "--json")
        assert (done.code, done.json["open"]) == (0, [])
        assert await _phones(world) == {"ANN": "+44 app ann"}


async def _phones(world: Rig) -> dict[str, Any]:
    return {person["first_name"]: person["phones"][0]["value"] for person in await persons(world)}


async def _losers(world: Rig) -> dict[str, Any]:
    """What gave way by a person's choice, by row."""
    found = await world.db.fetch("select app_key, lines from connector.journal where cause = 'manual' order by id")
    lines = [(row["app_key"], line) for row in found for line in json.loads(row["lines"]).values()]
    return {key: line["loser"]["value"] for key, line in lines if line["reason"] == "conflict_resolved"}
