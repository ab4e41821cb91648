"""Held values: what lets one be tried again, when neither a person nor a clock insists."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.engine.rig import Rig, rig

TABLES: Final = """
create schema app;
create table app.companies (id bigint generated always as identity primary key, name text);
create table app.contacts (id bigint generated always as identity primary key, name text, tier text, company_id bigint);
"""
COMPANY: Final = """
object: organization
table: app.companies
key: id
direction: both
fields:
  - {column: name, crm: name}
"""
CONTACT: Final = """
object: person
table: app.contacts
key: id
direction: both
fields:
  - {column: name, crm: name}
  - {column: tier, crm: Tier}
  - {column: company_id, crm: org_id, link: company}
"""
FILES: Final = {"company.yaml": COMPANY, "contact.yaml": CONTACT}


async def held(world: Rig) -> dict[str, str]:
    """Line → cause of what is held of the contact."""
    found: dict[str, str] = json.loads(
        await world.db.fetchval("select held from connector.link where mapping = 'contact' and app_key = '1'") or "{}"
    )
    return found


async def person(world: Rig) -> dict[str, Any]:
    """The only person."""
    found = await world.crm("GET", "/api/v2/persons")
    assert len(found) == 1
    one: dict[str, Any] = found[0]
    return one


async def tier_field(world: Rig, *labels: str) -> dict[str, Any]:
    """The person's field Tier with these options."""
    options = [{"label": label} for label in labels]
    body = {"field_name": "Tier", "field_type": "enum", "options": options}
    made: dict[str, Any] = await world.crm("POST", "/api/v2/personFields", body)
    return made


async def _row_changes(world: Rig) -> None:
    await world.db.execute("update app.contacts set name = 'Ada L.'")
    await world.idle()


async def _record_changes(world: Rig) -> None:
    await world.crm("PATCH", f"/api/v2/persons/{(await person(world))['id']}", {"name": "Ada L."})
    await world.quiet()


async def _full_sweep(world: Rig) -> None:
    await world.ask("sweep", {"kind": "full"})
    await world.idle()


async def _sync(world: Rig) -> None:
    await world.ask("sync", {"mapping": "contact", "key": "1"})
    await world.idle()


@pytest.mark.parametrize("happens", [_row_changes, _record_changes, _sync])
async def test_a_refused_value_is_tried_again(
    database: str, tmp_path: Path, happens: Callable[[Rig], Awaitable[None]]
) -> None:
    """The CRM refused the contact's organization, which was deleted and is back: the next look at the contact sends it."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await tier_field(world, "Gold")
        await world.start()
        await world.db.execute("insert into app.companies (name) values ('old'), ('new')")
        await world.db.execute("insert into app.contacts (name, company_id) values ('Ada', 1)")
        await world.quiet()
        new = await world.db.fetchval("select crm_id from connector.link where mapping = 'company' and app_key = '2'")
        await world.crm("DELETE", f"/api/v2/organizations/{new}")
        await world.db.execute("update app.contacts set company_id = 2")
        await world.until(lambda: held(world))
        assert await held(world) == {"org_id": "refused"}
        await world.idle()
        await world.control("POST", f"restore/organization/{new}")
        await happens(world)
        assert (await person(world))["org_id"] == int(new)
        assert await held(world) == {}


async def test_a_sweep_does_not_send_again_what_was_refused(database: str, tmp_path: Path) -> None:
    """Every full sweep would cost a call for each such value; what changed on either side goes out with the next one."""
    mapping = CONTACT.replace("company_id, crm: org_id, link: company", "company_id, crm: org_id")
    async with rig(database, tmp_path / "set", {"contact.yaml": mapping}, TABLES) as world:
        await tier_field(world, "Gold")
        org = (await world.crm("POST", "/api/v2/organizations", {"name": "Acme"}))["id"]
        await world.start()
        await world.db.execute("insert into app.contacts (name, company_id) values ('Ada', 999)")
        await world.idle()
        assert await held(world) == {"org_id": "refused"}
        sent = _updates(world)
        for _ in range(2):
            await _full_sweep(world)
        assert (_updates(world), await held(world)) == (sent, {"org_id": "refused"})
        await _sync(world)
        assert (_updates(world), await held(world)) == (sent + 1, {"org_id": "refused"})
        await _unseen(world, f"update app.contacts set company_id = {org + 1}")
        await _full_sweep(world)
        assert (_updates(world), await held(world)) == (sent + 2, {"org_id": "refused"})
        await _unseen(world, f"update app.contacts set company_id = {org}")
        await _full_sweep(world)
        assert ((await person(world))["org_id"], await held(world)) == (org, {})


async def test_a_sweep_does_not_send_again_what_was_refused_as_a_whole(database: str, tmp_path: Path) -> None:
    """Nobody tells why: the record is parked, and stays so without a call until something changes or somebody asks.

    Fails when a sweep makes due whatever is parked: each would cost the calls again, every time.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await tier_field(world, "Gold")
        await world.start()
        await world.db.execute("insert into app.contacts (name) values ('Ada')")
        await world.quiet()
        rule = {"kind": "status", "method": "PATCH", "path": "persons", "code": 422, "body": "empty"}
        await world.control("POST", "faults", rule)
        await world.db.execute("update app.contacts set name = 'Bea'")
        await world.until(lambda: _parked(world))
        sent = _updates(world)
        for _ in range(2):
            await _full_sweep(world)
        assert (_updates(world), await _parked(world)) == (sent, ["refused:422"])
        await world.control("DELETE", "faults")
        await _full_sweep(world)
        assert await _parked(world) == ["refused:422"]
        await world.ask("retry", {})
        await world.idle()
        assert ((await person(world))["name"], await _parked(world)) == ("Bea", [])


