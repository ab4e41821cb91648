"""Values of every kind, end to end: from the row to the CRM, back after an edit there, and back again."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.engine.rig import Rig, rig

TABLES: Final = """
create schema app;
create table app.companies (id bigint generated always as identity primary key, name text);
create table app.people (id bigint generated always as identity primary key, name text, crm_id bigint);
create table app.deals (id bigint generated always as identity primary key, title text, crm_id bigint,
  amount numeric(14, 2), currency text, state text not null default 'open', step text, closes date, owner text,
  company_id bigint, job text, essay text, score numeric, arr numeric(14, 2), arr_currency text, phone text, tier text,
  topics text[], starts date, manager text, partner_id bigint, chief_id bigint, headline text, source text,
  made_at timestamptz);
"""
CUSTOM: Final[dict[str, tuple[str, list[str]]]] = {
    "Job": ("varchar", []),
    "Essay": ("text", []),
    "Score": ("double", []),
    "ARR": ("monetary", []),
    "Desk phone": ("phone", []),
    "Tier": ("enum", ["Gold", "Silver"]),
    "Topics": ("set", ["Prices", "Events", "Product"]),
    "Starts": ("date", []),
    "Manager": ("user", []),
    "Partner": ("org", []),
    "Chief": ("people", []),
    "Summary": ("varchar", []),
    "Origin": ("varchar", []),
}
DEAL: Final = """
object: deal
table: app.deals
key: id
direction: both
match: [title]
set: {crm: {Origin: connector}, app: {source: pipedrive, made_at: now}}
fields:
  - {column: title, crm: title}
  - {column: crm_id, crm: id}
  - {column: [amount, currency], crm: [value, currency], as: money}
  - {column: state, crm: status, values: {open: open, won: won, gone: lost}}
  - {column: step, crm: stage_id, values: {new: Pipeline / Lead in, shown: Pipeline / Demo scheduled}}
  - {column: closes, crm: expected_close_date}
  - {column: owner, crm: owner_id, as: user_email}
  - {column: company_id, crm: org_id, link: company}
  - {column: job, crm: Job}
  - {column: essay, crm: Essay}
  - {column: score, crm: Score}
  - {column: [arr, arr_currency], crm: ARR, as: money}
  - {column: phone, crm: Desk phone}
  - {column: tier, crm: Tier, values: {gold: Gold, silver: Silver}}
  - {column: topics, crm: Topics, values: {p: Prices, e: Events, x: Product}}
  - {column: starts, crm: Starts}
  - {column: manager, crm: Manager, as: user_email}
  - {column: partner_id, crm: Partner, link: company}
  - {column: chief_id, crm: Chief, link: person}
  - {column: "{{ title }} for {{ amount }}", crm: Summary}
  - {column: headline, crm: "{{ title }} / {{ status }}"}
"""
COMPANY: Final = """
object: organization
table: app.companies
key: id
direction: both
match: [name]
fields:
  - {column: name, crm: name}
"""
PERSON: Final = """
object: person
table: app.people
key: id
direction: both
fields:
  - {column: name, crm: name}
  - {column: crm_id, crm: id}
"""
FILES: Final = {"deal.yaml": DEAL, "company.yaml": COMPANY, "person.yaml": PERSON}
FIRST: Final[dict[str, Any]] = {
    "title": "Rollout", "amount": Decimal("1200.50"), "currency": "EUR", "state": "open", "step": "new",
    "closes": date(2027, 3, 1), "company_id": 1, "job": "CEO", "essay": "one\ntwo", "score": Decimal("7.25"),
    "arr": Decimal("99.90"), "arr_currency": "USD", "phone": "+48 22 1", "tier": "gold", "topics": ["p", "e"],
    "starts": date(2027, 4, 1), "partner_id": 2, "chief_id": 1,
}  # fmt: skip


class Account:
    """The made-up account: what its custom fields and options are called there."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.options: dict[str, int] = {}
        self.users: list[dict[str, Any]] = []

    @classmethod
    async def made(cls, world: Rig) -> Account:
        """Custom fields of every type on deals."""
        made = cls()
        for name, (kind, labels) in CUSTOM.items():
            body = {"field_name": name, "field_type": kind}
            options = {"options": [{"label": label} for label in labels]} if labels else {}
            field = await world.crm("POST", "/api/v2/dealFields", {**body, **options})
            made.keys[name] = field["field_code"]
            made.options |= {option["label"]: option["id"] for option in field["options"] or ()}
        made.users = await world.crm("GET", "/api/v1/users")
        return made

    def said(self, record: dict[str, Any]) -> dict[str, Any]:
        """A deal's custom fields by their names."""
        return {name: record["custom_fields"][key] for name, key in self.keys.items()}

    def say(self, **values: Any) -> dict[str, Any]:
        """The body that gives custom fields these values."""
        return {"custom_fields": {self.keys[name.replace("_", " ")]: value for name, value in values.items()}}


