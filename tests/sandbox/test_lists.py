"""Lists: cursors, limits, order, update times, ids."""

import pytest

from connector.sandbox.server import Sandbox
from tests.sandbox.conftest import Client, Ticker


@pytest.mark.parametrize("sort_by", ["id", "update_time", "add_time"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 5, 12, 100])
async def test_pages_cover_everything_once_in_order(crm: Client, sort_by: str, direction: str, limit: int) -> None:
    """Whatever the page size."""
    rows = await crm.walk("/api/v2/persons", sort_by=sort_by, sort_direction=direction, limit=limit)
    keys = [(row[sort_by], row["id"]) for row in rows]
    assert keys == sorted(keys, reverse=direction == "desc")
    assert sorted(row["id"] for row in rows) == list(range(1, 13))


async def test_a_record_edited_during_a_walk_by_update_time_shows_again(crm: Client, ticker: Ticker) -> None:
    """A cursor is a key set, not a snapshot: nothing is missed, the edited one moves to the end."""
    first = await crm.get("/api/v2/persons", sort_by="update_time", limit=5)
    ticker.tick()
    await crm.patch("/api/v2/persons/1", {"name": "Edited"})
    cursor = first.body["additional_data"]["next_cursor"]
    rest = await crm.walk("/api/v2/persons", sort_by="update_time", limit=5, cursor=cursor)
    assert rest[-1]["id"] == 1
    assert {row["id"] for row in first.data + rest} == set(range(1, 13))


async def test_a_cursor_outlives_the_record_it_names(crm: Client, sandbox: Sandbox) -> None:
    """Deleting the last row of a page does not break the walk."""
    first = await crm.get("/api/v2/persons", limit=5)
    await crm.delete("/api/v2/persons/5")
    rest = await crm.walk("/api/v2/persons", limit=5, cursor=first.body["additional_data"]["next_cursor"])
    assert [row["id"] for row in rest] == list(range(6, 13))


async def test_updated_since_is_inclusive_and_until_is_not(crm: Client, ticker: Ticker) -> None:
    """Second resolution."""
    for key in (4, 5, 6):
        ticker.tick()
        await crm.patch(f"/api/v2/persons/{key}", {"name": f"P {key}"})
    window = {"updated_since": "2026-11-20T10:00:02Z", "updated_until": "2026-11-20T10:00:03Z"}
    for sort_by in ("id", "update_time"):
        assert [row["id"] for row in await crm.walk("/api/v2/persons", sort_by=sort_by, **window)] == [5]
    since = await crm.walk("/api/v2/persons", updated_since="2026-11-20T11:00:01+01:00", limit=1)
    assert [row["id"] for row in since] == [4, 5, 6]


async def test_updated_since_leaves_out_deleted_records(crm: Client) -> None:
    """A deletion is not seen by a sweep."""
    await crm.delete("/api/v2/persons/4")
    assert await crm.walk("/api/v2/persons", updated_since="2026-11-20T10:00:00Z") == []


async def test_ids_drops_what_is_not_there(crm: Client) -> None:
    """Unknown, deleted and repeated ids are no error; more than 100 are."""
    await crm.delete("/api/v2/organizations/2")
    rows = await crm.walk("/api/v2/organizations", ids="3,2,1,1,999", limit=1)
    assert [row["id"] for row in rows] == [1, 3]
    assert (await crm.get("/api/v2/organizations", ids=",".join(map(str, range(1, 102))))).status == 400


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 501},
        {"limit": 0},
        {"limit": "x"},
        {"cursor": "rubbish"},
        {"cursor": "e30"},
        {"sort_by": "name"},
        {"sort_direction": "up"},
        {"updated_since": "2026-11-20T10:00:00.500Z"},
        {"updated_since": "2026-11-20 10:00:00"},
        {"ids": "a"},
        {"owner_id": "me"},
        {"include_fields": "nonsense"},
        {"custom_fields": ",".join("abcdefghijklmnop")},
    ],
)
async def test_parameters_are_checked(crm: Client, params: dict[str, str | int]) -> None:
    """A wrong parameter is 400, not ignored."""
    answer = await crm.get("/api/v2/persons", **params)
    assert answer.status == 400
    assert answer.body["code"] == "ERR_SCHEMA_VALIDATION_FAILED"


async def test_a_cursor_belongs_to_its_order(crm: Client) -> None:
    """A cursor of one order is tampering in another."""
    cursor = (await crm.get("/api/v2/persons", limit=1)).body["additional_data"]["next_cursor"]
    assert (await crm.get("/api/v2/persons", cursor=cursor, sort_by="update_time")).status == 400


async def test_filters_narrow(crm: Client) -> None:
    """By owner, organization, deal, pipeline, stage, status."""
    everyone = await crm.walk("/api/v2/persons")
    owner, org = everyone[0]["owner_id"], everyone[0]["org_id"]
    assert await crm.walk("/api/v2/persons", owner_id=owner) == [p for p in everyone if p["owner_id"] == owner]
    assert await crm.walk("/api/v2/persons", org_id=org) == [p for p in everyone if p["org_id"] == org]
    deals = await crm.walk("/api/v2/deals")
    linked = next(deal for deal in deals if deal["person_id"])
    assert [p["id"] for p in await crm.walk("/api/v2/persons", deal_id=linked["id"])] == [linked["person_id"]]
    won = await crm.walk("/api/v2/deals", status="won")
    assert won == [deal for deal in deals if deal["status"] == "won"]
    stages = await crm.walk("/api/v2/stages", pipeline_id=2, sort_by="order_nr")
    assert [stage["order_nr"] for stage in stages] == [1, 2, 3]


async def test_views_add_and_leave_out(crm: Client, sandbox: Sandbox) -> None:
    """Counts, chosen custom fields, option labels."""
    code = sandbox.world.fields.named("person", "Customer tier").code
    plain = (await crm.get("/api/v2/persons/1")).data
    person = (
        await crm.get("/api/v2/persons/1", include_fields="notes_count", custom_fields=code, include_labels="true")
    ).data
    assert list(person["custom_fields"]) == [code]
    assert person["notes_count"] >= 0
    assert person["labels"] == []
    assert set(plain["custom_fields"]) > {code}


async def test_fields_page_by_cursor(crm: Client) -> None:
    """Definitions are a list like any other."""
    rows = await crm.walk("/api/v2/dealFields", limit=3)
    assert len({row["field_code"] for row in rows}) == len(rows)
    assert sum(row["is_custom_field"] for row in rows) == 6
