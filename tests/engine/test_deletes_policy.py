"""`deletes`: what a deletion on one side does to the other, and what happens when the dead come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import Rig, rig

TABLES = """
create schema app;
create table app.contacts (id bigint generated always as identity primary key, email text, name text,
  archived_at timestamptz, state text not null default 'active');
"""
HEARING = pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "sweeps"])


def _contact(deletes: str) -> str:
    return f"""
object: person
table: app.contacts
key: id
direction: both
match: [email]
{deletes}
fields:
  - {{column: email, crm: emails, as: primary}}
  - {{column: name, crm: name}}
"""


async def _pair(world: Rig) -> int:
    """One pair, daemon running; the person's id."""
    await world.start()
    await world.db.execute("insert into app.contacts (email, name) values ('ada@x.test', 'Ada')")
    await world.quiet()
    return int((await world.crm("GET", "/api/v2/persons"))[0]["id"])


async def _rest(world: Rig) -> None:
    """Everything has been heard of: by webhooks where there are some, else by sweeps."""
    if world.port is not None:
        await world.idle()
        return
    await world.ask("sweep", {"kind": "full"})
    await world.quiet()


async def _rows(world: Rig) -> list[dict[str, Any]]:
    return [dict(row) for row in await world.db.fetch("select * from app.contacts order by id")]


async def _people(world: Rig) -> list[str]:
    return [person["name"] for person in await world.crm("GET", "/api/v2/persons")]


async def _link(world: Rig) -> str:
    return str(await world.db.fetchval("select string_agg(state, ',') from connector.link"))


