"""The canary: values that stand nowhere else are sent through every path, and then looked for where none may be.

`SHOWN` is the list of the places that may hold values, and why.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import asyncpg
import pytest

from connector.engine.reconcile import Reconciler
from connector.obs.logs import configure
from connector.store.work import Item
from tests.cli.conftest import connector
from tests.engine.rig import CONNECTION, Rig, rig
from tests.hostile.deliveries import body, deliver
from tests.hostile.test_rotation import address_of

SHIPPED: Final = Path(__file__).resolve().parents[2] / "mappings" / "sales-engagement"
CANARY: Final = re.compile(r"canary|5558472|8472[0-9]{4}|1847-02-1|47:42", re.IGNORECASE)
"""Texts, phones, amounts, days and times: what the values below are told by."""
SHOWN: Final = {
    "link.base": "what both sides agreed on, to find out what changed",
    "link.sent": "what our last writes replaced, until the echo came",
    "link.restore": "what deletes.set wrote over, to put it back",
    "link.refused": "what the CRM refused, so that it is not sent again",
    "link.crm_id": "the id of the record, as events name it: checked to be one, but no number for every object",
    "link.app_key": "the key of the row: text where the table's key is text",
    "work.told": "what events said of changes, until the item is done",
    "intent.fields": "what is being sent",
    "intent.seen": "what the sender had seen",
    "intent.replaced": "what the sender's write replaces",
    "event.hint": "what a webhook said, until it is folded",
    "change.keys": "the keys of changed rows, until they are folded",
    "journal.lines": "what was applied, old and new: history and undo",
    "journal.app_key": "the key of the row",
    "connection.metadata": "the account's own definitions: names of users, fields, options, stages",
    "connection.pins": "names of fields and options, as the files name them",
    "reference.key": "the key of a parent",
    "request.args": "what a person asked for, by the key of a row",
    "request.result": "what `explain` and `sync` answered to a person",
}
ODDITIES = """
alter table app.contacts add constraint no_refused check (last_name not like '%refused%');
alter table app.contacts alter first_name type varchar(30);
create unique index on app.companies (address);
create function app.refuse() returns trigger language plpgsql as $$ begin
  if new.title like '%refused%' then
    raise exception 'the deal % is refused: %', new.title, new using detail = new.title, hint = new.title, constraint = new.title;
  end if;
  return new; end $$;
