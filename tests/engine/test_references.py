"""References: parents before children, on the way there and back; what happens to a child whose parent does not come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from connector.store import report
from tests.engine.rig import Rig, rig

TABLES: Final = """
create schema app;
create table app.companies (id bigint generated always as identity primary key, name text, status text default 'ok');
create table app.contacts (id bigint generated always as identity primary key, name text, company_id bigint,
  boss_id bigint);
create table app.deals (id bigint generated always as identity primary key, title text, contact_id bigint not null,
  company_id bigint);
"""
COMPANY: Final = """
object: organization
table: app.companies
key: id
direction: both
only: {send: {status: {not: secret}}, receive: {name: {not: Hidden}}}
fields:
  - {column: name, crm: name}
"""
CONTACT: Final = """
object: person
table: app.contacts
key: id
direction: both
fields:
  - {column: name, crm: name}
  - {column: company_id, crm: org_id, link: company}
"""
DEAL: Final = """
object: deal
table: app.deals
key: id
direction: both
fields:
  - {column: title, crm: title}
  - {column: contact_id, crm: person_id, link: contact}
  - {column: company_id, crm: org_id, link: company}
"""
FILES: Final = {"company.yaml": COMPANY, "contact.yaml": CONTACT, "deal.yaml": DEAL}
FAMILY: Final = """
with company as (insert into app.companies (name) select 'company ' || n from generate_series(1, $1) n returning id),
     contact as (insert into app.contacts (name, company_id) select 'contact ' || id, id from company returning id, company_id)
insert into app.deals (title, contact_id, company_id) select 'deal ' || company_id, id, company_id from contact
"""


async def _all(world: Rig, path: str, name: str = "name") -> dict[str, dict[str, Any]]:
    return {record[name]: record for record in await world.crm("GET", f"/api/v2/{path}", limit=500)}


async def _left(world: Rig) -> list[tuple[str, str, str | None]]:
    """(state, cause, object of the record that is waited for) of what is not done."""
    rows = await world.db.fetch(
        """select w.state, w.cause, p.object from connector.work w left join connector.link p on p.id = w.waiting_for
           order by w.link_id"""
    )
    return [tuple(row) for row in rows]


async def test_a_family_of_rows_goes_to_the_crm_with_its_references(database: str, tmp_path: Path) -> None:
    """Company, contact and deal of one statement: every child refers to the record that its parent became."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        await world.start()
        await world.db.execute(FAMILY, 20)
        await world.idle()
        organizations, persons = await _all(world, "organizations"), await _all(world, "persons")
        deals = await _all(world, "deals", "title")
        assert (len(organizations), len(persons), len(deals)) == (20, 20, 20)
        for n in range(1, 21):
            organization = organizations[f"company {n}"]["id"]
            assert persons[f"contact {n}"]["org_id"] == organization
            assert deals[f"deal {n}"]["org_id"] == organization
            assert deals[f"deal {n}"]["person_id"] == persons[f"contact {n}"]["id"]


async def test_a_family_of_records_becomes_rows_with_their_references(database: str, tmp_path: Path) -> None:
    """Organization, person and deal made in the CRM: every row refers to its parent's row, required ones included."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        await world.start()
        organization = await world.crm("POST", "/api/v2/organizations", {"name": "Acme"})
        person = await world.person(name="Ada", org_id=organization["id"])
        await world.crm(
            "POST", "/api/v2/deals", {"title": "Rollout", "org_id": organization["id"], "person_id": person["id"]}
        )
        await world.idle()
        row = await world.db.fetchrow(
            """select c.name as company, p.name as contact, o.name as direct from app.deals d
               join app.contacts p on p.id = d.contact_id join app.companies c on c.id = p.company_id
               join app.companies o on o.id = d.company_id"""
        )
        assert row is not None
        assert tuple(row) == ("Acme", "Ada", "Acme")


async def test_references_are_changed_and_cleared_on_both_sides(database: str, tmp_path: Path) -> None:
    """A contact changes its company in the app, then in the CRM, then leaves it."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        await world.start()
        await world.db.execute("insert into app.companies (name) values ('one'), ('two')")
        await world.db.execute("insert into app.contacts (name, company_id) values ('Ada', 1)")
        await world.idle()
        organizations = await _all(world, "organizations")
        await world.db.execute("update app.contacts set company_id = 2")
        await world.idle()
        person = (await _all(world, "persons"))["Ada"]
        assert person["org_id"] == organizations["two"]["id"]
        await world.crm("PATCH", f"/api/v2/persons/{person['id']}", {"org_id": organizations["one"]["id"]})
        await world.idle()
        assert await world.db.fetchval("select company_id from app.contacts") == 1
        await world.db.execute("update app.contacts set company_id = null")
        await world.idle()
        assert (await _all(world, "persons"))["Ada"]["org_id"] is None


