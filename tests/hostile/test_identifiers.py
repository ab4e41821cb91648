"""Names of schemas, tables, columns, mappings, fields and keys that would break out of anything not quoted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.local.catalogue import quote_ident, quote_literal
from tests.engine.rig import Rig, rig

NASTY = (
    'we"ird', "o'clock'; drop table app.victims;--", "a.b.c", "100%s %d %", "back\\slash\\", "$1", "$capture$", "$$",
    "select", "Ünïcödé ☃ Ω", " blanks around ", "1st", "x" * 63, "{0} {column!r}", ":name", "/* comment", "tab\there",
    "null", "current_user", "new_rows", "n", "t", "key", "v0",
)  # fmt: skip
KEYS = ("a'b", 'c"d', "e\\f", "$1", "'; delete from app.victims;--", "{0}", "☃", "null", "x/y#1", "a:b#2", " ", "%s")
SCHEMA, FIRMS, PEOPLE = "sch\"e'ma $1;--", 'firms"; drop table app.victims;-- $capture$ %s', "user.table\\ 'x'"
FIRM, PERSON = 'firm\'s "$capture$" \\ %s {0};--', "pers;--on $1 '"


def _tables() -> str:
    columns = ", ".join(f"{quote_ident(name)} text" for name in NASTY)
    schema, firms, people = map(quote_ident, (SCHEMA, FIRMS, PEOPLE))
    return f"""
create schema app; create table app.victims (id int primary key); insert into app.victims values (1);
create schema {schema};
create table {schema}.{firms} ("pri""mary" text primary key default gen_random_uuid()::text, "na'me" text not null);
create table {schema}.{people} (
  "order" bigint generated always as identity primary key, "group" text references {schema}.{firms}, "e;mail" text,
  {columns});
"""


LOOSE = {"records": 1000, "percent": 100}


def _files() -> dict[str, str]:
    firm = {
        "object": "organization", "table": f"{SCHEMA}.{FIRMS}", "key": 'pri"mary', "direction": "both", "name": FIRM,
        "match": ["na'me"], "deletes": {"receive": "delete", "send": "delete"}, "brake": LOOSE,
        "fields": [{"column": "na'me", "crm": "name"}],
    }  # fmt: skip
    lines: list[dict[str, Any]] = [{"column": name, "crm": f"Field {name}"} for name in NASTY]
    person = {
        "object": "person", "table": f"{SCHEMA}.{PEOPLE}", "key": "order", "direction": "both", "name": PERSON,
        "match": ["e;mail", [NASTY[0], NASTY[1]]], "deletes": {"receive": "delete", "send": "delete"},
        "brake": LOOSE,
        "fields": [
            {"column": "e;mail", "crm": "emails", "as": "primary"}, {"column": "group", "crm": "org_id", "link": FIRM},
            {"column": '{{ record["select"] }} & {{ record["we\\"ird"] }}', "crm": "name"}, *lines,
        ],
    }  # fmt: skip
    return {"firm.yaml": json.dumps(firm), "person.yaml": json.dumps(person)}


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Both sides with nothing in them but a bystander."""
    async with rig(database, tmp_path / "set", _files(), _tables()) as made:
        for name in NASTY:
            await made.crm("POST", "/api/v2/personFields", {"field_name": f"Field {name}", "field_type": "varchar"})
        await made.start()
        yield made


FIRMS_SQL, PEOPLE_SQL = (f"{quote_ident(SCHEMA)}.{quote_ident(name)}" for name in (FIRMS, PEOPLE))


async def _codes(world: Rig) -> dict[str, str]:
    """Column → the key of its custom field."""
    fields = await world.crm("GET", "/api/v2/personFields", limit=500)
    codes = {field["field_name"]: field["field_code"] for field in fields}
    return {name: codes[f"Field {name}"] for name in NASTY}


async def test_names_are_taken_literally_everywhere(world: Rig) -> None:
    """Created, edited and deleted from either side; triggers, matching, views and functions under the same names.

    A mapping or a column with `$capture$` in its name ended the body of the trigger function.
    """
    values = {name: f"value of {name}" for name in NASTY}
    columns = ", ".join(map(quote_ident, NASTY))
    numbers = ", ".join(f"${n}" for n in range(1, len(NASTY) + 1))
    made = f"""insert into {PEOPLE_SQL} ("e;mail", {columns}) values ('a@e.test', {numbers}) returning "order\""""
    key = await world.db.fetchval(made, *values.values())
    await world.quiet()
    (person,) = await world.crm("GET", "/api/v2/persons")
    codes = await _codes(world)
    assert {name: person["custom_fields"][code] for name, code in codes.items()} == values
    assert person["name"] == 'value of select & value of we"ird'
    changed = {name: f"'; drop table app.victims;-- {name} $capture$" for name in NASTY}
    await world.crm(
        "PATCH",
        f"/api/v2/persons/{person['id']}",
        {"custom_fields": {codes[name]: text for name, text in changed.items()}},
    )
    await world.quiet()
    row = await world.db.fetchrow(f"select {columns} from {PEOPLE_SQL}")
    assert row is not None
    assert dict(row) == changed
    table = quote_literal(PEOPLE_SQL)
    told = await world.db.fetchrow(f"select * from connector.synced({table}::regclass, $1)", str(key))
    assert told is not None
    assert (told["crm_id"], told["error"]) == (str(person["id"]), None)
    await world.db.execute(f"delete from {PEOPLE_SQL}")
    await world.quiet()
    assert await world.crm("GET", "/api/v2/persons") == []
    assert await world.db.fetchval("select count(*) from app.victims") == 1
    assert not await world.db.fetchval("select exists (select 1 from connector.work)")


async def test_keys_are_taken_literally(world: Rig) -> None:
    """Text keys of rows that are created, pointed to, renamed from either side and deleted."""
    for key in KEYS:
        await world.db.execute(f"insert into {FIRMS_SQL} values ($1, $2)", key, f"firm {key}")
        await world.db.execute(
            f'insert into {PEOPLE_SQL} ("group", "e;mail", "select") values ($1, $2, \'x\')',
            key,
            f"{KEYS.index(key)}@e.test",
        )
    await world.quiet()
    found = {firm["name"]: firm["id"] for firm in await world.crm("GET", "/api/v2/organizations")}
    assert set(found) == {f"firm {key}" for key in KEYS}
    linked = await world.db.fetch(
        f"""select l.app_key, p."e;mail" from connector.link l join {FIRMS_SQL} f on f."pri""mary" = l.app_key
            join {PEOPLE_SQL} p on p."group" = l.app_key where l.mapping = $1 and l.crm_id is not null""",
        FIRM,
    )
    assert {row["app_key"] for row in linked} == set(KEYS)
    persons = await world.crm("GET", "/api/v2/persons")
    assert {person["org_id"] for person in persons} == set(found.values())
    for name, crm_id in found.items():
        await world.crm("PATCH", f"/api/v2/organizations/{crm_id}", {"name": f"{name} \\ ' ; $$ 2"})
    await world.quiet()
    assert await world.db.fetchval(f"""select bool_and("na'me" like '%2') from {FIRMS_SQL}""")
    world.clock.leap(2)  # the brake's count of links is up to a second old
    await world.db.execute(f"delete from {PEOPLE_SQL}; delete from {FIRMS_SQL}")
    await world.quiet()
    assert await world.crm("GET", "/api/v2/organizations") == []
    assert await world.db.fetchval("select count(*) from app.victims") == 1
