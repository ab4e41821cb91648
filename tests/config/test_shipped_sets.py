"""The sets under mappings/ load without a word, and fit a sandbox account and the tables they bring."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from connector.config.loader import load
from connector.core.bind import bind
from connector.core.line import Bound, BoundMapping, Refs
from connector.core.model import AppKey, CrmId, Json, Lane
from connector.local.catalogue import describe
from tests.crm.sandboxed import account

MAPPINGS = Path(__file__).parents[2] / "mappings"
CONTACT = "3f0c7f6e-1111-4222-8333-944455556666"
SETS = sorted(path.parent.name for path in MAPPINGS.glob("*/connection.yaml"))


@pytest.mark.parametrize("name", SETS)
def test_a_shipped_set_loads_without_warnings(name: str) -> None:
    """Named like its directory, with a README."""
    loaded = load(MAPPINGS / name)
    assert loaded.set.connection.name == name
    assert loaded.set.mappings
    assert loaded.warnings == ()
    assert (MAPPINGS / name / "README.md").is_file()


@pytest.mark.parametrize("name", SETS)
async def test_a_shipped_set_fits_its_tables_and_the_sandbox(name: str, database: str) -> None:
    """No problem, not even a warning; tables.sql can be applied twice."""
    found = await _bound(name, database)
    assert [str(problem) for problem in found.problems] == []
    assert found.mappings


async def test_what_a_sales_app_sends(database: str) -> None:
    """The call, e-mail and task that a salesperson reads in the CRM."""
    mappings = (await _bound("sales-engagement", database)).mappings
    call = {
        "direction": "outbound", "state": "completed", "started_at": "2026-11-02 09:15:40+01", "duration_s": "754",
        "recording_url": "https://rec.test/1?a=b", "details": "Wants <b>two</b>\nCall again", "contact_id": CONTACT,
    }  # fmt: skip
    assert _sent(mappings["call"], call) == {
        "type": "call",
        "done": True,
        "subject": "Outbound call, completed",
        "due_date": "2026-11-02",
        "due_time": "08:15:40",
        "duration": "00:12",
        "note": '<a href="https://rec.test/1?a=b">Recording</a><br>Wants &lt;b&gt;two&lt;/b&gt;<br>Call again<br>',
        "person_id": "7",
    }
    email = {"from_address": "ana@acme.test", "to_addresses": "zoë@x.test", "body": "Hi,\nbye", "subject": "Offer"}
    assert _sent(mappings["email"], email)["note"] == ("From: ana@acme.test<br>To: zoë@x.test<br><br>Hi,<br>bye<br>")
    task = {"name": "Prepare offer", "status": "done", "completed_at": "2026-11-02 10:00:00+00", "worked_s": "5400"}
    found = _sent(mappings["task"], task)
    assert (found["subject"], found["duration"], found["done"]) == ("Prepare offer", "01:30", True)
    assert found["note"] == "Status: done<br>Completed: 2026-11-02 10:00:00+00"
    assert [condition.name for condition in mappings["task"].only_send] == ["completed_at"]


def _sent(mapping: BoundMapping, row: dict[str, str]) -> dict[str, Json]:
    columns = {name: row.get(name) for name in mapping.table.columns}
    refs = Refs(by_app={("contact", AppKey(CONTACT)): CrmId("7")})
    values = [(line, line.converter.read_app(columns)) for line in mapping.every_line]
    sent: dict[str, Json] = {}
    for line, value in values:
        if value is not None:
            sent |= line.converter.write_crm(line.converter.to_crm(value, refs), {})
    return sent


async def _bound(name: str, database: str) -> Bound:
    spec = load(MAPPINGS / name).set
    async with asyncpg.create_pool(database, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        for _ in range(2):
            await connection.execute((MAPPINGS / name / "tables.sql").read_text(encoding="utf-8"))
        tables = await describe(connection, {(each.schema, each.table) for each in spec.mappings})
    async with account() as subject:
        return bind(spec, await subject.crm.metadata(lane=Lane.MANUAL), tables)
