"""Two mappings of one CRM object, told apart by a field: a record has one live row, also when it changes its kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import Rig, rig

TABLES = """
create schema app;
create table app.leads (id bigint generated always as identity primary key, name text, phone text);
create table app.customers (id bigint generated always as identity primary key, name text, phone text);
create table app.calls (id bigint generated always as identity primary key, subject text, lead_id bigint, customer_id bigint);
"""
KINDS = {"leads": "Lead", "customers": "Client"}


def _kind(table: str, leave: str, deletes: str) -> str:
    return f"""
object: person
table: app.{table}
key: id
direction: both
only: {{receive: {{Kind: {KINDS[table]}}}}}
set: {{crm: {{Kind: {KINDS[table]}}}}}
on_leave: {leave}
deletes: {deletes}
fields:
  - {{column: name, crm: name}}
  - {{column: phone, crm: phones, as: primary}}
"""


CALL = """
object: activity
table: app.calls
key: id
direction: both
fields:
  - {column: subject, crm: subject}
  - {column: lead_id, crm: person_id, link: leads, direction: receive}
  - {column: customer_id, crm: person_id, link: customers, direction: receive}
"""


@dataclass(slots=True)
class People:
    """Leads and clients on both sides."""

    world: Rig
    field: str
    options: dict[str, int]

    async def person(self, name: str, kind: str | None) -> int:
        """A person of a kind; its id."""
        made = await self.world.person(name=name, custom_fields={self.field: self.options.get(kind or "")})
        return int(made["id"])

    async def turn(self, person: int, kind: str | None) -> None:
        """Somebody changes what the person is."""
        await self.edit(person, custom_fields={self.field: self.options.get(kind or "")})

    async def edit(self, person: int, **fields: Any) -> None:
        """Somebody edits the person."""
        await self.world.crm("PATCH", f"/api/v2/persons/{person}", fields)

    async def rest(self) -> None:
        """Everything has been heard of: by webhooks where there are some, else by a sweep."""
        await (self.world.idle() if self.world.port is not None else self.world.quiet())

    async def rows(self, table: str) -> list[tuple[int, str]]:
        """(key, name) of every row."""
        found = await self.world.db.fetch(f"select id, name from app.{table} order by id")
        return [(row["id"], row["name"]) for row in found]

    async def names(self, table: str) -> set[str]:
        """The names in a table."""
        return {name for _, name in await self.rows(table)}

    async def persons(self) -> dict[str, Any]:
        """Name → kind of every living person."""
        words = {number: label for label, number in self.options.items()}
        found = await self.world.crm("GET", "/api/v2/persons")
        return {person["name"]: words.get(person["custom_fields"][self.field]) for person in found}

    async def links(self) -> list[tuple[str | None, str | None, str, str | None]]:
        """(mapping, CRM id, state, last error) as an admin sees them."""
        found = await self.world.db.fetch(
            "select * from connector.link_status where object = 'person' order by synced_at"
        )
        return [(row["mapping"], row["crm_id"], row["state"], row["last_error"]) for row in found]


@asynccontextmanager
async def _people(
    database: str, tmp_path: Path, leave: str = "freeze", deletes: str = "{receive: delete}", *, webhooks: bool = True
) -> AsyncIterator[People]:
    files = {f"{table}.yaml": _kind(table, leave, deletes) for table in KINDS} | {"calls.yaml": CALL}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        body = {"field_name": "Kind", "field_type": "enum", "options": [{"label": label} for label in KINDS.values()]}
        field = await world.crm("POST", "/api/v2/personFields", body)
        await world.start()
        yield People(world, field["field_code"], {option["label"]: option["id"] for option in field["options"]})


async def test_two_mappings_share_an_object(database: str, tmp_path: Path) -> None:
    """Leads and customers are both persons: a row of either carries its kind, a record goes where its kind belongs."""
    async with _people(database, tmp_path) as people:
        await people.world.db.execute("insert into app.leads (name) values ('lead of ours')")
        await people.world.db.execute("insert into app.customers (name) values ('client of ours')")
        for name, kind in (("lead of theirs", "Lead"), ("client of theirs", "Client"), ("neither", None)):
            await people.person(name, kind)
        await people.rest()
        assert await people.persons() == {
            "lead of ours": "Lead", "client of ours": "Client",
            "lead of theirs": "Lead", "client of theirs": "Client", "neither": None,
        }  # fmt: skip
        assert await people.names("leads") == {"lead of ours", "lead of theirs"}
        assert await people.names("customers") == {"client of ours", "client of theirs"}


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "sweeps"])
@pytest.mark.parametrize(("leave", "old"), [("freeze", {"Ada"}), ("unlink", {"Ada"}), ("delete", set())])
async def test_a_record_that_changes_its_kind(
    database: str, tmp_path: Path, leave: str, old: set[str], *, webhooks: bool
) -> None:
    """A lead becomes a client: the old link follows `on_leave`, the other mapping makes a row of its own."""
    async with _people(database, tmp_path, leave, webhooks=webhooks) as people:
        person = await people.person("Ada", "Lead")
        await people.rest()
        assert await people.names("leads") == {"Ada"}
        await people.turn(person, "Client")
        await people.rest()
        if not webhooks:  # what a sweep would destroy waits until it is complete
            await people.rest()
        assert await people.names("leads") == old
        assert await people.names("customers") == {"Ada"}
        await people.edit(person, name="Ada Byron")
        await people.rest()
        assert (await people.names("leads"), await people.names("customers")) == (old, {"Ada Byron"})


async def test_a_record_that_comes_back_to_its_old_kind(database: str, tmp_path: Path) -> None:
    """The row it had before is linked again, and what the app wrote into it meanwhile is sent now; no row is made twice."""
    async with _people(database, tmp_path) as people:
        person = await people.person("Ada", "Lead")
        await people.rest()
        await people.turn(person, "Client")
        await people.rest()
        await people.world.db.execute("update app.leads set phone = '0123'")
        await people.rest()
        assert (await people.world.crm("GET", f"/api/v2/persons/{person}"))["phones"] == []
        told = await people.world.ask("explain", {"mapping": "leads", "key": "1"})
        assert told["plan"]["reason"] == "other_kind"
        assert told["blocks"] == ["its CRM record is another mapping's now: belongs_to customers"]
        for kind in ("Lead", "Client", "Lead"):
            await people.turn(person, kind)
            await people.rest()
        assert (await people.rows("leads"), await people.rows("customers")) == ([(1, "Ada")], [(1, "Ada")])
        assert sorted(await people.links()) == [
            ("customers", str(person), "frozen", "belongs_to leads"),
            ("leads", str(person), "linked", None),
        ]
        assert (await people.world.crm("GET", f"/api/v2/persons/{person}"))["phones"][0]["value"] == "0123"


async def test_a_kind_that_nobody_maps_lies_between(database: str, tmp_path: Path) -> None:
    """Lead, neither, client, neither, lead: the record waits in the link it had last, and each row stays the only one."""
    async with _people(database, tmp_path) as people:
        person = await people.person("Ada", "Lead")
        await people.rest()
        for kind in (None, "Client", None, "Lead"):
            await people.turn(person, kind)
            await people.rest()
        await people.edit(person, name="Ada Byron")
        await people.rest()
        assert (await people.rows("leads"), await people.rows("customers")) == ([(1, "Ada Byron")], [(1, "Ada")])


async def test_an_unlinked_row_stays_apart_when_the_record_comes_back(database: str, tmp_path: Path) -> None:
    """`on_leave: unlink`: the record comes back to its tombstone, and to the row once a person pairs them again."""
    async with _people(database, tmp_path, "unlink") as people:
        person = await people.person("Ada", "Lead")
        await people.rest()
        for kind in ("Client", "Lead"):
            await people.turn(person, kind)
            await people.rest()
        await people.edit(person, name="Ada Byron")
        await people.rest()
        assert await people.rows("leads") == [(1, "Ada")]
        await people.world.ask("sync", {"mapping": "leads", "key": "1"})
        await people.rest()
        assert await people.rows("leads") == [(1, "Ada Byron")]


async def test_only_the_live_row_follows_its_record_into_death(database: str, tmp_path: Path) -> None:
    """The client that once was a lead is deleted: its customer goes, the lead that was left stays as it is."""
    async with _people(database, tmp_path) as people:
        person = await people.person("Ada", "Lead")
        await people.rest()
        await people.turn(person, "Client")
        await people.rest()
        await people.world.crm("DELETE", f"/api/v2/persons/{person}")
        await people.rest()
        assert (await people.names("leads"), await people.names("customers")) == ({"Ada"}, set())


async def test_a_row_that_was_left_is_the_apps_to_delete(database: str, tmp_path: Path) -> None:
    """The record is another mapping's: deleting the old row deletes nothing; coming back, the record gets a new row."""
    async with _people(database, tmp_path, deletes="{receive: delete, send: delete}") as people:
        person = await people.person("Ada", "Lead")
        await people.rest()
        await people.turn(person, "Client")
        await people.rest()
        await people.world.db.execute("delete from app.leads")
        await people.rest()
        assert await people.persons() == {"Ada": "Client"}
        await people.turn(person, "Lead")
        await people.rest()
        assert await people.rows("leads") == [(2, "Ada")]