async def _row(world: Rig) -> dict[str, Any]:
    found = await world.db.fetchrow("select * from app.deals order by id desc limit 1")
    assert found is not None
    return dict(found)


async def _insert(world: Rig, row: dict[str, Any]) -> None:
    places = ", ".join(f"${n + 1}" for n in range(len(row)))
    await world.db.execute(f"insert into app.deals ({', '.join(row)}) values ({places})", *row.values())


async def _deal(world: Rig) -> dict[str, Any]:
    (found,) = await world.crm("GET", "/api/v2/deals")
    deal: dict[str, Any] = found
    return deal


async def _writes_nothing(world: Rig) -> None:
    """A full sweep finds both sides in agreement."""
    await world.control("DELETE", "stats")
    await world.ask("sweep", {"kind": "full"})
    await world.quiet()
    stats = await world.control("GET", "stats")
    assert {name for name in stats["requests"] if not name.startswith("GET")} == set()


async def test_values_of_every_kind_go_there_and_back(database: str, tmp_path: Path) -> None:
    """A row with all of them becomes a deal; an edit of all of them in the CRM comes back; once more nothing is written."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        account = await Account.made(world)
        await world.db.execute("insert into app.companies (name) values ('Acme'), ('Bolt')")
        await world.db.execute("insert into app.people (name) values ('Ada'), ('Bob')")
        await world.start()
        owner, other = (user["email"] for user in account.users[:2])
        await _insert(world, {**FIRST, "owner": owner, "manager": other})
        await world.quiet()
        deal, row = await _deal(world), await _row(world)
        organizations = {o["name"]: o["id"] for o in await world.crm("GET", "/api/v2/organizations")}
        people = {p["name"]: p["id"] for p in await world.crm("GET", "/api/v2/persons")}
        assert (deal["value"], deal["currency"], deal["status"]) == (1200.5, "EUR", "open")
        assert (deal["expected_close_date"], deal["owner_id"]) == ("2027-03-01", account.users[0]["id"])
        assert deal["org_id"] == organizations["Acme"]
        said = account.said(deal)
        assert {**said, "ARR": None, "Topics": None} == {
            "Job": "CEO", "Essay": "one\ntwo", "Score": 7.25, "ARR": None, "Desk phone": "+48 22 1",
            "Tier": account.options["Gold"], "Topics": None, "Starts": "2027-04-01",
            "Manager": account.users[1]["id"], "Partner": organizations["Bolt"], "Chief": people["Ada"],
            "Summary": "Rollout for 1200.50", "Origin": "connector",
        }  # fmt: skip
        assert (said["ARR"]["value"], said["ARR"]["currency"]) == (99.9, "USD")
        assert set(said["Topics"]) == {account.options["Prices"], account.options["Events"]}
        assert (row["crm_id"], row["headline"]) == (deal["id"], "Rollout / open")
        assert (row["source"], row["made_at"]) == (None, None)

        stages = {stage["name"]: stage["id"] for stage in await world.crm("GET", "/api/v2/stages")}
        edit = {
            "title": "Renewal", "value": 10, "currency": "PLN", "status": "lost", "stage_id": stages["Demo scheduled"],
            "expected_close_date": None, "owner_id": account.users[1]["id"], "org_id": organizations["Bolt"],
            **account.say(
                Job="CTO", Essay="three", Score=0, ARR={"value": 5, "currency": "EUR"}, Desk_phone="2",
                Tier=account.options["Silver"], Topics=[account.options["Product"]], Starts=None,
                Manager=account.users[0]["id"], Partner=organizations["Acme"], Chief=people["Bob"], Origin="elsewhere",
            ),
        }  # fmt: skip
        await world.crm("PATCH", f"/api/v2/deals/{deal['id']}", edit)
        await world.quiet()
        row = await _row(world)
        expected = {
            "title": "Renewal", "amount": Decimal("10.00"), "currency": "PLN", "state": "gone", "step": "shown",
            "closes": None, "owner": other, "company_id": 2, "job": "CTO", "essay": "three", "score": Decimal(0),
            "arr": Decimal("5.00"), "arr_currency": "EUR", "phone": "2", "tier": "silver", "topics": ["x"],
            "starts": None, "manager": owner, "partner_id": 1, "chief_id": 2, "headline": "Renewal / lost",
        }  # fmt: skip
        assert {name: row[name] for name in expected} == expected
        said = account.said(await _deal(world))
        assert (said["Summary"], said["Origin"]) == ("Renewal for 10.00", "connector")
        await _writes_nothing(world)
        assert await _row(world) == row


async def test_a_record_of_the_crm_becomes_a_row_with_what_set_says(database: str, tmp_path: Path) -> None:
    """`set.app` is written when the row is inserted and never again; a received record is as it was found."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        account = await Account.made(world)
        await world.start()
        made = await world.crm(
            "POST", "/api/v2/deals", {"title": "From the CRM", **account.say(Tier=account.options["Gold"])}
        )
        await world.quiet()
        row = await _row(world)
        assert (row["title"], row["tier"], row["source"], row["crm_id"]) == (
            "From the CRM",
            "gold",
            "pipedrive",
            made["id"],
        )
        assert row["made_at"] is not None
        await _writes_nothing(world)
        assert account.said(await _deal(world))["Origin"] is None
        await world.db.execute("update app.deals set source = 'mine'")
        await world.crm("PATCH", f"/api/v2/deals/{made['id']}", {"title": "Later"})
        await world.quiet()
        row = await _row(world)
        assert (row["title"], row["source"]) == ("Later", "mine")
        await _writes_nothing(world)


