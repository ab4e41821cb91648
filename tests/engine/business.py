"""A small business on both sides: its tables and mappings, people who edit it at random, and what agreement means.

Every record carries a mark that nobody edits (an e-mail, a name, a title, a call's note), so that a double shows at once.
People edit the CRM past the faults that the connector meets, for their own retries would make doubles.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg

from connector.sandbox.calls import Request
from connector.sandbox.server import Sandbox

TABLES = """
create schema app;
create table app.companies (
  id bigint generated always as identity primary key, name text not null, address text, crm_id bigint,
  archived_at timestamptz);
create table app.contacts (
  id bigint generated always as identity primary key, first text, last text, email text not null, phone text,
  company_id bigint references app.companies, crm_id bigint);
create table app.deals (
  id bigint generated always as identity primary key, title text not null, amount numeric(14, 2), currency text,
  state text not null default 'open', company_id bigint references app.companies,
  contact_id bigint references app.contacts on delete set null, crm_id bigint);
create table app.calls (
  id bigint generated always as identity primary key, state text not null, seconds integer, details text not null,
  contact_id bigint references app.contacts on delete set null, deal_id bigint references app.deals on delete set null);
"""
FILES = {
    "company.yaml": """
object: organization
table: app.companies
key: id
direction: both
match: [name]
deletes: {receive: {set: {archived_at: now}}, send: none}
fields:
  - {column: name, crm: name}
  - {column: address, crm: address}
  - {column: crm_id, crm: id}
""",
    "contact.yaml": """
object: person
table: app.contacts
key: id
direction: both
match: [email]
deletes: {receive: delete, send: delete}
fields:
  - {column: first, crm: first_name}
  - {column: last, crm: last_name}
  - {column: email, crm: emails, as: primary}
  - {column: phone, crm: phones, as: primary}
  - {column: company_id, crm: org_id, link: company}
  - {column: crm_id, crm: id}
""",
    "deal.yaml": """
object: deal
table: app.deals
key: id
direction: both
deletes: {receive: delete, send: delete}
fields:
  - {column: title, crm: title}
  - {column: [amount, currency], crm: [value, currency], as: money}
  - {column: state, crm: status, values: {open: open, won: won, lost: lost}}
  - {column: company_id, crm: org_id, link: company}
  - {column: contact_id, crm: person_id, link: contact}
  - {column: crm_id, crm: id}
""",
    "call.yaml": """
object: activity
table: app.calls
key: id
direction: send
backfill: all
set: {crm: {type: call, done: true}}
fields:
  - {column: "Call, {{ state }}", crm: subject}
  - {column: seconds, crm: duration, as: duration}
  - {column: details, crm: note}
  - {column: contact_id, crm: person_id, link: contact}
  - {column: deal_id, crm: deal_id, link: deal}
