"""What only a person can mend ends as a state that commands show, name and end, and everything else goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from tests.cli.conftest import Done
from tests.cli.test_conflicts import command
from tests.engine.accidents.people import FIELDS, TABLES, add, channel, people, persons, rows
from tests.engine.rig import Rig, rig

KINDS: Final = """
alter table app.people add column tier text, add column owner text;
alter table app.people add constraint decent check (last <> 'Poison');
"""
LINES: Final = FIELDS + (
    "  - {column: tier, crm: Tier, values: {gold: Gold, silver: Silver}}\n"
    "  - {column: owner, crm: owner_id, as: user_email}\n"
)
FAMILY: Final = """
create schema app;
create table app.companies (id bigint primary key, name text, kind text);
create table app.contacts (id bigint primary key, name text, company_id bigint);
create table app.offers (id bigint primary key, title text, company_id bigint not null);
"""
PARENTS: Final = {
    "company.yaml": """
object: organization
table: app.companies
key: id
direction: both
only: {send: {kind: customer}}
fields:
  - {column: name, crm: name}
""",
    "contact.yaml": """
object: person
table: app.contacts
key: id
direction: both
fields:
  - {column: name, crm: name}
  - {column: company_id, crm: org_id, link: company}
""",
    "offer.yaml": """
object: deal
table: app.offers
key: id
direction: both
fields:
  - {column: title, crm: title}
  - {column: company_id, crm: org_id, link: company}
""",
}


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
        assert ["test/people", "1", "ambiguous"] in [words[1:4] for words in _words(told["failures"])]
        assert ["people", "ambiguous", "1"] in _words(told["status"])
        assert "person 1 has an equal match key" in told["this"].out
        assert "person 2 has an equal match key" in told["this"].out
        assert [p["emails"][0]["value"] for p in await persons(world)].count("bob@x.test") == 1
        await world.crm("PATCH", "/api/v2/persons/2", {"emails": channel("two@x.test")})
        await world.quiet()
        done = await command(world, "failures", "retry", "--cause", "ambiguous", "--json")
        assert done.json["test"] == {"done": 1}
        assert (await persons(world))[0]["phones"][0]["value"] == "1"


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
        words = _words(told["status"])
        for expected in (["unmapped_value", "2"], ["unknown_user", "1"], ["inactive_user", "1"]):
            assert ["people", *expected] in words, told["status"].out
        assert "held value Tier: unmapped_value" in told["this"].out
        for key, said in (("2", "held value owner_id: unknown_user"), ("3", "held value owner_id: inactive_user")):
            assert said in (await command(world, "explain", "people", key)).out


async def test_one_bad_record_in_a_first_load(database: str, tmp_path: Path) -> None:
    """Of five hundred persons the table refuses one: it alone is parked, with the constraint's name.

    Fails when a bad row takes its batch along.
    """
    async with rig(database, tmp_path / "set", people(), TABLES + KINDS) as world:
        names = [f"Person {n}" for n in range(499)]
        records = [{"name": name, "emails": channel(f"{n}@x.test")} for n, name in enumerate(names)]
        poison = {"name": "Bad Poison", "emails": channel("bad@x.test")}
        records.insert(250, poison)
        await world.control("POST", "bulk", {"entity": "person", "records": records})
        await world.start()
        await world.quiet()
        assert await world.db.fetchval("select count(*) from app.people") == len(names)
        bad = await world.db.fetchval("select crm_id from connector.link where app_key is null")
        told = await _told(world, "explain", "people", "--crm", bad)
        assert told["failures"].out.count("row_refused:23514:decent") == 1
        assert ["row_refused", "1"] in [words[-2:] for words in _words(told["status"])]
        assert "parked: row_refused:23514:decent" in told["this"].out
        await world.db.execute("alter table app.people drop constraint decent")
        done = await command(world, "failures", "retry", "--all", "--json")
        assert done.json["test"] == {"done": 1}
        assert await world.db.fetchval("select count(*) from app.people where last = 'Poison'") == 1


async def test_one_bad_row_in_a_bulk_insert(database: str, tmp_path: Path) -> None:
    """Of a hundred rows the CRM takes ninety-nine: one has no name, which it demands.

    Fails when a refused record stops or parks its neighbours.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await add(world, *(f"person{n}" for n in range(99)))
        await world.db.execute("insert into app.people (email) values ('nameless@x.test')")
        await world.quiet()
        assert len(await persons(world)) == 99
        told = await _told(world, "explain", "people", "100")
        (line,) = [each for each in told["failures"].out.splitlines() if each.split()[1:2] == ["test/people"]]
        assert "refused" in line
        assert "parked: refused" in told["this"].out
        await world.db.execute("update app.people set first = 'Named' where id = 100")
        await world.idle()
        assert len(await persons(world)) == 100


async def test_a_reference_to_a_parent_that_never_comes(database: str, tmp_path: Path) -> None:
    """The company is filtered out: the contact goes without it, the offer that needs it waits, and both say for whom.

    Fails when a child waits without a word, goes wrong, or keeps `wait` from ending.
    """
    async with rig(database, tmp_path / "set", PARENTS, FAMILY) as world:
        await world.start()
        await world.db.execute("insert into app.companies values (5, 'Ltd', 'supplier'), (6, 'Inc', 'customer')")
        await world.db.execute("insert into app.contacts values (1, 'Ann', 5), (2, 'Bob', 6)")
        await world.db.execute("insert into app.offers values (1, 'Stuck', 5), (2, 'Free', 6)")
        await world.quiet()
        assert sorted(person["name"] for person in await persons(world)) == ["Ann", "Bob"]
        assert [deal["title"] for deal in await world.crm("GET", "/api/v2/deals")] == ["Free"]
        told = await _told(world, "explain", "offer", "1")
        assert ["contact", "parent_unavailable", "1"] in _words(told["status"])
        assert "waits for company 5 (row)" in told["this"].out
        assert "held value org_id: parent_unavailable" in (await command(world, "explain", "contact", "1")).out
        assert "1 waiting" in told["wait"].err
        await world.db.execute("update app.companies set kind = 'customer' where id = 5")
        await world.quiet()
        assert sorted(deal["title"] for deal in await world.crm("GET", "/api/v2/deals")) == ["Free", "Stuck"]
        assert all(person["org_id"] for person in await persons(world))


async def _told(world: Rig, *explain: str) -> dict[str, Done]:
    """What four commands say at once; `wait` ends, whatever needs a person."""
    found = await asyncio.gather(
        command(world, "failures", "list"),
        command(world, "status"),
        command(world, "wait", "--timeout", "30"),
        command(world, *explain),
    )
    assert [done.code for done in found] == [0, 0, 0, 0], [done.err for done in found]
    return dict(zip(("failures", "status", "wait", "this"), found, strict=True))


def _words(done: Done) -> list[list[str]]:
    return [line.split() for line in done.out.splitlines() if line]


async def _tier(world: Rig, *labels: str) -> dict[str, Any]:
    options = [{"label": label} for label in labels]
    body = {"field_name": "Tier", "field_type": "enum", "options": options}
    made: dict[str, Any] = await world.crm("POST", "/api/v2/personFields", body)
    return made