async def test_now_is_the_moment_when_the_record_is_made(database: str, tmp_path: Path) -> None:
    """`set.crm: {Starts: now}`: the day of the create; a person may move it, and what is cleared is put back."""
    text = DEAL.replace("Origin: connector}", "Origin: connector, Starts: now}")
    text = text.replace("  - {column: starts, crm: Starts}\n", "")
    async with rig(database, tmp_path / "set", {**FILES, "deal.yaml": text}, TABLES) as world:
        account = await Account.made(world)
        await world.start()
        today = world.clock.now().date().isoformat()
        await _insert(world, {"title": "Kick-off"})
        await world.quiet()
        deal = await _deal(world)
        assert account.said(deal)["Starts"] in (today, world.clock.now().date().isoformat())
        await _writes_nothing(world)
        await world.crm("PATCH", f"/api/v2/deals/{deal['id']}", account.say(Starts="2020-01-01"))
        await _writes_nothing(world)
        assert account.said(await _deal(world))["Starts"] == "2020-01-01"
        await world.crm("PATCH", f"/api/v2/deals/{deal['id']}", account.say(Starts=None))
        await world.quiet()
        assert account.said(await _deal(world))["Starts"] is not None


async def test_one_bad_value_is_held_and_the_record_goes_on(database: str, tmp_path: Path) -> None:
    """Unmapped words, unknown options, users and e-mails are held by name; all other fields of the record are written."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        account = await Account.made(world)
        await world.start()
        await _insert(world, {"title": "Odd", "tier": "platinum", "owner": "nobody@x.test", "job": "CEO"})
        await world.quiet()
        deal = await _deal(world)
        assert account.said(deal)["Job"] == "CEO"
        held = json.loads(
            await world.db.fetchval("select held_values from connector.link_status where mapping = 'deal'")
        )
        assert set(held) == {"Tier", "owner_id"}
        options = await world.crm("POST", f"/api/v2/dealFields/{account.keys['Tier']}/options", [{"label": "Bronze"}])
        bronze = next(option["id"] for option in options if option["label"] == "Bronze")
        await world.crm("PATCH", f"/api/v2/deals/{deal['id']}", {"title": "Odder", **account.say(Tier=bronze)})
        await world.quiet()
        row = await _row(world)
        assert (row["title"], row["tier"]) == ("Odder", "platinum")
        await world.crm("PATCH", f"/api/v2/deals/{deal['id']}", account.say(Tier=account.options["Gold"]))
        await world.db.execute("update app.deals set tier = 'gold', owner = $1", account.users[0]["email"])
        await world.quiet()
        assert await world.db.fetchval("select held_values from connector.link_status where mapping = 'deal'") == "{}"
