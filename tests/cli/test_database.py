"""``connector database``: what was found, and a person's word on it, as status, wait, probes and metrics tell it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.cli.conftest import MAPPINGS, Demo, Sides, until

DOUBT = "update connector.connection set role = 'in_doubt', doubt = 'behind', doubted_at = now(), highest_seen = 7"


@pytest.fixture
async def whole(demo: Demo, sides: Sides) -> AsyncIterator[Sides]:
    """Both sides; afterwards the database is the original again."""
    yield sides
    await demo.command("database", "original")
    await _becomes(sides, "ok")


async def test_what_is_on_record_and_found(demo: Demo) -> None:
    """A database that nothing happened to is the one on record."""
    people, program = await asyncio.gather(demo.command("database", "show"), demo.command("database", "show", "--json"))
    (told,) = program.json["connections"]
    assert (told["role"], told["sends"], told["same"], told["doubt"]) == ("original", True, True, None)
    assert told["on_record"] == told["found"]
    assert told["found"]["system_identifier"].isdecimal()
    assert people.out.startswith("sales-engagement: original\n")
    assert told["found"]["system_identifier"] in people.out


async def test_a_doubt_is_seen_everywhere(demo: Demo, whole: Sides) -> None:
    """Show, status, wait, check, readiness and a metric say it, and what to do; nothing is sent."""
    await whole.db.execute(DOUBT)
    await _becomes(whole, "in_doubt")
    shown, status = await asyncio.gather(demo.command("database", "show"), demo.command("status"))
    waited, checked = await asyncio.gather(
        demo.command("wait", "--timeout", "30"), demo.command("check", str(MAPPINGS))
    )
    for said in (shown.out, status.out, waited.err, checked.err):
        assert "sends are refused: the CRM has records of ours that this database does not know" in said
        assert "connector database original" in said
        assert "connector database copy" in said
    assert "sales-engagement: database in doubt" in status.out
    (told,) = (await demo.command("status", "--json")).json["connections"]
    assert told["database"]["role"] == "in_doubt"
    assert (waited.code, checked.code) == (3, 1)
    await until(lambda: _metric(whole, "in_doubt"))
    row = await whole.someone(3)
    await whole.db.execute("update app.contacts set last_name = 'Doubted' where id = $1", row["id"])
    await until(lambda: whole.db.fetchval("select true from connector.work where cause = 'database'"))
    assert (await whole.crm("GET", f"persons/{row['pipedrive_id']}"))["last_name"] != "Doubted"
    chosen = await demo.command("database", "original")
    assert (chosen.code, "sends go on" in chosen.err) == (0, True)
    done = await demo.command("wait", "--timeout", "50")
    assert done.code == 0, done.err
    assert (await whole.crm("GET", f"persons/{row['pipedrive_id']}"))["last_name"] == "Doubted"


async def test_a_copy_says_so(demo: Demo, whole: Sides) -> None:
    """It receives, and waiting for it ends; what it would send waits for a person and is told."""
    assert (await demo.command("database", "copy", "--json")).json == [
        {"connection": "sales-engagement", "role": "copy"}
    ]
    await _becomes(whole, "copy")
    row = await whole.someone(4)
    await whole.db.execute("update app.contacts set last_name = 'Staging' where id = $1", row["id"])
    await whole.crm("PATCH", f"persons/{row['pipedrive_id']}", {"first_name": "Received"})
    done = await demo.command("wait", "--timeout", "50")
    assert done.code == 0, done.err
    assert "needs a person: 1 waiting" in done.err
    first = await whole.db.fetchval("select first_name from app.contacts where id = $1", row["id"])
    assert first == "Received"
    told = await demo.command("explain", "contact", str(row["id"]))
    assert "the database is copy" in told.out
    assert "a copy: it receives, and sends nothing" in (await demo.command("status")).out
    assert (await whole.crm("GET", f"persons/{row['pipedrive_id']}"))["last_name"] != "Staging"


async def test_an_unknown_connection(demo: Demo) -> None:
    """Its name is refused with the choices."""
    refused = await demo.command("database", "copy", "nobody")
    assert (refused.code, "known: sales-engagement" in refused.err) == (1, True)


async def _becomes(sides: Sides, wanted: str) -> None:
    await until(lambda: sides._is(wanted))


async def _metric(sides: Sides, state: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(f"{sides.demo.facts['url']}/metrics") as response:
        text = await response.text()
    return f'connector_connection_state{{connection="sales-engagement",state="{state}"}} 1.0' in text