@HEARING
async def test_a_deleted_record_deletes_its_row(database: str, tmp_path: Path, *, webhooks: bool) -> None:
    """`receive: delete`: the row goes; the journal keeps what it said."""
    files = {"contact.yaml": _contact("deletes: {receive: delete}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        person = await _pair(world)
        await world.crm("DELETE", f"/api/v2/persons/{person}")
        await _rest(world)
        assert await _rows(world) == []
        last = await world.db.fetchrow("select * from connector.journal order by id desc limit 1")
        assert last is not None
        assert (last["side"], last["action"]) == ("app", "delete")
        await _rest(world)
        assert await _people(world) == []


@HEARING
async def test_a_deleted_record_marks_its_row_until_it_is_restored(
    database: str, tmp_path: Path, *, webhooks: bool
) -> None:
    """`receive: {set: …}`: written once; restored in the CRM, what still holds our value is cleared, what was edited stays."""
    files = {"contact.yaml": _contact("deletes: {receive: {set: {archived_at: now}}}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        person = await _pair(world)
        await world.crm("DELETE", f"/api/v2/persons/{person}")
        await _rest(world)
        (row,) = await _rows(world)
        assert row["archived_at"] is not None
        assert row["name"] == "Ada"
        await world.control("POST", f"restore/persons/{person}")
        await _rest(world)
        (row,) = await _rows(world)
        assert row["archived_at"] is None
        await world.db.execute("update app.contacts set name = 'Ada Byron'")
        await _rest(world)
        assert await _people(world) == ["Ada Byron"]


async def test_what_somebody_else_wrote_stays_when_a_record_is_restored(database: str, tmp_path: Path) -> None:
    """The app moved the mark itself meanwhile: it is the app's now."""
    files = {"contact.yaml": _contact("deletes: {receive: {set: {archived_at: now, state: gone}}}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        person = await _pair(world)
        await world.crm("DELETE", f"/api/v2/persons/{person}")
        await world.idle()
        await world.db.execute("update app.contacts set archived_at = '2020-01-01'")
        await world.control("POST", f"restore/persons/{person}")
        await world.idle()
        (row,) = await _rows(world)
        assert (row["archived_at"].year, row["state"]) == (2020, "active")
        assert await world.db.fetchval("select count(*) from connector.work") == 0


@HEARING
async def test_a_record_made_again_takes_the_row_of_the_deleted_one(
    database: str, tmp_path: Path, *, webhooks: bool
) -> None:
    """The row whose record died is nobody's: a new record with its e-mail is paired with it, and the mark is taken back.

    Fails when tombstones count as linked: the record is parked as a duplicate for good.
    """
    files = {"contact.yaml": _contact("deletes: {receive: {set: {archived_at: now, state: gone}}}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        person = await _pair(world)
        await world.crm("DELETE", f"/api/v2/persons/{person}")
        await _rest(world)
        again = await world.person(name="Ada", emails=[{"value": "ADA@x.test", "primary": True}])
        await _rest(world)
        (row,) = await _rows(world)
        assert (row["archived_at"], row["state"]) == (None, "active")
        await world.crm("PATCH", f"/api/v2/persons/{again['id']}", {"name": "Ada Byron"})
        await _rest(world)
        assert [row["name"] for row in await _rows(world)] == ["Ada Byron"]
        assert await world.db.fetchval("select count(*) from connector.work") == 0


@HEARING
@pytest.mark.parametrize("policy", ["unlink", "none"])
async def test_a_row_made_again_takes_the_record_of_the_deleted_one(
    database: str, tmp_path: Path, policy: str, *, webhooks: bool
) -> None:
    """The record whose row died is nobody's: a new row with its e-mail is paired with it, nothing is doubled.

    Fails when tombstones count as linked: the row is parked as a duplicate for good.
    """
    files = {"contact.yaml": _contact(f"deletes: {{send: {policy}}}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        await _pair(world)
        await world.db.execute("delete from app.contacts")
        await _rest(world)
        await world.db.execute("insert into app.contacts (email, name) values ('ada@x.test', 'Ada')")
        await _rest(world)
        await world.db.execute("update app.contacts set name = 'Ada Byron'")
        await _rest(world)
        assert await _people(world) == ["Ada Byron"]
        assert await world.db.fetchval("select count(*) from connector.work") == 0


@pytest.mark.parametrize("policy", ["unlink", "none"])
async def test_a_deleted_record_leaves_its_row_alone(database: str, tmp_path: Path, policy: str) -> None:
    """`receive: unlink` and `none`: the row stays and makes no new record, also when it is edited.

    Restored, the record is kept apart from it until `sync` pairs them again.
    """
    files = {"contact.yaml": _contact(f"deletes: {{receive: {policy}}}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        person = await _pair(world)
        await world.crm("DELETE", f"/api/v2/persons/{person}")
        await world.idle()
        await world.db.execute("update app.contacts set name = 'Ada Byron'")
        await world.idle()
        await world.ask("fetch_all", {})
        await world.idle()
        assert [row["name"] for row in await _rows(world)] == ["Ada Byron"]
        assert await _people(world) == []
        await world.control("POST", f"restore/persons/{person}")
        await world.crm("PATCH", f"/api/v2/persons/{person}", {"name": "Ada King"})
        await world.idle()
        assert [row["name"] for row in await _rows(world)] == ["Ada Byron"]
        assert await _people(world) == ["Ada King"]
        await world.ask("sync", {"mapping": "contact", "key": "1"})
        await world.idle()
        assert [row["name"] for row in await _rows(world)] == await _people(world)


@HEARING
async def test_a_deleted_row_deletes_its_record(database: str, tmp_path: Path, *, webhooks: bool) -> None:
    """`send: delete`: the record goes to the CRM's bin."""
    files = {"contact.yaml": _contact("deletes: {send: delete}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        await _pair(world)
        await world.db.execute("delete from app.contacts")
        await _rest(world)
        assert await _people(world) == []
        assert await _rows(world) == []


@HEARING
async def test_a_record_that_went_with_its_row_is_restored(database: str, tmp_path: Path, *, webhooks: bool) -> None:
    """A person takes it out of the CRM's bin: it is back as the row it was, and goes with it once more."""
    files = {"contact.yaml": _contact("deletes: {send: delete}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        person = await _pair(world)
        await world.crm("PATCH", f"/api/v2/persons/{person}", {"name": "Ada B."})
        await _rest(world)
        await world.db.execute("delete from app.contacts")
        await _rest(world)
        assert await _people(world) == []
        world.clock.leap(2)  # the CRM's clock tells seconds
        await world.control("POST", f"restore/persons/{person}")
        await _rest(world)
        assert [(row["id"], row["name"]) for row in await _rows(world)] == [(1, "Ada B.")]
        await world.db.execute("update app.contacts set name = 'Ada Byron'")
        await _rest(world)
        assert await _people(world) == ["Ada Byron"]
        await world.db.execute("delete from app.contacts")
        await _rest(world)
        assert (await _people(world), await _rows(world)) == ([], [])


async def test_a_restored_record_makes_no_row_where_nothing_is_received(database: str, tmp_path: Path) -> None:
    """The row was the app's, and is gone: the restored record stays alone."""
    files = {"contact.yaml": _contact("deletes: {send: delete}").replace("direction: both", "direction: send")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        person = await _pair(world)
        await world.db.execute("delete from app.contacts")
        await world.idle()
        world.clock.leap(2)
        await world.control("POST", f"restore/persons/{person}")
        await _rest(world)
        assert (await _people(world), await _rows(world)) == (["Ada"], [])


@pytest.mark.parametrize("policy", ["unlink", "none"])
async def test_a_deleted_row_leaves_its_record_alone(database: str, tmp_path: Path, policy: str) -> None:
    """`send: unlink` and `none`: the record stays and comes back as no row, also when it is edited or listed."""
    files = {"contact.yaml": _contact(f"deletes: {{send: {policy}}}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        person = await _pair(world)
        await world.db.execute("delete from app.contacts")
        await world.idle()
        await world.crm("PATCH", f"/api/v2/persons/{person}", {"name": "Ada Byron"})
        await world.idle()
        await world.ask("fetch_all", {})
        await world.idle()
        assert await _people(world) == ["Ada Byron"]
        assert await _rows(world) == []
        await world.db.execute(
            "insert into app.contacts (id, email, name) overriding system value values (1, 'ada@x.test', 'Ada King')"
        )
        await world.idle()
        assert await _people(world) == ["Ada Byron"]
        await world.ask("sync", {"mapping": "contact", "key": "1"})
        await world.idle()
        assert [row["name"] for row in await _rows(world)] == await _people(world)


async def test_deletions_while_the_daemon_is_away(database: str, tmp_path: Path) -> None:
    """A row and a record are deleted while nobody listens: the first is noted, the second found by a full sweep."""
    files = {"contact.yaml": _contact("deletes: {receive: delete, send: delete}")}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        await _pair(world)
        await world.db.execute("insert into app.contacts (email, name) values ('bob@x.test', 'Bob')")
        await world.quiet()
        people = {person["name"]: person["id"] for person in await world.crm("GET", "/api/v2/persons")}
        await world.stop()
        await world.db.execute("delete from app.contacts where name = 'Ada'")
        await world.crm("DELETE", f"/api/v2/persons/{people['Bob']}")
        await world.start(fetch_all=False)
        await _rest(world)
        assert await _people(world) == []
        assert await _rows(world) == []


async def test_a_record_nobody_can_see_is_missing_and_not_deleted(database: str, tmp_path: Path) -> None:
    """A bare 404 deletes nothing: parked as `missing`, and at work again when the record answers."""
    files = {"contact.yaml": _contact("deletes: {receive: delete}")}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        person = await _pair(world)
        await world.control("POST", "visibility", {"records": [["person", person]]})
        await _rest(world)
        assert [row["name"] for row in await _rows(world)] == ["Ada"]
        assert await world.db.fetchval("select cause from connector.work where state = 'parked'") == "missing"
        await world.control("POST", "visibility", {"records": [["person", person]], "hidden": False})
        await world.crm("PATCH", f"/api/v2/persons/{person}", {"name": "Ada Byron"})
        await _rest(world)
        assert [row["name"] for row in await _rows(world)] == ["Ada Byron"]
        assert await world.db.fetchval("select count(*) from connector.work") == 0


async def test_a_new_row_with_the_key_of_a_deleted_one(database: str, tmp_path: Path) -> None:
    """The app replaces a row by another with the same e-mail: the tombstone of the first does not stand in its way."""
    files = {"contact.yaml": _contact("deletes: {receive: delete, send: delete}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        first = await _pair(world)
        await world.db.execute("delete from app.contacts")
        await world.idle()
        await world.db.execute("insert into app.contacts (email, name) values ('ada@x.test', 'Ada the second')")
        await world.idle()
        (person,) = await world.crm("GET", "/api/v2/persons")
        assert (person["name"], person["id"] != first) == ("Ada the second", True)
        assert [row["name"] for row in await _rows(world)] == ["Ada the second"]


async def test_a_row_that_gets_another_key(database: str, tmp_path: Path) -> None:
    """Its e-mail belongs to the record of its old key until that one goes with it; then it is at work by itself again.

    Fails when what was parked for having another's key is left to a person once the other is gone.
    """
    files = {"contact.yaml": _contact("deletes: {receive: delete, send: delete}")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        first = await _pair(world)
        await world.db.execute("update app.contacts set id = default")
        await world.idle()
        (person,) = await world.crm("GET", "/api/v2/persons")
        assert (person["name"], person["id"] != first) == ("Ada", True)
        assert await world.db.fetchval("select string_agg(cause, ',') from connector.work") is None


@HEARING
async def test_a_row_that_comes_back_under_its_key(database: str, tmp_path: Path, *, webhooks: bool) -> None:
    """Its record went with it, or it with its record: a new one is made, as for any other new row.

    Fails when the tombstone of the row stands in its way: it never gets a record.
    """
    files = {"contact.yaml": _contact("deletes: {receive: delete, send: delete}")}
    again = "insert into app.contacts (id, email, name) overriding system value values (1, 'ada@x.test', 'Ada again')"
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        await _pair(world)
        await world.db.execute("delete from app.contacts")
        await _rest(world)
        await world.db.execute(again)
        await _rest(world)
        assert await _people(world) == ["Ada again"]
        (person,) = await world.crm("GET", "/api/v2/persons")
        await world.crm("DELETE", f"/api/v2/persons/{person['id']}")
        await _rest(world)
        assert await _rows(world) == []
        await world.db.execute(again)
        await _rest(world)
        assert await _people(world) == ["Ada again"]
        assert len(await _rows(world)) == 1
        assert await world.db.fetchval("select count(*) from connector.work") == 0
