"""`only`, `on_leave` and `backfill`: which rows and records take part, and what happens when one leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import Rig, rig

TABLES = """
create schema app;
create table app.companies (id bigint generated always as identity primary key, name text);
create table app.contacts (id bigint generated always as identity primary key, email text, name text, status text,
  company_id bigint, made_at timestamptz not null default now(), archived_at timestamptz, source text);
"""
COMPANY = """
object: organization
table: app.companies
key: id
direction: both
match: [name]
only: {send: {name: {not: [secret]}}}
fields:
  - {column: name, crm: name}
"""


def _contact(head: str) -> str:
    return f"""
object: person
table: app.contacts
key: id
direction: both
match: [email]
{head}
fields:
  - {{column: email, crm: emails, as: primary}}
  - {{column: name, crm: name}}
  - {{column: company_id, crm: org_id, link: company}}
"""


async def _add(world: Rig, name: str, status: str | None = "lead", company: int | None = None) -> int:
    """A row; its key."""
    key: int = await world.db.fetchval(
        "insert into app.contacts (email, name, status, company_id) values ($1 || '@x.test', $1, $2, $3) returning id",
        name, status, company,
    )  # fmt: skip
    return key


async def _persons(world: Rig) -> dict[str, dict[str, Any]]:
    return {person["name"]: person for person in await world.crm("GET", "/api/v2/persons")}


async def _rows(world: Rig) -> dict[str, dict[str, Any]]:
    return {row["name"]: dict(row) for row in await world.db.fetch("select * from app.contacts")}


async def _person(world: Rig, name: str, **fields: Any) -> dict[str, Any]:
    emails = [{"value": f"{name}@x.test", "primary": True}]
    return await world.person(name=name, emails=emails, **fields)


async def _edit(world: Rig, person: dict[str, Any], **fields: Any) -> None:
    await world.crm("PATCH", f"/api/v2/persons/{person['id']}", fields)


async def test_only_rows_and_records_that_pass_are_made(database: str, tmp_path: Path) -> None:
    """Each test of `only`, on either side: what does not pass stays where it is; what passes later is made then."""
    only = "only: {receive: {org_id: present, owner_id: [admin@sandbox.test]}, send: {status: [lead, customer]}}"
    files = {"contact.yaml": _contact(only), "company.yaml": COMPANY}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        user = (await world.crm("GET", "/api/v1/users"))[0]
        text = _contact(only.replace("admin@sandbox.test", user["email"]))
        (tmp_path / "set" / "contact.yaml").write_text(text, encoding="utf-8")
        organization = await world.crm("POST", "/api/v2/organizations", {"name": "Acme"})
        await world.start()
        for name, status in (("lead", "lead"), ("customer", "customer"), ("staff", "staff"), ("nobody", None)):
            await _add(world, name, status)
        await _person(world, "with", org_id=organization["id"])
        without = await _person(world, "without")
        await world.quiet()
        assert set(await _persons(world)) == {"lead", "customer", "with", "without"}
        assert set(await _rows(world)) == {"lead", "customer", "staff", "nobody", "with"}
        await world.db.execute("update app.contacts set status = 'lead' where name = 'staff'")
        await _edit(world, without, org_id=organization["id"])
        await world.quiet()
        assert "staff" in await _persons(world)
        assert "without" in await _rows(world)


async def test_only_in_another_mapping(database: str, tmp_path: Path) -> None:
    """`{in: company}`: only persons of an organization that has a row, only rows of a company that is in the CRM."""
    only = "only: {receive: {org_id: {in: company}}, send: {company_id: {in: company}}}"
    files = {"contact.yaml": _contact(only), "company.yaml": COMPANY}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        known = await world.crm("POST", "/api/v2/organizations", {"name": "Acme"})
        await world.start()
        await world.quiet()
        acme = await world.db.fetchval("select id from app.companies")
        secret = await world.db.fetchval("insert into app.companies (name) values ('secret') returning id")
        await world.quiet()
        await _add(world, "row of acme", company=acme)
        await _add(world, "row of secret", company=secret)
        await _add(world, "row of nobody")
        await _person(world, "person of acme", org_id=known["id"])
        await _person(world, "person of nobody")
        await world.quiet()
        assert set(await _persons(world)) == {"row of acme", "person of acme", "person of nobody"}
        assert set(await _rows(world)) == {"row of acme", "row of secret", "row of nobody", "person of acme"}


async def test_a_pair_that_was_parted_is_nobodys_parent(database: str, tmp_path: Path) -> None:
    """`{in: company}`: a company whose organization was deleted and whose row stays is no record of the mapping any more.

    Fails when whatever once was a pair counts.
    """
    only = "only: {receive: {org_id: {in: company}}, send: {company_id: {in: company}}}"
    files = {"contact.yaml": _contact(only), "company.yaml": COMPANY}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        known = await world.crm("POST", "/api/v2/organizations", {"name": "Acme"})
        await world.start()
        await world.quiet()
        acme = await world.db.fetchval("select id from app.companies")
        await world.crm("DELETE", f"/api/v2/organizations/{known['id']}")
        await world.idle()
        await _add(world, "row of acme", company=acme)
        await world.quiet()
        assert set(await _persons(world)) == set()
        await world.control("POST", f"restore/organizations/{known['id']}")
        await world.ask("sync", {"mapping": "company", "key": str(acme)})
        await world.quiet()
        assert set(await _persons(world)) == {"row of acme"}


async def test_what_passes_once_its_parent_does(database: str, tmp_path: Path) -> None:
    """`{in: company}`, and both come at once or the company later: nobody waits for the next full sweep."""
    only = "only: {receive: {org_id: {in: company}}, send: {company_id: {in: company}}}"
    narrow = COMPANY.replace("only: {send:", "only: {receive: {name: {not: [hidden]}}, send:")
    files = {"contact.yaml": _contact(only), "company.yaml": narrow}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        await world.start()
        hidden = await world.crm("POST", "/api/v2/organizations", {"name": "hidden"})
        await _person(world, "person of hidden", org_id=hidden["id"])
        async with world.db.transaction():
            acme = await world.db.fetchval("insert into app.companies (name) values ('Acme') returning id")
            secret = await world.db.fetchval("insert into app.companies (name) values ('secret') returning id")
            await _add(world, "row of acme", company=acme)
            await _add(world, "row of secret", company=secret)
        await world.idle()
        assert set(await _persons(world)) == {"person of hidden", "row of acme"}
        assert set(await _rows(world)) == {"row of acme", "row of secret"}
        await world.db.execute("update app.companies set name = 'known' where id = $1", secret)
        await world.crm("PATCH", f"/api/v2/organizations/{hidden['id']}", {"name": "shown"})
        await world.idle()
        everybody = {"person of hidden", "row of acme", "row of secret"}
        assert (set(await _persons(world)), set(await _rows(world))) == (everybody, everybody)


LEAVE = pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("freeze", {"side": (True, True), "row": ("lead", None), "back": "edited"}),
        ("unlink", {"side": (True, True), "row": ("lead", None), "back": "lead"}),
        ("delete", {"side": (True, False), "row": ("lead", "archived"), "back": "edited"}),
    ],
    ids=["freeze", "unlink", "delete"],
)


@LEAVE
async def test_a_pair_that_leaves_the_filter(
    database: str, tmp_path: Path, policy: str, expected: dict[str, Any]
) -> None:
    """freeze: both stay, edits wait until it comes back; unlink: both stay, apart for good; delete: as `deletes` says."""
    head = (
        f"only: {{send: {{status: [lead]}}, receive: {{org_id: absent}}}}\non_leave: {policy}\n"
        "deletes: {receive: {set: {archived_at: now, source: gone}}, send: delete}"
    )
    files = {"contact.yaml": _contact(head), "company.yaml": COMPANY}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        organization = await world.crm("POST", "/api/v2/organizations", {"name": "Acme"})
        await world.start()
        await _add(world, "app leaves")
        await _add(world, "crm leaves")
        await world.quiet()
        people = await _persons(world)
        await world.db.execute("update app.contacts set status = 'staff' where name = 'app leaves'")
        await _edit(world, people["crm leaves"], org_id=organization["id"])
        await world.quiet()
        await world.quiet()
        assert ("crm leaves" in await _persons(world), "app leaves" in await _persons(world)) == expected["side"]
        row = (await _rows(world))["crm leaves"]
        assert (row["status"], row["archived_at"] and "archived") == expected["row"]
        await world.db.execute("update app.contacts set email = 'edited@x.test' where name = 'crm leaves'")
        await world.quiet()
        assert (await _persons(world))["crm leaves"]["emails"][0]["value"] == "crm leaves@x.test"
        revived = await world.db.fetchval("select count(*) from connector.journal where reason = 'alive_again'")
        assert revived == 0
        await _edit(world, people["crm leaves"], org_id=None)
        await world.quiet()
        mail = (await _persons(world))["crm leaves"]["emails"][0]["value"]
        assert mail == ("edited@x.test" if expected["back"] == "edited" else "crm leaves@x.test")
        row = (await _rows(world))["crm leaves"]
        assert (row["archived_at"], row["source"]) == (None, None)


BACKFILL = pytest.mark.parametrize(
    ("backfill", "sent"),
    [
        ("backfill: all", {"old", "new"}),
        ("backfill: none", {"new"}),
        ("updated_at: made_at\nbackfill: {since: 2026-01-01}", {"new", "recent"}),
    ],
    ids=["all", "none", "since"],
)


@BACKFILL
async def test_old_rows_are_sent_as_backfill_says(database: str, tmp_path: Path, backfill: str, sent: set[str]) -> None:
    """Rows older than the triggers; a later edit sends an old row whatever `backfill` says."""
    files = {"contact.yaml": _contact(backfill), "company.yaml": COMPANY}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        await _add(world, "old")
        await world.db.execute("update app.contacts set made_at = '2020-01-01'")
        if "recent" in sent:
            await _add(world, "recent")
        await world.start()
        await _add(world, "new")
        await world.quiet()
        await world.ask("sweep", {"kind": "full"})
        await world.quiet()
        assert set(await _persons(world)) == sent
        await world.db.execute("update app.contacts set email = 'later@x.test' where name = 'old'")
        await world.quiet()
        assert set(await _persons(world)) == sent | {"old"}