async def test_a_merge_takes_the_live_row_and_the_one_that_was_left(database: str, tmp_path: Path) -> None:
    """The client is merged into another: its customer follows; as a lead again, the survivor has the lead's old row."""
    async with _people(database, tmp_path) as people:
        person = await people.person("Ada", "Lead")
        await people.rest()
        await people.turn(person, "Client")
        survivor = await people.person("Ada Byron", None)
        await people.rest()
        await people.world.crm("PUT", f"/v1/persons/{person}/merge", {"merge_with_id": survivor})
        await people.turn(survivor, "Client")
        await people.rest()
        assert (await people.rows("leads"), await people.rows("customers")) == ([(1, "Ada")], [(1, "Ada Byron")])
        await people.turn(survivor, "Lead")
        await people.rest()
        assert await people.rows("leads") == [(1, "Ada Byron")]


async def test_references_find_the_row_in_the_table_that_they_name(database: str, tmp_path: Path) -> None:
    """A call with a client that was a lead names both rows: each line asks for the row of its own mapping."""
    async with _people(database, tmp_path) as people:
        person = await people.person("Ada", "Lead")
        await people.rest()
        await people.turn(person, "Client")
        body = {"subject": "Hello", "participants": [{"person_id": person, "primary": True}]}
        await people.world.crm("POST", "/api/v2/activities", body)
        await people.rest()
        call = await people.world.db.fetchrow("select * from app.calls")
        assert call is not None
        assert (call["lead_id"], call["customer_id"]) == (1, 1)


