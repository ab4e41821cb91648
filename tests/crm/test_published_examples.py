"""Every example answer that Pipedrive publishes for an operation in use is read by the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connector.core.errors import RefusedError, UnauthorisedError
from connector.core.model import CrmId, Json, Lane, Record
from connector.ports import Create, Delete, Done, Update
from tests.crm.scripted import Answers, Said, ok, scripted
from tests.published import examples, needs_files

pytestmark = needs_files
LANE = Lane.LIVE
PATHS = {
    "person": ("v2", "persons"),
    "organization": ("v2", "organizations"),
    "deal": ("v2", "deals"),
    "activity": ("v2", "activities"),
    "note": ("v1", "notes"),
}
OBJECTS = pytest.mark.parametrize("name", sorted(PATHS))
TEXTS = {"person": "name", "organization": "name", "deal": "title", "activity": "subject", "note": "content"}


def example(name: str, method: str, tail: str = "") -> Any:
    """The example of a success of one operation on an object."""
    version, path = PATHS[name]
    found = examples(version, f"/{path}{tail}", method)
    return next(found[status] for status in sorted(found) if status < 300)


def line(name: str, method: str, tail: str = "") -> str:
    """The request line of one operation on an object."""
    version, path = PATHS[name]
    return f"{method} /api/{version}/{path}{tail}"


def last(listed: Any) -> Said:
    """A list's example as the last page."""
    return Said({**listed, "additional_data": {"next_cursor": None}})


def same(record: Record, shown: Mapping[str, Any], name: str) -> None:
    """The record says what the example shows, in the spelling of records."""
    assert (record.object, record.id, record.archived) == (name, str(shown["id"]), False)
    assert record.fields[TEXTS[name]] == shown[TEXTS[name]]
    assert record.version == record.fields["update_time"]
    assert record.modified_at is not None
    assert record.modified_at.isoformat()[:19].replace("T", " ") == shown["update_time"][:19].replace("T", " ")
    kept = {key: value for key, value in shown.items() if key in record.fields and not key.endswith("_time")}
    assert {key: record.fields[key] for key in kept} == kept


@OBJECTS
async def test_a_single_record(name: str) -> None:
    """GET by id."""
    shown = example(name, "GET", "/{id}")
    async with scripted({line(name, "GET", "/1"): Said(shown)}) as (crm, _):
        (record,) = (await crm.read(name, [CrmId("1")], lane=LANE)).values()
    assert isinstance(record, Record)
    same(record, shown["data"], name)


@OBJECTS
async def test_a_list(name: str) -> None:
    """All pages; the cursor of the example comes back as it was given."""
    shown = example(name, "GET")
    more = shown["additional_data"].get("pagination")
    end = ok([], additional_data={"pagination": {**(more or {}), "more_items_in_collection": False}})
    pages = [Said(shown), last(shown) if more is None else end]
    archived = {"GET /api/v2/deals/archived": last(examples("v2", "/deals/archived", "GET")[200])}
    async with scripted({line(name, "GET"): pages, **(archived if name == "deal" else {})}) as (crm, script):
        page = await crm.listing(name, None, lane=LANE)
        assert page.cursor is not None
        following = await crm.listing(name, page.cursor, lane=LANE)
    same(page.records[0], shown["data"][0], name)
    again = script.asked[1].query
    assert again.get("cursor") == shown["additional_data"].get("next_cursor")
    assert (following.cursor is None) is (name != "deal")


@OBJECTS
async def test_many_by_id(name: str) -> None:
    """A batch is answered by a list; ids that it lacks are asked for one by one."""
    shown, single = example(name, "GET"), example(name, "GET", "/{id}")
    answers: Answers = {line(name, "GET"): last(shown), line(name, "GET", "/1"): Said(single)}
    async with scripted(answers) as (crm, _):
        found = await crm.read(name, [CrmId(str(n)) for n in range(1, 16)], lane=LANE)
    assert [type(each).__name__ for each in found.values()] == ["Record"] + ["NotVisible"] * 14


@OBJECTS
async def test_a_create_and_an_update(name: str) -> None:
    """The example is the stored record: nothing is read back."""
    fields: dict[str, Json] = {TEXTS[name]: "x", **({"person_id": "1"} if name == "note" else {})}
    method = "PUT" if name == "note" else "PATCH"
    made, changed = example(name, "POST"), example(name, method, "/{id}")
    answers: Answers = {line(name, "POST"): Said(made), line(name, method, "/1"): Said(changed)}
    async with scripted(answers) as (crm, script):
        seen = Record(name, CrmId("1"), {"id": 1})
        outcomes = await crm.write([Create(name, fields), Update(name, CrmId("1"), fields, seen)], lane=LANE)
    assert len(script.asked) == 2
    for outcome, shown in zip(outcomes, (made, changed), strict=True):
        assert isinstance(outcome, Done)
        assert outcome.record is not None
        same(outcome.record, shown["data"], name)


