"""`rollout: observe`: the plan can be looked at, and nothing happens until the file says more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.engine.rig import Rig, rig

TABLES = """
create schema app;
create table app.people (id bigint generated always as identity primary key, name text, email text);
create table app.calls (id bigint generated always as identity primary key, what text, person bigint);
"""
PERSON = """
object: person
table: app.people
key: id
direction: both
match: [email]
deletes: {receive: delete, send: delete}
fields:
  - {column: name, crm: name}
  - {column: email, crm: emails, as: primary}
"""
CALL = """
object: activity
table: app.calls
key: id
direction: send
set: {crm: {type: call}}
fields:
  - {column: what, crm: subject}
  - {column: person, crm: person_id, link: person}
"""
OBSERVE = PERSON + "rollout: observe\n"
SPEED = 20.0


async def _people(world: Rig) -> tuple[set[str], set[str]]:
    """The names in the app and in the CRM."""
    rows = await world.db.fetch("select name from app.people")
    people: list[dict[str, Any]] = await world.crm("GET", "/api/v2/persons")
    return {row["name"] for row in rows}, {person["name"] for person in people}


async def test_a_mapping_that_observes_writes_on_neither_side(database: str, tmp_path: Path) -> None:
    """Rows and records stay where they are and the CRM gets no field; `explain` says what would be done."""
    async with rig(
        database, tmp_path / "set", {"person.yaml": OBSERVE, "call.yaml": CALL}, TABLES, speed=SPEED
    ) as world:
        await world.db.execute("insert into app.people (name, email) values ('Old', 'old@x.test')")
        await world.person(name="Theirs", emails=[{"value": "theirs@x.test"}])
        await world.start()
        key = await world.db.fetchval("insert into app.people (name, email) values ('Ada', 'ada@x.test') returning id")
        await world.db.execute("insert into app.calls (what, person) values ('Hello', $1)", key)
        await world.quiet()
        assert await _people(world) == ({"Old", "Ada"}, {"Theirs"})
        fields = await world.crm("GET", "/api/v2/personFields")
        assert "Connector ID" not in {field["field_name"] for field in fields}
        told = await world.ask("explain", {"mapping": "person", "key": str(key)})
        assert told["plan"]["record"]["action"] == "CreateRecord"
        assert "the mapping only observes (rollout: observe)" in told["blocks"]
        (call,) = await world.crm("GET", "/api/v2/activities")
        assert (call["subject"], call["person_id"]) == ("Hello", None)


async def test_what_was_observed_happens_once_the_file_says_so(database: str, tmp_path: Path) -> None:
    """Edits and deletions of pairs that were linked before, new rows and new records: nothing was forgotten."""
    async with rig(
        database, tmp_path / "set", {"person.yaml": PERSON, "call.yaml": CALL}, TABLES, speed=SPEED
    ) as world:
        await world.start()
        await world.db.execute("insert into app.people (name) values ('Ada'), ('Bob'), ('Cid')")
        await world.quiet()
        await world.stop()
        (world.directory / "person.yaml").write_text(OBSERVE)
        await world.start()
        await world.db.execute("update app.people set name = 'Ada Byron' where name = 'Ada'")
        await world.db.execute("delete from app.people where name = 'Bob'")
        await world.db.execute("insert into app.people (name) values ('Dan')")
        (cid,) = [p for p in await world.crm("GET", "/api/v2/persons") if p["name"] == "Cid"]
        await world.crm("PATCH", f"/api/v2/persons/{cid['id']}", {"name": "Cid Campeador"})
        await world.quiet()
        assert await _people(world) == ({"Ada Byron", "Cid", "Dan"}, {"Ada", "Bob", "Cid Campeador"})
        (world.directory / "person.yaml").write_text(PERSON)

        async def carried_out() -> bool:
            return await _people(world) == ({"Ada Byron", "Cid Campeador", "Dan"},) * 2

        await world.until(carried_out)
