"""A row comes to point to a row that the app deleted a moment ago: its own link does not know yet, PostgreSQL does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.engine.accidents.doubt import all_hit, fault_many
from tests.engine.rig import Rig, rig

TABLES: Final = """
create schema app;
create table app.contacts (id bigint generated always as identity primary key, name text);
create table app.deals (id bigint generated always as identity primary key, title text,
  contact_id bigint references app.contacts on delete set null);
"""
FILES: Final = {
    "contact.yaml": """
object: person
table: app.contacts
key: id
direction: both
deletes: {send: delete}
fields:
  - {column: name, crm: name}
""",
    "deal.yaml": """
object: deal
table: app.deals
key: id
direction: both
fields:
  - {column: title, crm: title}
  - {column: contact_id, crm: person_id, link: contact}
""",
}
REFUSES: Final = """
create sequence app.tries;
create function app.refuse() returns trigger language plpgsql as $$
begin
  if nextval('app.tries') <= {times} then
    raise foreign_key_violation using constraint = 'deals_contact_id_fkey', message = 'gone';
  end if;
  return new;
end $$;
create trigger refuse before update on app.deals for each row execute function app.refuse();
"""
"""Refuses so often, as a foreign key does whose row is gone at the very moment of the write."""


@asynccontextmanager
async def _deal(
    database: str, directory: Path, *, speed: float = 1.0, files: Mapping[str, str] = FILES
) -> AsyncIterator[tuple[Rig, dict[str, Any], dict[str, Any]]]:
    """A deal without a person, and a person, on both sides."""
    async with rig(database, directory / "set", files, TABLES, webhooks=True, speed=speed) as world:
        await world.start()
        person = await world.person(name="Ada")
        deal = await world.crm("POST", "/api/v2/deals", {"title": "Rollout"})
        await world.idle()
        yield world, person, deal


async def _row(world: Rig) -> tuple[str, int | None]:
    row = await world.db.fetchrow("select title, contact_id from app.deals")
    assert row is not None
    return row["title"], row["contact_id"]


async def _moved(world: Rig, deal: dict[str, Any], person: dict[str, Any]) -> None:
    await world.crm("PATCH", f"/api/v2/deals/{deal['id']}", {"title": "Later", "person_id": person["id"]})


async def _parked(world: Rig) -> list[str]:
    return [row["cause"] for row in await world.db.fetch("select cause from connector.work where state = 'parked'")]


async def test_a_parent_whose_row_vanished_is_none(database: str, tmp_path: Path) -> None:
    """The contact is deleted but not looked at yet (it is paused): the rest of the deal goes on, the reference is held."""
    async with _deal(database, tmp_path) as (world, person, deal):
        await world.db.execute("update connector.mapping set paused = true where mapping = 'contact'")
        await world.until(lambda: _is_paused(world, "contact"))
        await world.db.execute("delete from app.contacts")
        await _moved(world, deal, person)

        async def told() -> bool:
            return await _row(world) == ("Later", None) or bool(await _parked(world))

        await world.until(told)
        assert await _parked(world) == []
        held = await world.db.fetchval("select held_values from connector.link_status where mapping = 'deal'")
        assert json.loads(held) == {"person_id": "parent_gone"}
        await world.db.execute("update connector.mapping set paused = false")
        await world.idle()
        assert await world.crm("GET", "/api/v2/persons") == []
        assert await _row(world) == ("Later", None)


async def _is_paused(world: Rig, mapping: str) -> bool:
    assert world.daemon is not None
    context = world.daemon.running["test"].context
    return context is not None and mapping in context.gates.paused_mappings


async def test_a_refused_reference_is_looked_at_again(database: str, tmp_path: Path) -> None:
    """The row was gone at the moment of the write only: what the next look sees goes through, nobody is needed."""
    async with _deal(database, tmp_path, speed=10) as (world, person, deal):
        await world.db.execute(REFUSES.format(times=2))
        await _moved(world, deal, person)
        await world.idle()
        assert await _parked(world) == []
        assert await _row(world) == ("Later", 1)


async def test_other_delays_do_not_count_as_looks(database: str, tmp_path: Path) -> None:
    """A record that came back often because the CRM was away is looked at again all the same."""
    async with _deal(database, tmp_path, speed=20) as (world, person, deal):
        await world.db.execute(REFUSES.format(times=2))
        await fault_many(world, *["status"] * 6, method="GET", path="deals", code=500)
        await _moved(world, deal, person)
        await world.until(lambda: all_hit(world))
        await world.idle()
        assert await _parked(world) == []
        assert await _row(world) == ("Later", 1)


async def test_the_row_of_a_restored_record_is_refused_once(database: str, tmp_path: Path) -> None:
    """The deal went with its row and is restored just as its contact's row goes: the next look makes the row all the same.

    Fails when the look that came to nothing takes the evidence of life for known: the record is alone for good.
    """
    files = {**FILES, "deal.yaml": FILES["deal.yaml"].replace("key: id", "key: id\ndeletes: {send: delete}")}
    async with _deal(database, tmp_path, speed=10, files=files) as (world, person, deal):
        await _moved(world, deal, person)
        await world.idle()
        await world.db.execute("delete from app.deals")
        await world.idle()
        await world.db.execute(REFUSES.format(times=1).replace("before update", "before insert"))
        world.clock.leap(2)  # the CRM's clock tells seconds
        await world.control("POST", f"restore/deals/{deal['id']}")
        await world.idle()
        assert await _parked(world) == []
        assert await _row(world) == ("Later", 1)


async def test_a_reference_that_is_always_refused_needs_a_person(database: str, tmp_path: Path) -> None:
    """Refused again with nothing changed: the record is parked, and says by what."""
    async with _deal(database, tmp_path, speed=10) as (world, person, deal):
        await world.db.execute(REFUSES.format(times=1000))
        await _moved(world, deal, person)
        await world.idle()
        assert await _parked(world) == ["row_refused:23503:deals_contact_id_fkey"]
        assert await world.db.fetchval("select last_value from app.tries") > 1


async def test_a_parent_that_is_gone_is_not_written_back(database: str, tmp_path: Path) -> None:
    """The deal only receives its person, whose row the app deletes: the reference that went with it is held."""
    one_way = "contact_id, crm: person_id, link: contact"
    files = {**FILES, "deal.yaml": FILES["deal.yaml"].replace(one_way, f"{one_way}, direction: receive")}
    files["contact.yaml"] = FILES["contact.yaml"].replace("deletes: {send: delete}", "deletes: {send: none}")
    async with _deal(database, tmp_path, files=files) as (world, person, deal):
        await _moved(world, deal, person)
        await world.idle()
        assert await _row(world) == ("Later", 1)
        await world.db.execute("delete from app.contacts")
        await world.idle()
        assert await _parked(world) == []
        held = await world.db.fetchval("select held_values from connector.link_status where mapping = 'deal'")
        assert json.loads(held) == {"person_id": "parent_gone"}