async def test_a_child_goes_without_a_parent_that_is_filtered(database: str, tmp_path: Path) -> None:
    """The company is not sent: the contact goes without it, its reference is held; once the company passes, it follows."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        await world.start()
        await world.db.execute("insert into app.companies (name, status) values ('Quiet', 'secret')")
        await world.db.execute("insert into app.contacts (name, company_id) values ('Ada', 1)")
        await world.idle()
        assert (await _all(world, "persons"))["Ada"]["org_id"] is None
        held = await world.db.fetchval("select held_values from connector.link_status where mapping = 'contact'")
        assert json.loads(held) == {"org_id": "parent_unavailable"}
        await world.db.execute("update app.companies set status = 'ok'")
        await world.idle()
        organization = (await _all(world, "organizations"))["Quiet"]
        assert (await _all(world, "persons"))["Ada"]["org_id"] == organization["id"]
        held = await world.db.fetchval("select held_values from connector.link_status where mapping = 'contact'")
        assert held == "{}"


async def test_a_required_parent_is_waited_for(database: str, tmp_path: Path) -> None:
    """A deal needs its contact's row: while the person is not received the deal waits, and comes when it is.

    Nobody else waits for it: `connector wait` tells of it and is done.
    """
    only = "only: {receive: {name: {not: Hidden}}}\nfields:"
    files = {**FILES, "contact.yaml": CONTACT.replace("fields:", only)}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        await world.start()
        person = await world.person(name="Hidden")
        await world.crm("POST", "/api/v2/deals", {"title": "Rollout", "person_id": person["id"]})
        await world.idle()
        assert await _left(world) == [("waiting", "parent_unavailable", "person")]
        assert (await report.needs_person(world.db, report.Now("test", world.clock.now())))["waiting"] == 1  # type: ignore[arg-type]
        assert await world.db.fetchval("select count(*) from app.deals") == 0
        await world.crm("PATCH", f"/api/v2/persons/{person['id']}", {"name": "Shown"})
        await world.idle()
        assert (
            await world.db.fetchval("select p.name from app.deals d join app.contacts p on p.id = d.contact_id")
            == "Shown"
        )


async def test_a_required_parent_that_nobody_has_is_waited_for(database: str, tmp_path: Path) -> None:
    """The row's contact does not exist (no foreign key guards it): the deal waits, and goes as soon as it does."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        await world.start()
        await world.db.execute("insert into app.deals (title, contact_id) values ('Rollout', 2)")
        await world.idle()
        assert await _left(world) == [("waiting", "parent_unavailable", None)]
        await world.db.execute("insert into app.contacts (name) values ('Bob'), ('Ada')")
        await world.idle()
        (deal,) = await world.crm("GET", "/api/v2/deals")
        assert deal["person_id"] == (await _all(world, "persons"))["Ada"]["id"]
        assert await world.db.fetchval("select count(*) from connector.reference") == 0