async def _parked(world: Rig) -> list[str]:
    return [row["cause"] for row in await world.db.fetch("select cause from connector.work where state = 'parked'")]


async def _unseen(world: Rig, statement: str) -> None:
    """An edit that no trigger notes."""
    async with world.db.transaction():
        await world.db.execute("set local session_replication_role = replica")
        await world.db.execute(statement)


def _updates(world: Rig) -> int:
    """So many updates of persons were sent."""
    assert world.daemon is not None
    samples = [sample for family in world.daemon.metrics.registry.collect() for sample in family.samples]
    sent = [s.value for s in samples if s.name == "connector_crm_requests_total" and "PATCH" in s.labels["endpoint"]]
    return round(sum(sent))


async def test_a_new_option_of_the_crm_lets_held_values_pass(database: str, tmp_path: Path) -> None:
    """The row says a word that is no option of the field: when somebody adds the option, the value follows by itself."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        field = await tier_field(world, "Gold")
        await world.start()
        await world.db.execute("insert into app.contacts (name, tier) values ('Ada', 'Silver')")
        await world.until(lambda: held(world))
        await world.idle()
        code = field["field_code"]
        await world.crm("POST", f"/api/v2/personFields/{code}/options", [{"label": "Silver"}])
        world.clock.leap(3600)
        await world.until(lambda: _is_free(world))
        await world.idle()
        assert (await person(world))["custom_fields"][code] is not None


async def test_a_new_option_is_noticed_by_the_next_start(database: str, tmp_path: Path) -> None:
    """The option was added while no daemon ran: the held value follows all the same."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        field = await tier_field(world, "Gold")
        await world.start()
        await world.db.execute("insert into app.contacts (name, tier) values ('Ada', 'Silver')")
        await world.until(lambda: held(world))
        await _goes_by(world)
        await world.stop()
        await world.crm("POST", f"/api/v2/personFields/{field['field_code']}/options", [{"label": "Silver"}])
        await world.start(fetch_all=False)
        await world.until(lambda: _is_free(world))


async def test_a_mapping_edited_while_nobody_ran(database: str, tmp_path: Path) -> None:
    """The file now says what the row's word means: the next start looks at everything again."""
    files = {**FILES, "contact.yaml": CONTACT.replace("crm: Tier}", "crm: Tier, values: {gold: Gold}}")}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        await tier_field(world, "Gold", "Silver")
        await world.start()
        await world.db.execute("insert into app.contacts (name, tier) values ('Ada', 'silver')")
        await world.until(lambda: held(world))
        await _goes_by(world)
        await world.stop()
        edited = CONTACT.replace("crm: Tier}", "crm: Tier, values: {gold: Gold, silver: Silver}}")
        (tmp_path / "set" / "contact.yaml").write_text(edited, encoding="utf-8")
        await world.start(fetch_all=False)
        await world.until(lambda: _is_free(world))


async def _goes_by(world: Rig) -> None:
    """Time passes and others change: the recent sweep of the next start does not look at the contact by itself."""
    await world.idle()
    world.clock.leap(60)
    await world.db.execute("insert into app.contacts (name) values ('Bob')")
    await world.idle()
    await world.quiet()


async def _is_free(world: Rig) -> bool:
    return not await held(world)


async def test_a_value_that_is_taken_back_is_held_no_more(database: str, tmp_path: Path) -> None:
    """The row says again what was agreed on: nothing is to be written, and nobody is to look at it.

    Fails when only a write ends a held value.
    """
    mapping = CONTACT.replace("crm: Tier", "crm: Tier, values: {gold: Gold}")
    async with rig(database, tmp_path / "set", {"contact.yaml": mapping, "company.yaml": COMPANY}, TABLES) as world:
        await tier_field(world, "Gold")
        await world.start()
        await world.db.execute("insert into app.contacts (name, tier) values ('Ada', 'gold')")
        await world.quiet()
        await world.db.execute("update app.contacts set tier = 'tin'")
        await world.until(lambda: held(world))
        await world.db.execute("update app.contacts set tier = 'gold'")
        await world.idle()
        assert await held(world) == {}
