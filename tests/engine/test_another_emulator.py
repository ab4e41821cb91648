"""The main job with a shipped set against an emulator that shares no line with the sandbox (see `stranger`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import asyncpg
import pytest

from connector.engine.hooks import Hooks
from connector.engine.rotation import Rotation
from connector.sandbox.server import Sandbox
from tests.engine.rig import CONNECTION, FastClock, Rig
from tests.engine.stranger import STAGES, TOKEN, Stranger, stranger
from tests.engine.test_activities import CALL, FILES, PEOPLE, TABLES
from tests.ports import free_port


@asynccontextmanager
async def meeting(
    dsn: str, directory: Path, files: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Rig, Stranger]]:
    """The daemon and the stranger, not yet started."""
    directory.mkdir(parents=True)
    for name, text in {"connection.yaml": CONNECTION, **FILES, **(files or {})}.items():
        (directory / name).write_text(text, encoding="utf-8")
    clock, colleague = FastClock(4.0), {"x-api-token": TOKEN, "x-colleague": "1"}
    async with stranger(clock.now) as other, aiohttp.ClientSession(headers=colleague) as http:
        db = await asyncpg.connect(dsn)
        await db.execute(TABLES)
        world = Rig(dsn, directory, clock, cast("Sandbox", other), db, http, free_port())
        try:
            yield world, other
        finally:
            await world.stop()
            await db.close()


def only(rows: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The one row of a table."""
    (row,) = rows.values()
    return row


async def test_the_main_job_with_a_stranger(database: str, tmp_path: Path) -> None:
    """Records born on either side, edits both ways, a call, a comment, a deletion; nothing twice, nothing refused."""
    async with meeting(database, tmp_path / "set") as (world, other):
        firm = await world.crm("POST", "/api/v2/organizations", {"name": "Łódź Żubr GmbH"})
        people = [{"first_name": f"Zoë {n}", "last_name": "Núñez", "org_id": firm["id"]} for n in range(8)]
        for person in people:
            await world.crm("POST", "/api/v2/persons", person)
        await world.start()
        await world.idle()
        rows = await world.db.fetch(
            "select p.*, c.name firm from app.contacts p join app.companies c on c.id = company_id"
        )
        assert {(row["first_name"], row["last_name"], row["firm"]) for row in rows} == {
            (each["first_name"], "Núñez", "Łódź Żubr GmbH") for each in people
        }

        await world.db.execute(PEOPLE)
        await world.db.execute("update app.deals set amount = 1234.5, currency = 'EUR', step = 'demo'")
        await world.db.execute(f"{CALL} where p.email = 'ada@x.test' and c.id = p.company_id", "zoe@acme.test")
        await world.db.execute("insert into app.comments (body, deal_id) select 'asked', id from app.deals")
        await world.idle()
        ada = next(row for row in other.tables["persons"].values() if row["first_name"] == "Ada")
        deal, call, note = (only(other.tables[name]) for name in ("deals", "activities", "notes"))
        assert (ada["name"], ada["emails"][0]["value"]) == ("Ada Byron", "ada@x.test")
        assert (deal["value"], deal["currency"], deal["person_id"], deal["org_id"]) == (
            1234.5,
            "EUR",
            ada["id"],
            ada["org_id"],
        )
        assert next(each["name"] for each in STAGES if each["id"] == deal["stage_id"]) == "Demo scheduled"
        assert (call["person_id"], call["deal_id"], call["duration"][:5]) == (ada["id"], deal["id"], "00:12")
        assert (note["content"], note["deal_id"]) == ("asked", deal["id"])

        await world.crm("PATCH", f"/api/v2/deals/{deal['id']}", {"status": "won"})
        await world.crm("PATCH", f"/api/v2/persons/{ada['id']}", {"first_name": "Augusta"})
        await world.crm("PATCH", f"/api/v2/persons/{ada['id']}", {"first_name": "Augusta Ada"})
        await world.db.execute("update app.contacts set phone = '+44 1' where email = 'ada@x.test'")
        await world.idle()
        assert await world.db.fetchval("select state from app.deals") == "won"
        row = await world.db.fetchrow("select * from app.contacts where email = 'ada@x.test'")
        assert row is not None
        assert (row["first_name"], row["last_name"], row["phone"]) == ("Augusta Ada", "Byron", "+44 1")
        assert other.tables["persons"][ada["id"]]["phones"][0]["value"] == "+44 1"

        await world.crm("DELETE", f"/api/v2/persons/{ada['id']}")
        await world.idle()
        assert await world.db.fetchval("select archived_at is not null from app.contacts where email = 'ada@x.test'")
        assert len(other.tables["persons"]) == len(people)
        assert await world.db.fetchval("select count(*) from app.contacts") == len(people) + 1
        assert other.refused == []


@pytest.mark.parametrize("kind", ["recent", "full"])
async def test_a_stranger_in_agreement_is_left_alone(database: str, tmp_path: Path, kind: str) -> None:
    """A sweep over records that agree writes nothing on either side, whatever their spelling."""
    async with meeting(database, tmp_path / "set") as (world, other):
        await world.crm("POST", "/api/v2/organizations", {"name": "Acme", "address": {"value": "A 1", "country": "EE"}})
        await world.start()
        await world.db.execute(PEOPLE.replace("values ('Acme')", "values ('Nova')"))
        await world.db.execute(CALL, "zoe@acme.test")
        await world.idle()
        writes, entries = list(other.writes), await world.db.fetchval("select count(*) from connector.journal")
        await world.ask("sweep", {"kind": kind})
        await world.idle()
        assert other.writes == writes
        assert await world.db.fetchval("select count(*) from connector.journal") == entries
        assert other.refused == []


async def test_a_custom_field_that_a_stranger_leaves_out_while_it_is_empty(database: str, tmp_path: Path) -> None:
    """The first value may come from the app, on a record of either origin; the next one from the CRM."""
    contact = f"{FILES['contact.yaml']}\n  - {{column: tier, crm: person field 3}}\n"
    async with meeting(database, tmp_path / "set", {"contact.yaml": contact}) as (world, other):
        await world.db.execute("alter table app.contacts add tier text")
        code = other.fields["person"][3]["field_code"]
        await world.crm("POST", "/api/v2/persons", {"name": "Ada Byron"})
        await world.start()
        await world.db.execute("insert into app.contacts (first_name, last_name) values ('Bo', 'Ek')")
        await world.idle()
        await world.db.execute("update app.contacts set tier = 'gold'")
        await world.idle()
        people = other.tables["persons"].values()
        assert [(each["custom_fields"] or {}).get(code) for each in people] == ["gold", "gold"]
        for each in people:
            await world.crm("PATCH", f"/api/v2/persons/{each['id']}", {"custom_fields": {code: "silver"}})
        await world.idle()
        assert [row["tier"] for row in await world.db.fetch("select tier from app.contacts")] == ["silver", "silver"]


async def test_a_stranger_is_subscribed_to_once(database: str, tmp_path: Path) -> None:
    """Ours is known by its id where the list does not show addresses: the next check makes no second one."""
    async with meeting(database, tmp_path / "set") as (world, other):
        await world.start(fetch_all=False)
        running = world.daemon.running["test"] if world.daemon is not None else None
        assert running is not None
        assert running.context is not None
        assert running.address is not None
        before = list(other.hooks)
        await Hooks(running.context, running.address, Rotation(running.context, running.shared.cipher)).ensure(
            running.address
        )
        assert list(other.hooks) == before