async def test_references_to_a_deleted_record(database: str, tmp_path: Path) -> None:
    """The deal's person and organization were deleted: what can do without comes without, what cannot is parked.

    Restored, both follow.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        organization = await world.crm("POST", "/api/v2/organizations", {"name": "Acme"})
        person = await world.person(name="Ada", org_id=organization["id"])
        both = {"org_id": organization["id"], "person_id": person["id"]}
        await world.crm("POST", "/api/v2/deals", {"title": "Rollout", **both})
        await world.person(name="Bob", org_id=organization["id"])
        for path in (f"persons/{person['id']}", f"organizations/{organization['id']}"):
            await world.crm("DELETE", f"/api/v2/{path}")
        await world.start()
        await world.idle()
        assert await _left(world) == [("parked", "parent_gone", None)]
        assert await world.db.fetchval("select count(*) from app.deals") == 0
        assert [tuple(row) for row in await world.db.fetch("select name, company_id from app.contacts")] == [
            ("Bob", None)
        ]
        held = await world.db.fetchval("select held_values from connector.link_status where mapping = 'contact'")
        assert json.loads(held) == {"org_id": "parent_gone"}
        for path in (f"persons/{person['id']}", f"organizations/{organization['id']}"):
            await world.control("POST", f"restore/{path}")
        await world.idle()
        assert await _left(world) == []
        assert await world.db.fetchval("select count(company_id) from app.contacts") == 2
        deal = await world.db.fetchrow(
            "select p.name, company_id from (select * from app.deals) d join app.contacts p using (company_id)"
            " where p.id = d.contact_id"
        )
        assert deal is not None
        assert tuple(deal) == ("Ada", 1)


async def test_what_is_read_while_a_change_is_under_way(database: str, tmp_path: Path) -> None:
    """It counts as read when that change began, since what the change brings cannot be seen before its end.

    Fails when a child that looks for its parent during the parent's commit takes itself to be the later one.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        context = world.daemon.running["test"].context if world.daemon is not None else None
        assert context is not None
        async with context.change() as db:
            began = context.reading_since()
            changed_at = await db.fetchval("select clock_timestamp()")
            assert began < changed_at
            assert context.reading_since() == began
        assert context.reading_since() > changed_at


async def test_a_pair_keeps_its_parent_when_the_new_one_is_deleted(database: str, tmp_path: Path) -> None:
    """The deal is moved to a person who is gone: the row keeps the contact that it needs, the rest of the deal goes on."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        gone = await world.person(name="Gone")
        await world.crm("DELETE", f"/api/v2/persons/{gone['id']}")
        await world.start()
        person = await world.person(name="Ada")
        deal = await world.crm("POST", "/api/v2/deals", {"title": "Rollout", "person_id": person["id"]})
        await world.idle()
        await world.control("POST", "webhooks", {"drop": 1.0})
        await world.control("POST", f"restore/persons/{gone['id']}")
        await world.crm("PATCH", f"/api/v2/deals/{deal['id']}", {"title": "Later", "person_id": gone["id"]})
        await world.crm("DELETE", f"/api/v2/persons/{gone['id']}")
        await world.quiet()
        row = await world.db.fetchrow(
            "select d.title, p.name from app.deals d join app.contacts p on p.id = contact_id"
        )
        assert row is not None
        assert (tuple(row), await _left(world)) == (("Later", "Ada"), [])


async def test_a_reference_to_nothing_keeps_nobody(database: str, tmp_path: Path) -> None:
    """A key without a row, or no key at all (no foreign key guards it): the child goes without it; later it follows."""
    tables = TABLES.replace("name text, company_id bigint,", "name text, company_id text,")
    async with rig(database, tmp_path / "set", FILES, tables, webhooks=True) as world:
        await world.start()
        await world.db.execute(
            "insert into app.contacts (name, company_id) values ('Ada', '2'), ('Bob', 'none'), ('Eve', repeat('9', 30))"
        )
        await world.idle()
        assert {person["org_id"] for person in (await _all(world, "persons")).values()} == {None}
        await world.db.execute("insert into app.companies (name) values ('one'), ('two')")
        await world.idle()
        organization = (await _all(world, "organizations"))["two"]
        persons = await _all(world, "persons")
        assert {name: p["org_id"] for name, p in persons.items()} == {
            "Ada": organization["id"],
            "Bob": None,
            "Eve": None,
        }


async def test_a_reference_to_what_nobody_can_see_keeps_nobody(database: str, tmp_path: Path) -> None:
    """The person's organization does not answer: the row comes without it, and gets it once it answers."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        organization = await world.crm("POST", "/api/v2/organizations", {"name": "Acme"})
        await world.control("POST", "visibility", {"records": [["organization", organization["id"]]]})
        await world.start()
        users = await world.control("GET", "tokens")
        headers = {"x-api-token": users[1]["token"]}
        body = {"name": "Ada", "org_id": organization["id"]}
        async with world.http.post(f"{world.sandbox.url}/api/v2/persons", json=body, headers=headers) as answer:
            assert answer.status < 300
        await world.idle()
        assert await world.db.fetchval("select company_id from app.contacts where name = 'Ada'") is None
        seen = {"records": [["organization", organization["id"]]], "hidden": False}
        await world.control("POST", "visibility", seen)
        await world.crm("PATCH", f"/api/v2/organizations/{organization['id']}", {"name": "Acme Ltd"})
        await world.idle()
        assert await world.db.fetchval("select company_id from app.contacts where name = 'Ada'") == 1


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "sweeps"])
async def test_a_row_comes_back_with_its_record_and_its_references(
    database: str, tmp_path: Path, *, webhooks: bool
) -> None:
    """`receive: delete`: restored in the CRM, company and contact are back under their keys, and what named them fits."""
    head = "deletes: {receive: delete}\nfields:"
    files = {
        **FILES,
        "company.yaml": COMPANY.replace("fields:", head),
        "contact.yaml": CONTACT.replace("fields:", head),
    }
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        await world.start()
        await world.db.execute(FAMILY, 1)
        await world.quiet()
        paths = ("persons/1", "organizations/1")
        for path in paths:
            await world.crm("DELETE", f"/api/v2/{path}")
        await _heard(world)
        assert await world.db.fetchval("select count(*) from app.contacts natural full join app.companies") == 0
        for path in paths:
            await world.control("POST", f"restore/{path}")
        await world.crm("PATCH", "/api/v2/persons/1", {"name": "Back"})
        await _heard(world)
        row = await world.db.fetchrow(
            """select d.contact_id, p.name, p.company_id, c.name as company from app.deals d
               join app.contacts p on p.id = d.contact_id join app.companies c on c.id = p.company_id"""
        )
        assert row is not None
        assert tuple(row) == (1, "Back", 1, "company 1")
        await world.db.execute("update app.contacts set name = 'Edited'")
        await world.quiet()
        assert {name: p["org_id"] for name, p in (await _all(world, "persons")).items()} == {"Edited": 1}


