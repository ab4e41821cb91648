"""The main job: an edit on either side arrives on the other, once."""

from pathlib import Path

from tests.engine.rig import rig

TABLES = """
create schema app;
create table app.contacts (
    id bigint generated always as identity primary key, email text, first text, last text, phone text,
    archived_at timestamptz);
"""
CONTACT = """
object: person
table: app.contacts
key: id
direction: both
match: [email]
deletes: {receive: {set: {archived_at: now}}, send: delete}
fields:
  - {column: email, crm: emails, as: primary}
  - {column: first, crm: first_name}
  - {column: last, crm: last_name}
  - {column: phone, crm: phones, as: primary}
"""


async def test_a_row_becomes_a_person_and_back(database: str, tmp_path: Path) -> None:
    """An inserted row is created in the CRM; an edit there comes back; no one is doubled."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES) as world:
        await world.start()
        await world.db.execute("insert into app.contacts (email, first, last) values ('ada@x.test', 'Ada', 'Byron')")
        await world.quiet()
        (person,) = await world.crm("GET", "/api/v2/persons")
        assert (person["first_name"], person["emails"][0]["value"]) == ("Ada", "ada@x.test")
        await world.crm("PATCH", f"/api/v2/persons/{person['id']}", {"phones": [{"value": "+44 1", "primary": True}]})
        await world.quiet()
        rows = await world.db.fetch("select * from app.contacts")
        assert [(row["first"], row["phone"]) for row in rows] == [("Ada", "+44 1")]