create trigger refuse before insert or update on app.deals for each row execute function app.refuse();
"""


@pytest.fixture
def lines() -> io.StringIO:
    """Where log lines go."""
    return io.StringIO()


@pytest.fixture
async def world(database: str, tmp_path: Path, lines: io.StringIO) -> AsyncIterator[Rig]:
    """The shipped set over tables that refuse some rows, with webhooks, logging everything."""
    files = {
        path.name: path.read_text(encoding="utf-8") for path in SHIPPED.glob("*.yaml") if path.stem != "connection"
    }
    tables = (SHIPPED / "tables.sql").read_text(encoding="utf-8") + ODDITIES
    async with rig(database, tmp_path / "set", files, tables, webhooks=True, records=4) as made:
        configure("json", "debug", lines)
        await made.start()
        yield made


async def _rows(db: asyncpg.Connection) -> None:
    """A row in every table, and a second of some."""
    company = await db.fetchval(
        "insert into app.companies (name, address) values ('Canary firm', 'Canary street 1, Canary') returning id"
    )
    contact = await db.fetchval(
        """insert into app.contacts (first_name, last_name, email, phone, company_id, owner_email)
           values ('Canary', 'Appside', 'canary@example.test', '+351 5558472 1', $1, 'canary@nobody.test') returning id""",
        company,
    )
    deal = await db.fetchval(
        """insert into app.deals (title, amount, currency, step, expected_close_on, contact_id, company_id)
           values ('Canary deal', 84720001.17, 'EUR', 'canary step', '1847-02-11', $1, $2) returning id""",
        contact,
        company,
    )
    await db.execute(
        """insert into app.calls (direction, state, details, recording_url, contact_id, deal_id)
           values ('inbound', 'completed', E'canary said\\n<b>canary</b>', 'https://canary.test/?a=1', $1, $2)""",
        contact,
        deal,
    )
    await db.execute(
        """insert into app.emails (subject, from_address, to_addresses, body, contact_id)
           values ('canary subject', 'canary@from.test', 'canary@to.test', 'canary body', $1)""",
        contact,
    )
    await db.execute(
        "insert into app.tasks (name, status, completed_at, contact_id) values ('canary task', 'done', now(), $1)",
        contact,
    )
    await db.execute("insert into app.comments (body, contact_id) values ('<p>canary note</p>', $1)", contact)


async def _records(world: Rig) -> dict[str, Any]:
    """Records that the tables take, and some that they refuse, each for another reason."""
    firm = await world.crm(
        "POST", "/api/v2/organizations", {"name": "Canary org", "address": {"value": "canary road 2"}}
    )
    twin = {"name": "Canary twin", "address": {"value": "canary road 2"}}
    await world.crm("POST", "/api/v2/organizations", twin)
    person = {"first_name": "Canary", "last_name": "Crmside", "org_id": firm["id"]}
    contact = {"emails": [{"value": "canary@crm.test", "primary": True}], "phones": [{"value": "+1 5558472 2"}]}
    made: dict[str, Any] = await world.person(**person, **contact)
    await world.person(first_name="Canary", last_name="refused")
    await world.person(first_name="Canary" * 9, last_name="long", emails=[{"value": "canary@long.test"}])
    deal = {"title": "Canary refused", "value": 84720002, "person_id": made["id"], "expected_close_date": "1847-02-12"}
    await world.crm("POST", "/api/v2/deals", deal)
    await world.crm("POST", "/api/v2/deals", {**deal, "title": "Canary open", "currency": "USD"})
    return made


async def _deliveries(world: Rig) -> None:
    """Webhooks of friends and strangers."""
    address = address_of(world)
    for sent in (
        body("canary"), body("1", entity="canary"), body("1", id="canary", previous={"canary": "canary"}), b'"canary"', b"canary",
        body("1", data={"first_name": "canary", "emails": "canary"}, previous={"first_name": ["canary"]}, user_id="canary"),
        body("1", data={"update_time": "canary"}, previous={"name": "canary"}, timestamp="canary", change_source="canary"),
        body("99", data={"name": "canary\0"}, previous={"name": "\ud800canary"}),
    ):  # fmt: skip
        assert await deliver(world.http, address, sent) == 200
    url = f"http://127.0.0.1:{world.port}"
    for path in ("/webhooks/canary", "/webhooks/test/canary", "/canary?canary=canary"):
        async with world.http.post(
            url + path, data="canary", headers={"Authorization": "canary", "X-Canary": "canary"}
        ) as answer:
            assert answer.status in (401, 404)


async def _refusals(world: Rig) -> None:
    """Errors of the API that quote what was sent: refused, and broken."""
    for code in (400, 422, 409, 500):
        fault = {
            "kind": "status",
            "code": code,
            "body": "echo",
            "method": "PATCH|POST|PUT",
            "path": "/api/v",
            "count": 1,
        }
        await world.control("POST", "faults", fault)
        await world.db.execute(
            "update app.contacts set last_name = 'Canary ' || $1 where first_name = 'Canary'", str(code)
        )
        await world.db.execute("insert into app.companies (name) values ('Canary ' || $1)", str(code))
        await world.ask("sweep", {"kind": "recent"})
        world.clock.leap(61.0 if code >= 500 else 0.0)
        await world.idle()


async def _defects(world: Rig) -> None:
    """A defect of ours, whose exception quotes a value, with another as its cause."""
    run = Reconciler.run

    async def trips(self: Reconciler, items: list[Item], listed: Any = None) -> None:
        if any(item.link_id for item in items):
            raise ValueError("canary") from KeyError("canary")
        await run(self, items, listed)

    with patch.object(Reconciler, "run", trips):
        await world.db.execute("insert into app.companies (name) values ('Canary defect')")
        await world.until(
            lambda: world.db.fetchval("select exists (select 1 from connector.work where cause = 'defect:valueerror')")
        )


async def _pages(world: Rig) -> str:
    told = []
    for path in ("/metrics", "/readyz", "/healthz", "/", "/canary"):
        async with world.http.get(f"http://127.0.0.1:{world.port}{path}") as answer:
            told.append(await answer.text())
    return "\n".join(told)


async def _commands(world: Rig) -> str:
    """What commands say that are not asked for values."""
    told = []
    for words in (("status", "--json"), ("failures", "list", "--json"), ("--debug", "failures", "discard", "999999")):
        done = await connector(*words, DATABASE_URL=world.dsn, CONNECTOR_SECRET_KEY="key")
        told.append(done.out + done.err)
    return "\n".join(told)


async def shown(db: asyncpg.Connection) -> set[str]:
    """The columns of schema `connector` in which a canary is."""
    columns = await db.fetch(
        """select c.relname, a.attname from pg_class c join pg_namespace n on n.oid = c.relnamespace
           join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           where n.nspname = 'connector' and c.relkind in ('r', 'p') and not c.relispartition"""
    )
    found = set()
    for table, column in columns:
        values = await db.fetch(f'select distinct "{column}"::text from connector."{table}"')
        if any(CANARY.search(value[0] or "") for value in values):
            found.add(f"{table}.{column}")
    return found


def _quoted(text: str) -> list[str]:
    return [line[:300] for line in text.splitlines() if CANARY.search(line)]


async def test_no_value_shows_where_none_may(world: Rig, lines: io.StringIO) -> None:
    """Logs, metrics, probes, listings and every column that is not on the list; whatever failed on the way.

    A value in an exception's text, a cause, a label or a log line's key makes it fail.
    """
    await _rows(world.db)
    person = await _records(world)
    await world.quiet()
    await world.crm("PATCH", f"/api/v2/persons/{person['id']}", {"last_name": "Canary changed"})
    await world.db.execute("update app.deals set title = 'Canary edited' where title = 'Canary deal'")
    await _deliveries(world)
    await world.idle()
    await _refusals(world)
    await _defects(world)
    commands, pages = await _commands(world), await _pages(world)
    assert "reconcile.failed" in lines.getvalue()
    assert "webhook.gap" in lines.getvalue()
    assert "connector_held_values" in pages
    assert {"defect:valueerror"} <= set(re.findall(r"defect:\w+", commands))
    for told in (lines.getvalue(), pages, commands):
        assert _quoted(told) == []
    found = await shown(world.db)
    assert found - SHOWN.keys() == set()
    assert {"link.base", "journal.lines"} <= found


async def test_keys_that_are_text_are_shown_to_persons_only(database: str, tmp_path: Path, lines: io.StringIO) -> None:
    """An e-mail as a key: in the places that are on the list and in listings for persons, who must find the row."""
    tables = """create schema app; create table app.people (mail text primary key, name text, firm text);
                create table app.firms (code text primary key, name text check (name <> 'Canary refused'));"""
    person = (
        "object: person\ntable: app.people\nkey: mail\ndirection: send\n"
        "fields: [{column: name, crm: name}, {column: mail, crm: emails, as: primary}, {column: firm, crm: org_id, link: firm}]\n"
    )
    firm = "object: organization\ntable: app.firms\nkey: code\ndirection: send\nfields: [{column: name, crm: name}]\n"
    files = {"person.yaml": person, "firm.yaml": firm}
    async with rig(database, tmp_path / "set", files, tables, connection=CONNECTION, webhooks=True) as world:
        configure("json", "debug", lines)
        await world.start()
        fault = {"kind": "status", "code": 400, "body": "echo", "method": "POST", "path": "organizations", "count": 3}
        await world.control("POST", "faults", fault)
        for number in range(4):
            await world.db.execute("insert into app.firms values ($1, 'Canary')", f"canary firm {number}")
            await world.db.execute(
                "insert into app.people values ($1, 'Canary', $2)",
                f"canary{number}@example.test",
                f"canary firm {number}",
            )
        await world.quiet()
        await world.db.execute("delete from app.people where mail like 'canary0%'")
        await world.quiet()
        listed = await connector("failures", "list", DATABASE_URL=world.dsn, CONNECTOR_SECRET_KEY="key")
        status = await connector("status", "--json", DATABASE_URL=world.dsn, CONNECTOR_SECRET_KEY="key")
        pages = await _pages(world)
        assert await shown(world.db) - SHOWN.keys() == set()
    assert json.loads(status.out)["connections"]
    assert _quoted(lines.getvalue() + pages + status.out + status.err) == []
    assert "canary firm" in listed.out