async def _heard(world: Rig) -> None:
    """Everything is heard of: by webhooks where there are some, else by sweeps."""
    if world.port is None:
        await world.ask("sweep", {"kind": "full"})
        await world.quiet()
    await world.idle()


async def test_a_reference_to_a_deleted_parent_is_not_sent(database: str, tmp_path: Path) -> None:
    """The organization was deleted in the CRM, its row stayed: a new contact of that row goes without it."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        await world.start()
        await world.db.execute("insert into app.companies (name) values ('Gone')")
        await world.idle()
        organization = (await _all(world, "organizations"))["Gone"]
        await world.crm("DELETE", f"/api/v2/organizations/{organization['id']}")
        await world.idle()
        await world.db.execute("insert into app.contacts (name, company_id) values ('Ada', 1)")
        await world.idle()
        assert (await _all(world, "persons"))["Ada"]["org_id"] is None
        assert await world.db.fetchval("select company_id from app.contacts") == 1


@pytest.mark.parametrize("direction", ["both", "send"])
@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "sweeps"])
async def test_who_refers_to_a_row_follows_it_to_its_new_record(
    database: str, tmp_path: Path, direction: str, *, webhooks: bool
) -> None:
    """The organization is deleted, its row stays; somebody makes it again, and the row gets the new one.

    Fails when only the row's value counts, which is what it was: the person stays with an organization that is gone
    (simulation, seed 183).
    """
    files = {
        **FILES,
        "company.yaml": COMPANY.replace("fields:", "match: [name]\nfields:"),
        "contact.yaml": CONTACT.replace("link: company}", f"link: company, direction: {direction}}}"),
    }
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        await world.start()
        await world.db.execute(FAMILY, 1)
        await world.quiet()
        await world.crm("DELETE", "/api/v2/organizations/1")
        await _heard(world)
        again = await world.crm("POST", "/api/v2/organizations", {"name": "company 1"})
        await _heard(world)
        assert await world.db.fetchval("select count(*) from app.companies") == 1
        assert await _organization_of(world, "contact 1") == again["id"]
        assert (await _all(world, "deals", "title"))["deal 1"]["org_id"] == again["id"]
        assert await world.db.fetchval("select company_id from app.contacts") == 1
        await world.quiet()
        assert (await _left(world), await world.db.fetchval("select held from connector.link where held <> '{}'")) == (
            [],
            None,
        )


async def _organization_of(world: Rig, name: str) -> int | None:
    """What the person of that name refers to."""
    found: int | None = (await _all(world, "persons"))[name]["org_id"]
    return found


async def test_a_child_that_moves_to_a_deleted_parent_leaves_the_old_one(database: str, tmp_path: Path) -> None:
    """Nobody has told us that the organization is gone, so the CRM refuses it as the contact's new one.

    Once we know, the person belongs to none: the old one, which the app has left, would be wrong. When the organization
    lives again and is paired again the person follows there.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await world.db.execute("insert into app.companies (name) values ('old'), ('new')")
        await world.db.execute("insert into app.contacts (name, company_id) values ('Ada', 1)")
        await world.quiet()
        new = (await _all(world, "organizations"))["new"]["id"]
        await world.crm("DELETE", f"/api/v2/organizations/{new}")
        await world.db.execute("update app.contacts set company_id = 2")

        async def held() -> str:
            found: str = await world.db.fetchval("select held from connector.link where mapping = 'contact'")
            return found if found != "{}" else ""

        assert json.loads(await world.until(held)) == {"org_id": "refused"}
        await world.ask("sweep", {"kind": "full"})
        await world.idle()
        assert await _organization_of(world, "Ada") is None
        assert json.loads(await held()) == {"org_id": "parent_gone"}
        await world.control("POST", f"restore/organization/{new}")
        await world.ask("sync", {"mapping": "company", "key": "2"})  # `unlink` keeps them apart until then
        await world.idle()
        assert await _organization_of(world, "Ada") == new
        assert await world.db.fetchval("select company_id from app.contacts") == 2