""",
}
MAPPINGS = ("company", "contact", "deal", "call")
STATES = ("open", "won", "lost")
PEOPLE = "people"
"""What the calls of people are told by, whose token they may share."""
OBJECTS = {"persons": "person", "organizations": "organization", "deals": "deal"}


@dataclass(slots=True)
class Business:
    """Both sides in the hands of people. The search path of `db` leads to the tables; `trace` tells every edit."""

    db: asyncpg.Connection
    sandbox: Sandbox
    chance: Random
    trace: list[str] = field(default_factory=list)
    marks: int = 0
    apart: set[str] = field(default_factory=set)
    """Marks of what stays on one side only, as the mappings' `deletes` say."""

    async def edit(self) -> None:
        """One random edit on either side."""
        name = self.chance.choices(list(EDITS), [weight for weight, _ in EDITS.values()])[0]
        self.trace.append(name)
        await EDITS[name][1](self)

    def mark(self, kind: str) -> str:
        """A mark that no other record has."""
        self.marks += 1
        return f"{kind} {self.marks}"

    def word(self) -> str | None:
        """Some text, now and then none."""
        return self.chance.choice([None, "Ada", "Zoë", "Łódź", "O'Neil", "名前"]) or None

    def phone(self) -> str | None:
        """A phone number, now and then none."""
        return f"+48 22 555 {self.chance.randrange(1000, 9999)}" if self.chance.random() < 0.8 else None

    # --- the app -----------------------------------------------------------------------------------------------------

    async def key(self, table: str, where: str = "true") -> int | None:
        """A random row of a table."""
        keys = [r["id"] for r in await self.db.fetch(f"select id from {table} where {where} order by id")]
        return self.chance.choice(keys) if keys else None

    async def company(self) -> int | None:
        """A random company that is not archived, now and then none."""
        return await self.key("companies", "archived_at is null") if self.chance.random() < 0.7 else None

    async def insert_company(self) -> int:
        """A company begins in the app."""
        sql = "insert into companies (name, address) values ($1, $2) returning id"
        return int(await self.db.fetchval(sql, self.mark("Org"), self.word()))

    async def insert_contact(self, company: int | None = None) -> int:
        """A contact begins in the app."""
        sql = "insert into contacts (first, last, email, phone, company_id) values ($1, 'Q', $2, $3, $4) returning id"
        mail = f"{self.mark('person').replace(' ', '')}@x.test"
        return int(await self.db.fetchval(sql, self.word(), mail, self.phone(), company or await self.company()))

    async def insert_deal(self, company: int | None = None, contact: int | None = None) -> int:
        """A deal begins in the app."""
        sql = """insert into deals (title, amount, currency, company_id, contact_id)
                 values ($1, $2, 'EUR', $3, $4) returning id"""
        contact = contact or await self.key("contacts")
        return int(
            await self.db.fetchval(sql, self.mark("Deal"), self._amount(), company or await self.company(), contact)
        )

    async def insert_call(self, contact: int | None = None, deal: int | None = None) -> None:
        """Somebody called."""
        sql = "insert into calls (state, seconds, details, contact_id, deal_id) values ('answered', $1, $2, $3, $4)"
        contact, deal = contact or await self.key("contacts"), deal or await self.key("deals")
        await self.db.execute(sql, self.chance.randrange(60, 4000), self.mark("call"), contact, deal)

    async def insert_family(self) -> None:
        """Parents and children in one transaction."""
        async with self.db.transaction():
            company = await self.insert_company()
            contact = await self.insert_contact(company)
            deal = await self.insert_deal(company, contact)
            await self.insert_call(contact, deal)

    async def update_company(self) -> None:
        """A company moves."""
        key = await self.key("companies", "archived_at is null")
        await self.db.execute("update companies set address = $2 where id = $1", key, self.word())

    async def update_contact(self) -> None:
        """One column of a contact changes, or several."""
        key = await self.key("contacts")
        for column, value in self.chance.sample(
            [("first", self.word()), ("phone", self.phone()), ("company_id", await self.company())],
            self.chance.randint(1, 3),
        ):
            await self.db.execute(f"update contacts set {column} = $2 where id = $1", key, value)

    async def update_deal(self) -> None:
        """A deal gets another value and state."""
        sql = "update deals set amount = $2, state = $3 where id = $1"
        await self.db.execute(sql, await self.key("deals"), self._amount(), self.chance.choice(STATES))

    async def update_call(self) -> None:
        """A call's length is corrected."""
        sql = "update calls set seconds = $2 where id = $1"
        await self.db.execute(sql, await self.key("calls"), self.chance.randrange(60, 4000))

    async def update_many(self) -> None:
        """One statement for many rows, of the latest only: in a long run it would be more and more."""
        sql = """update contacts set first = $1
                 where id % 3 = $2 and id > (select max(id) - 60 from contacts)"""
        await self.db.execute(sql, self.word(), self.chance.randrange(3))

    async def delete_contact(self) -> None:
        """A contact goes, and what points to it forgets it."""
        await self.db.execute("delete from contacts where id = $1", await self.key("contacts"))

    async def delete_deal(self) -> None:
        """A deal goes."""
        await self.db.execute("delete from deals where id = $1", await self.key("deals"))

    def _amount(self) -> Decimal:
        return Decimal(self.chance.randrange(1, 10_000_00)) / 100

    # --- the CRM -----------------------------------------------------------------------------------------------------

    async def crm(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A person's call of the CRM's API, under the connector's own token half of the time."""
        token = self.chance.choice(self.sandbox.tokens[:2])
        raw = json.dumps(body or {}).encode()
        headers = {"x-api-token": token, "user-agent": PEOPLE}
        answer = await self.sandbox._apply(Request(method, f"/api/v2/{path}", {}, headers, raw))
        assert answer.status < 400, (method, path, body, answer.body)
        return json.loads(answer.body)["data"]

    def live(self, entity: str) -> list[Mapping[str, Any]]:
        """All records of an object that are not deleted."""
        return sorted(self.sandbox.world.tables[entity].live(), key=lambda record: record["id"])

    def record(self, path: str) -> int | None:
        """A random live record."""
        ids = [record["id"] for record in self.live(OBJECTS[path])]
        return self.chance.choice(ids) if ids else None

    async def create_organization(self) -> None:
        """A firm begins in the CRM."""
        await self.crm("POST", "organizations", {"name": self.mark("Org")})

    async def create_person(self) -> None:
        """A person begins in the CRM."""
        mail = f"{self.mark('person').replace(' ', '')}@x.test"
        body = {"first_name": "New", "last_name": "Q", "emails": [{"value": mail, "primary": True}]}
        await self.crm("POST", "persons", body | _given(org_id=self.record("organizations")))

    async def create_deal(self) -> None:
        """A deal begins in the CRM."""
        body = {"title": self.mark("Deal"), "value": float(self._amount()), "currency": "EUR"}
        parents = _given(org_id=self.record("organizations"), person_id=self.record("persons"))
        await self.crm("POST", "deals", body | parents)

    async def patch_person(self) -> None:
        """A person's name, phone or firm changes."""
        number = self.phone()
        choices: list[dict[str, Any]] = [
            {"first_name": self.word() or "Max"},
            {"phones": [{"value": number, "primary": True}] if number else []},
            {"org_id": self.record("organizations")},
        ]
        await self._patch("persons", self.chance.choice(choices))

    async def patch_organization(self) -> None:
        """A firm's address changes."""
        await self._patch("organizations", {"address": {"value": f"Street {self.chance.randrange(100)}"}})

    async def patch_deal(self) -> None:
        """A deal's value and status change."""
        body = {"value": float(self._amount()), "status": self.chance.choice(STATES)}
        await self._patch("deals", self.chance.choice([body, {"person_id": self.record("persons")}]))

    async def delete_record(self) -> None:
        """A person or deal is deleted in the CRM."""
        await self._delete(self.chance.choice(("persons", "deals")))

    async def delete_organization(self) -> None:
        """A firm is deleted in the CRM."""
        await self._delete("organizations")

    async def _delete(self, path: str) -> None:
        if key := self.record(path):
            await self.crm("DELETE", f"{path}/{key}")

    async def restore_organization(self) -> None:
        """A deleted firm comes back, unless it is there already: where no event told of its first record, it was made again."""
        table = self.sandbox.world.tables["organization"]
        there = {r["name"] for r in table.live()}
        gone = sorted(r["id"] for r in table.records() if r["name"] not in there)
        if gone:
            company = self.sandbox.api.company
            company.do(company.admin(), "organization.restore", self.chance.choice(gone))
            self.sandbox.deliverer.pump()

    async def edit_both(self) -> None:
        """Both sides edit the same person."""
        await self.patch_person()
        await self.update_contact()

    async def _patch(self, path: str, body: Mapping[str, Any]) -> None:
        if key := self.record(path):
            await self.crm("PATCH", f"{path}/{key}", body)

    # --- agreement ---------------------------------------------------------------------------------------------------

    async def differences(self) -> Sequence[str]:
        """Where the two sides do not agree, or hold something twice; empty when all is well."""
        found = [*await self._companies(), *await self._contacts(), *await self._deals(), *await self._calls()]
        return found + list(await self.doubles())

    async def _rows(self, table: str, where: str = "true") -> list[asyncpg.Record]:
        return list(await self.db.fetch(f"select * from {table} where {where} order by id"))

    async def _firms(self) -> Mapping[int, int]:
        """Company → its record while it lives: what points to a deleted firm has nothing to agree on."""
        return {r["id"]: r["crm_id"] for r in await self._rows("companies", "archived_at is null")}

    def _alive(self, entity: str, key: int | None) -> int | None:
        return key if key is not None and self.sandbox.world.has(entity, key) else None

    async def _companies(self) -> Iterator[str]:
        rows = {r["crm_id"]: (r["name"], r["address"]) for r in await self._rows("companies", "archived_at is null")}
        return _compared(
            "company", rows, {r["id"]: (r["name"], _text(r["address"])) for r in self.live("organization")}
        )

    async def _contacts(self) -> Iterator[str]:
        firms = await self._firms()
        rows = {
            r["crm_id"]: (r["first"], r["last"], r["email"], _digits(r["phone"]), firms.get(r["company_id"]))
            for r in await self._rows("contacts")
        }
        records = {
            r["id"]: (
                r["first_name"],
                r["last_name"],
                _primary(r["emails"]),
                _digits(_primary(r["phones"])),
                self._alive("organization", r["org_id"]),
            )
            for r in self.live("person")
        }
        return _compared("contact", rows, records)

    async def _deals(self) -> Iterator[str]:
        firms = await self._firms()
        people = {r["id"]: r["crm_id"] for r in await self._rows("contacts")}
        rows = {
            r["crm_id"]: (
                r["title"], _money(r["amount"]), r["currency"], r["state"], firms.get(r["company_id"]),
                people.get(r["contact_id"]),
            )
            for r in await self._rows("deals")
        }  # fmt: skip
        records = {
            r["id"]: (
                r["title"],
                _money(r["value"]),
                r["currency"],
                r["status"],
                self._alive("organization", r["org_id"]),
                self._alive("person", r["person_id"]),
            )
            for r in self.live("deal")
        }
        return _compared("deal", rows, records)

    async def _calls(self) -> Iterator[str]:
        people = {r["id"]: r["crm_id"] for r in await self._rows("contacts")}
        deals = {r["id"]: r["crm_id"] for r in await self._rows("deals")}
        rows = {
            r["details"]: (
                f"Call, {r['state']}",
                r["seconds"] // 60,
                people.get(r["contact_id"]),
                deals.get(r["deal_id"]),
            )
            for r in await self._rows("calls")
            if r["details"] not in self.apart
        }
        records = {
            r["note"]: (r["subject"], _minutes(r["duration"]), r["person_id"], r["deal_id"])
            for r in self.live("activity")
            if r["note"] not in self.apart
        }
        return _compared("call", rows, records)

    async def doubles(self) -> Sequence[str]:
        """Marks that more than one record or row carries."""
        found = []
        for entity, mark in MARKS.items():
            seen = Counter(mark(record) for record in self.live(entity))
            again = [r for r in self.live(entity) if seen[mark(r)] > 1]
            found += [f"{entity} {r['id']} {mark(r)!r} made {r['add_time']} {r.get('custom_fields')}" for r in again]
        for table, column in COLUMNS.items():
            seen = Counter(row[column] for row in await self._rows(table))
            found += [f"{table} {name!r} exists {n} times" for name, n in seen.items() if n > 1]
        return found


def _compared(kind: str, rows: Mapping[Any, Any], records: Mapping[Any, Any]) -> Iterator[str]:
    for key in sorted({*rows, *records}, key=str):
        if rows.get(key) != records.get(key):
            yield f"{kind} {key}: app {rows.get(key)} CRM {records.get(key)}"


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _primary(values: Sequence[Mapping[str, Any]]) -> str | None:
    return next((each["value"] for each in values if each["primary"]), None)


def _digits(phone: str | None) -> str | None:
    """A phone number however it is spelt."""
    return phone and phone.replace(" ", "")


def _text(address: Any) -> str | None:
    return address["value"] or None if isinstance(address, dict) else address


def _money(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(Decimal("0.01"))


def _minutes(duration: str | None) -> int | None:
    if duration is None:
        return None
    hours, minutes = duration.split(":")[:2]
    return int(hours) * 60 + int(minutes)


COLUMNS = {"companies": "name", "contacts": "email", "deals": "title", "calls": "details"}
MARKS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "organization": lambda record: record["name"],
    "person": lambda record: _primary(record["emails"]),
    "deal": lambda record: record["title"],
    "activity": lambda record: record["note"],
}
EDITS: Mapping[str, tuple[int, Callable[[Business], Awaitable[Any]]]] = {
    "insert_company": (2, Business.insert_company),
    "insert_contact": (4, Business.insert_contact),
    "insert_deal": (2, Business.insert_deal),
    "insert_call": (3, Business.insert_call),
    "insert_family": (2, Business.insert_family),
    "update_company": (2, Business.update_company),
    "update_contact": (4, Business.update_contact),
    "update_deal": (3, Business.update_deal),
    "update_call": (1, Business.update_call),
    "update_many": (1, Business.update_many),
    "delete_contact": (1, Business.delete_contact),
    "delete_deal": (1, Business.delete_deal),
    "create_organization": (2, Business.create_organization),
    "create_person": (3, Business.create_person),
    "create_deal": (2, Business.create_deal),
    "patch_person": (4, Business.patch_person),
    "patch_organization": (2, Business.patch_organization),
    "patch_deal": (2, Business.patch_deal),
    "delete_record": (1, Business.delete_record),
    "delete_organization": (1, Business.delete_organization),
    "restore_organization": (1, Business.restore_organization),
    "edit_both": (2, Business.edit_both),
}