ONE_TABLE = """
create schema app;
create table app.people (
  id bigint generated always as identity primary key, name text, email text, kind text not null default 'lead');
"""


LINE = "- {column: kind, crm: Kind, values: {lead: Lead, client: Client}, direction: both}"


def _of_one_table(kind: str, label: str, match: str, line: str, more: str) -> str:
    return f"""
object: person
table: app.people
key: id
direction: both
{match}
only: {{receive: {{Kind: {label}}}, send: {{kind: [{kind}]}}}}
{"" if line else f"set: {{crm: {{Kind: {label}}}}}"}
{more}
fields:
  - {{column: name, crm: name}}
  - {{column: email, crm: emails, as: primary}}
  {line}
"""


@asynccontextmanager
async def _one_table(
    database: str, tmp_path: Path, match: str = "", *, line: str = LINE, more: str = "", ours: bool = True
) -> AsyncIterator[People]:
    """Ada the lead on both sides, as a row of ours or a record of theirs."""
    files = {
        f"{kind}.yaml": _of_one_table(kind, label, match, line, more)
        for kind, label in (("lead", "Lead"), ("client", "Client"))
    }
    async with rig(database, tmp_path / "set", files, ONE_TABLE, webhooks=True) as world:
        body = {"field_name": "Kind", "field_type": "enum", "options": [{"label": label} for label in KINDS.values()]}
        field = await world.crm("POST", "/api/v2/personFields", body)
        people = People(world, field["field_code"], {option["label"]: option["id"] for option in field["options"]})
        await world.start()
        if ours:
            await world.db.execute("insert into app.people (name, email) values ('Ada', 'ada@x.test')")
        else:
            emails = [{"value": "ada@x.test", "primary": True}]
            await world.person(name="Ada", emails=emails, custom_fields={people.field: people.options["Lead"]})
        await people.rest()
        yield people