async def test_records_that_refer_to_each_other(database: str, tmp_path: Path) -> None:
    """A cycle (a contact's boss is a contact): both are made, the references follow."""
    files = {
        **FILES,
        "contact.yaml": CONTACT + "  - {column: boss_id, crm: Boss, link: contact}\n",
    }
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        field = await world.crm("POST", "/api/v2/personFields", {"field_name": "Boss", "field_type": "people"})
        await world.start()
        await world.db.execute("insert into app.contacts (name, boss_id) values ('Ada', 2), ('Bob', 1), ('Eve', 3)")
        await world.idle()
        persons = await _all(world, "persons")
        bosses = {name: person["custom_fields"][field["field_code"]] for name, person in persons.items()}
        ids = {name: person["id"] for name, person in persons.items()}
        assert bosses == {"Ada": ids["Bob"], "Bob": ids["Ada"], "Eve": ids["Eve"]}


async def test_a_record_that_its_mapping_never_takes_in_is_not_waited_for(database: str, tmp_path: Path) -> None:
    """Companies are only sent: a person of somebody else's organization arrives without one, and nothing stays undone."""
    files = {"company.yaml": COMPANY.replace("both", "send"), "contact.yaml": CONTACT}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        await world.start()
        organization = await world.crm("POST", "/api/v2/organizations", {"name": "Not ours"})
        person = await world.person(name="Ada", org_id=organization["id"])
        await world.quiet()
        row = await world.db.fetchrow("select * from app.contacts")
        assert row is not None
        assert (row["name"], row["company_id"]) == ("Ada", None)
        ours = await world.db.fetchval("insert into app.companies (name) values ('Ours') returning id")
        await world.quiet()
        mine = (await _all(world, "organizations"))["Ours"]["id"]
        await world.crm("PATCH", f"/api/v2/persons/{person['id']}", {"org_id": mine})
        await world.quiet()
        assert await world.db.fetchval("select company_id from app.contacts") == ours


async def test_who_refers_to_a_row_that_was_put_back_follows_it(database: str, tmp_path: Path) -> None:
    """The app deletes a company, and its organization goes with it; the row is back under its key: it gets another one.

    No foreign key guards the references: the contact still names the row.
    """
    files = {**FILES, "company.yaml": COMPANY.replace("fields:", "deletes: {send: delete}\nfields:")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        await world.start()
        await world.db.execute(FAMILY, 1)
        await world.quiet()
        await world.db.execute("delete from app.companies")
        await world.idle()
        assert await _all(world, "organizations") == {}
        await world.db.execute("insert into app.companies (id, name) overriding system value values (1, 'Back')")
        await world.idle()
        again = (await _all(world, "organizations"))["Back"]["id"]
        assert await _organization_of(world, "contact 1") == again
        assert (await _all(world, "deals", "title"))["deal 1"]["org_id"] == again
        assert await world.db.fetchval("select company_id from app.contacts") == 1
        assert await _left(world) == []
