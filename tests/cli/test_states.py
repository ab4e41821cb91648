"""What only a person can mend ends as a state that commands show, name and end, and everything else goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.cli.conftest import Done
from tests.cli.test_conflicts import command
from tests.engine.accidents.people import FIELDS, TABLES, channel, people, persons, rows
from tests.engine.rig import Rig, rig

KINDS: Final = """
alter table app.people add column tier text, add column owner text;
alter table app.people add constraint decent check (last <> 'Poison');
"""
LINES: Final = FIELDS + (
    "  - {column: tier, crm: Tier, values: {gold: Gold, silver: Silver}}\n"
    "  - {column: owner, crm: owner_id, as: user_email}\n"
)


async def test_a_row_that_two_records_match(database: str, tmp_path: Path) -> None:
    """Parked as ambiguous, with both records named; the row beside it is made; once one record differs it is paired.

    Fails when one of the two is guessed, when nobody is told which they are, or when the guess holds up others.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        for name in ("Ann One", "Ann Two"):
            await world.person(name=name, emails=channel("ann@x.test"))
        await world.db.execute(
            "insert into app.people (email, last, phone) values ('ann@x.test', null, '1'), ('bob@x.test', 'Bob', '2')"
        )
        await world.start()
        await world.quiet()
        told = await _told(world, "explain", "people", "1")
        assert _says(told["failures"], "test/people", "1", "ambiguous")
        assert _says(told["status"], "people", "ambiguous", "1"), told["status"].out
        assert "person 1 has an equal match key" in told["this"].out
        assert "person 2 has an equal match key" in told["this"].out
        assert [p["emails"][0]["value"] for p in await persons(world)].count("bob@x.test") == 1
        await world.crm("PATCH", "/api/v2/persons/2", {"emails": channel("two@x.test")})
        await world.quiet()
        assert await world.db.fetchval("select crm_id from connector.link where app_key = '1'") == "1"
        assert (await command(world, "failures", "list", "--json")).json == []


async def test_options_and_users_that_nobody_mapped(database: str, tmp_path: Path) -> None:
    """Each is a held value with its own word, on either side; names and phones of the same records go on.

    Fails when a value that one side cannot say is dropped, stops its record, or is not told.
    """
    async with rig(database, tmp_path / "set", people(LINES), TABLES + KINDS) as world:
        tier = await _tier(world, "Gold", "Silver", "Bronze")
        users = await world.crm("GET", "/v1/users")
        idle = next(user for user in users if not user["is_you"])
        await world.crm("PUT", f"/v1/users/{idle['id']}", {"active_flag": False})
        await world.start()
        bronze = next(option["id"] for option in tier["options"] if option["label"] == "Bronze")
        await world.person(name="Cee Crm", emails=channel("cee@x.test"), custom_fields={tier["field_code"]: bronze})
        await world.db.execute(
            """insert into app.people (email, last, tier, owner) values
               ('ann@x.test', 'Ann', 'tin', null), ('bob@x.test', 'Bob', 'gold', 'nobody@x.test'),
               ('dan@x.test', 'Dan', null, $1)""",
            idle["email"],
        )
        await world.quiet()
        assert sorted(str(person["last_name"] or person["first_name"]) for person in await persons(world)) == [
            "Ann",
            "Bob",
            "Crm",
            "Dan",
        ]
        assert len(await rows(world)) == 4
        told = await _told(world, "explain", "people", "1")
        for cause, count in (("unmapped_value", "2"), ("unknown_user", "1"), ("inactive_user", "1")):
            assert _says(told["status"], "people", cause, count), told["status"].out
        assert "held value Tier: unmapped_value" in told["this"].out
        for key, said in (("2", "held value owner_id: unknown_user"), ("3", "held value owner_id: inactive_user")):
            assert said in (await command(world, "explain", "people", key)).out


async def test_one_bad_record_in_a_first_load(database: str, tmp_path: Path) -> None:
    """Of two hundred persons the table refuses one: it alone is parked, with the constraint's name.

    Fails when a bad row takes its batch along.
    """
    async with rig(database, tmp_path / "set", people(), TABLES + KINDS) as world:
        names = [f"Person {n}" for n in range(199)]
        records = [{"name": name, "emails": channel(f"{n}@x.test")} for n, name in enumerate(names)]
        poison = {"name": "Bad Poison", "emails": channel("bad@x.test")}
        records.insert(100, poison)
        await world.control("POST", "bulk", {"entity": "person", "records": records})
        await world.start()
        await world.quiet()
        assert await world.db.fetchval("select count(*) from app.people") == len(names)
        bad = await world.db.fetchval("select crm_id from connector.link where app_key is null")
        told = await _told(world, "explain", "people", "--crm", bad)
        assert told["failures"].out.count("row_refused:23514:decent") == 1
        assert _says(told["status"], "row_refused", "1"), told["status"].out
        assert "parked: row_refused:23514:decent" in told["this"].out
        await world.db.execute("alter table app.people drop constraint decent")
        done = await command(world, "failures", "retry", "--all", "--json")
        assert done.json["test"] == {"done": 1}
        assert await world.db.fetchval("select count(*) from app.people where last = 'Poison'") == 1


async def _told(world: Rig, *explain: str) -> dict[str, Done]:
    """What three commands say, one after the other."""
    asked = {"failures": ("failures", "list"), "status": ("status",), "this": explain}
    found = {name: await command(world, *words) for name, words in asked.items()}
    assert [done.code for done in found.values()] == [0, 0, 0], [done.err for done in found.values()]
    return found


def _says(done: Done, *words: str) -> bool:
    """True when a line of a table holds these words next to each other."""
    lines = [f" {' '.join(line.split())} " for line in done.out.splitlines()]
    return any(f" {' '.join(words)} " in line for line in lines)


async def _tier(world: Rig, *labels: str) -> dict[str, Any]:
    options = [{"label": label} for label in labels]
    body = {"field_name": "Tier", "field_type": "enum", "options": options}
    made: dict[str, Any] = await world.crm("POST", "/api/v2/personFields", body)
    return made