@pytest.mark.parametrize("match", ["", "match: [email]"], ids=["no match", "match"])
@pytest.mark.parametrize("ours", [True, False], ids=["row of ours", "record of theirs"])
async def test_both_kinds_live_in_one_table(database: str, tmp_path: Path, match: str, *, ours: bool) -> None:
    """A lead becomes a client in the CRM and a lead again: it is the same row all the time, and says so."""
    async with _one_table(database, tmp_path, match, ours=ours) as people:
        for label in ("Client", "Lead", "Client"):
            await people.turn(1, label)
            await people.rest()
            await people.edit(1, name=f"Ada the {label}")
            await people.rest()
            found = [tuple(row) for row in await people.world.db.fetch("select id, name, kind from app.people")]
            assert found == [(1, f"Ada the {label}", label.lower())]
            await people.world.db.execute("update app.people set name = 'Ada'")
            await people.rest()
            assert await people.persons() == {"Ada": label}


@pytest.mark.parametrize("match", ["", "match: [email]"], ids=["no match", "match"])
@pytest.mark.parametrize("ours", [True, False], ids=["row of ours", "record of theirs"])
@pytest.mark.parametrize("line", [LINE, ""], ids=["by a line", "by set"])
async def test_the_app_changes_the_kind_of_a_row(
    database: str, tmp_path: Path, match: str, line: str, *, ours: bool
) -> None:
    """A lead becomes a client in the app and a lead again: it is the same record all the time, and says so."""
    async with _one_table(database, tmp_path, match, line=line, ours=ours) as people:
        for label in ("Client", "Lead", "Client"):
            await people.world.db.execute("update app.people set kind = $1, name = 'Ada again'", label.lower())
            await people.rest()
            assert await people.persons() == {"Ada again": label}
            await people.edit(1, name=f"Ada the {label}")
            await people.rest()
            found = [tuple(row) for row in await people.world.db.fetch("select id, name, kind from app.people")]
            assert found == [(1, f"Ada the {label}", label.lower())]
            assert await _live(people) == [(label.lower(), "1", "linked", None)]


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [("on_leave: unlink", ["Lead", "Client"]), ("on_leave: delete\ndeletes: {send: delete}", ["Client"])],
    ids=["unlink", "delete"],
)
async def test_a_row_of_another_kind_leaves_its_record(
    database: str, tmp_path: Path, policy: str, kinds: list[str]
) -> None:
    """`on_leave` parts the row from the record it had: it gets one of its new kind."""
    async with _one_table(database, tmp_path, more=policy) as people:
        await people.world.db.execute("update app.people set kind = 'client'")
        await people.rest()
        found = await people.world.crm("GET", "/api/v2/persons")
        words = {number: label for label, number in people.options.items()}
        assert [words[person["custom_fields"][people.field]] for person in found] == kinds
        assert ("client", "2", "linked", None) in await people.links()


async def test_a_record_that_cannot_follow_stays(database: str, tmp_path: Path) -> None:
    """What tells the records apart is not sent: the row has left, but gets no second record, until it comes back."""
    line = LINE.replace("both", "receive")
    async with _one_table(database, tmp_path, line=line, ours=False) as people:
        for kind in ("client", "lead"):
            await people.world.db.execute("update app.people set kind = $1, name = $1", kind)
            await people.rest()
            assert await people.persons() == {"Ada" if kind == "client" else "lead": "Lead"}
        assert await _live(people) == [("lead", "1", "linked", None)]


async def _live(people: People) -> list[tuple[str | None, str | None, str, str | None]]:
    """The links that nothing keeps from working."""
    return [link for link in await people.links() if link[2] not in ("frozen", "excluded")]