@OBJECTS
async def test_a_deletion(name: str) -> None:
    """`{"id": 1}` of v2 and `true` of v1."""
    async with scripted({line(name, "DELETE", "/1"): Said(example(name, "DELETE", "/{id}"))}) as (crm, _):
        assert await crm.write([Delete(name, CrmId("1"))], lane=LANE) == [Done(None)]


DEFINITIONS = ("personFields", "organizationFields", "dealFields", "activityFields", "pipelines", "stages")


async def test_the_definitions() -> None:
    """Fields, pipelines, stages, users, activity types, the caller."""
    answers = {f"GET /api/v2/{each}": last(examples("v2", f"/{each}", "GET")[200]) for each in DEFINITIONS}
    answers |= {f"GET /api/v1/{each}": Said(examples("v1", f"/{each}", "GET")[200]) for each in ("users", "users/me")}
    answers["GET /api/v1/activityTypes"] = Said(examples("v1", "/activityTypes", "GET")[200])
    async with scripted(answers) as (crm, _):
        told = await crm.metadata(lane=LANE)
        account = await crm.account()
    source = next(each for each in told.fields["person"] if each.custom)
    assert (source.name, [(each.id, each.label) for each in source.options]) == (
        "Lead Source",
        [("1", "Inbound"), ("2", "Outbound")],
    )
    assert told.pipelines == {"1": "Pipeline Name"}
    assert [(each.id, each.name, each.pipeline_id) for each in told.stages] == [("1", "Stage Name", "1")]
    assert [(each.id, each.email, each.active) for each in told.users] == [
        ("1", "john@pipedrive.com", True),
        ("2", "jane@pipedrive.com", True),
    ]
    assert (told.me, account.user, account.company) == ("1", "1", "54235233")


@pytest.mark.parametrize("name", ["person", "organization", "deal"])
async def test_a_new_identity_field(name: str) -> None:
    """The field that the API says it made is the one whose key is used."""
    path = f"{name}Fields"
    made = examples("v2", f"/{path}", "POST")[200]
    answers = {f"GET /api/v2/{path}": ok([], additional_data={"next_cursor": None}), f"POST /api/v2/{path}": Said(made)}
    record = {"id": 1, "name": "x", "title": "x", "add_time": "2026-01-01T00:00:00Z", "update_time": None}
    code = made["data"]["field_code"]
    answers[line(name, "GET", "/1")] = ok({**record, "custom_fields": {code: "contact:1"}})
    async with scripted(answers) as (crm, _):
        assert await crm.ensure_identity(name, "Connector ID", lane=LANE)
        (seen,) = (await crm.read(name, [CrmId("1")], lane=LANE)).values()
    assert isinstance(seen, Record)
    assert seen.identity == "contact:1"


async def test_webhook_subscriptions() -> None:
    """Listed, made, ended, refused."""
    listed, made = examples("v1", "/webhooks", "GET"), examples("v1", "/webhooks", "POST")
    ended = examples("v1", "/webhooks/{id}", "DELETE")
    answers: Answers = {
        "GET /api/v1/webhooks": [Said(listed[200]), Said(listed[401], 401)],
        "POST /api/v1/webhooks": [Said(made[201], 201), Said(made[400], 400)],
        "DELETE /api/v1/webhooks/1": [Said(ended[200]), Said(ended[404], 404)],
    }
    async with scripted(answers) as (crm, _):
        (row,) = await crm.subscriptions(lane=LANE)
        assert (row.id, row.url, row.active, row.last_status) == ("1", "http://example.org", True, None)
        assert (await crm.subscribe("http://hook.test", "u", "p", lane=LANE)).id == "1"
        await crm.unsubscribe("1", lane=LANE)
        await crm.unsubscribe("1", lane=LANE)
        with pytest.raises(RefusedError) as refused:
            await crm.subscribe("http://hook.test", "u", "p", lane=LANE)
        assert refused.value.fields == ("subscription_url",)
        with pytest.raises(UnauthorisedError):
            await crm.subscriptions(lane=LANE)
