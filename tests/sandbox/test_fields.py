"""Custom fields: round trips per type, options, dead keys."""

from typing import Any

import pytest

from connector.sandbox.server import Sandbox, Settings, running
from tests.sandbox.conftest import Client, Receiver, subscribe

ADDRESS = {"value": "Main St 1", "locality": "Berlin", "country": "Germany"}
BERLIN = {"timezone_name": "Europe/Berlin"}


async def make(crm: Client, type_: str, entity: str = "person", **more: Any) -> Any:
    """Make a custom field."""
    return (await crm.post(f"/api/v2/{entity}Fields", {"field_name": f"My {type_}", "field_type": type_, **more})).data


@pytest.mark.parametrize(
    "case",
    [
        ("varchar", "abc", "abc", {"value": "abc"}),
        ("varchar_auto", "abc", "abc", {"value": "abc"}),
        ("text", "a\nb", "a\nb", {"value": "a\nb"}),
        ("phone", "+49 30 1", "+49 30 1", {"value": "+49 30 1"}),
        ("double", 12.5, 12.5, {"value": 12.5}),
        ("double", 12.0, 12, {"value": 12}),
        ("date", "2026-02-28", "2026-02-28", {"value": "2026-02-28"}),
        ("monetary", {"value": 5, "currency": "USD"}, {"value": 5, "currency": "USD"}, {"value": 5, "currency": "USD"}),
        ("monetary", {"value": 5}, {"value": 5, "currency": "EUR"}, {"value": 5, "currency": "EUR"}),
        (
            "daterange",
            {"value": "2026-01-01", "until": "2026-02-01"},
            {"value": "2026-01-01", "until": "2026-02-01"},
            {"from": "2026-01-01", "until": "2026-02-01"},
        ),
        ("user", 8800002, 8800002, {"id": 8800002}),
        ("org", 1, 1, {"id": 1}),
        ("people", 2, 2, {"id": 2}),
    ],
)
async def test_values_round_trip(crm: Client, receiver: Receiver, case: tuple[str, Any, Any, Any]) -> None:
    """What is written is read back, told typed by webhooks, and cleared by null."""
    type_, sent, kept, told = case
    code = (await make(crm, type_))["field_code"]
    await subscribe(crm, receiver, event_object="person")
    path = "/api/v2/persons/1"
    assert (await crm.patch(path, {"custom_fields": {code: sent}})).data["custom_fields"][code] == kept
    (hook,) = await receiver.wait(1)
    assert hook.body["data"]["custom_fields"][code] == {"type": type_, **told}
    assert hook.body["previous"] == {"custom_fields": {code: None}}
    assert (await crm.patch(path, {"custom_fields": {code: None}})).data["custom_fields"][code] is None


async def test_times_keep_their_zone(crm: Client) -> None:
    """The name is written, an id comes back with it."""
    time, span = (await make(crm, "time"))["field_code"], (await make(crm, "timerange"))["field_code"]
    body = {time: {"value": "09:30", **BERLIN}, span: {"value": "09:00", "until": "10:00:30", **BERLIN}}
    kept = (await crm.patch("/api/v2/persons/1", {"custom_fields": body})).data["custom_fields"]
    assert kept[time]["value"] == "09:30:00"
    assert kept[time]["timezone_name"] == "Europe/Berlin"
    assert kept[time]["timezone_id"] == kept[span]["timezone_id"]
    assert (kept[span]["value"], kept[span]["until"]) == ("09:00:00", "10:00:30")


async def test_an_address_field_nulls_what_is_not_sent(crm: Client) -> None:
    """As the address of an organization does."""
    code = (await make(crm, "address"))["field_code"]
    await crm.patch("/api/v2/persons/1", {"custom_fields": {code: ADDRESS}})
    kept = (await crm.patch("/api/v2/persons/1", {"custom_fields": {code: {"value": "B"}}})).data
    assert {k: v for k, v in kept["custom_fields"][code].items() if v} == {"value": "B"}


async def test_enum_and_set_take_their_own_options(crm: Client) -> None:
    """By id; a set is never an empty list."""
    options = [{"label": "A"}, {"label": "B"}]
    enum, many = await make(crm, "enum", options=options), await make(crm, "set", options=options)
    one, two = (option["id"] for option in enum["options"])
    first, second = (option["id"] for option in many["options"])
    path = "/api/v2/persons/1"
    body = {enum["field_code"]: one, many["field_code"]: [second, first]}
    kept = (await crm.patch(path, {"custom_fields": body})).data["custom_fields"]
    assert (kept[enum["field_code"]], kept[many["field_code"]]) == (one, [second, first])
    pairs: list[tuple[Any, Any]] = [(enum, first), (enum, "A"), (many, []), (many, two)]
    for field, wrong in pairs:
        assert (await crm.patch(path, {"custom_fields": {field["field_code"]: wrong}})).status == 400
    labels = (await crm.get("/api/v2/persons", ids="1", include_option_labels="true")).body["data"][0]["custom_fields"]
    assert labels[enum["field_code"]] == {"id": one, "label": "A"}


@pytest.mark.parametrize(
    ("type_", "wrong"),
    [
        ("double", "12"),
        ("date", "01.02.2026"),
        ("monetary", 5),
        ("monetary", {"value": 5, "currency": "euro"}),
        ("people", 9999),
        ("time", "09:00"),
        ("time", {"value": "25:00"}),
        ("time", {"value": "09:00", "timezone_name": "Mars/Olympus"}),
        ("varchar", "x" * 256),
        ("varchar", 5),
        ("address", "Main St"),
        ("address", {"value": "x", "planet": "Mars"}),
    ],
)
async def test_values_of_the_wrong_type_are_refused(crm: Client, type_: str, wrong: Any) -> None:
    """The refusal names the field's code."""
    code = (await make(crm, type_))["field_code"]
    answer = await crm.patch("/api/v2/persons/1", {"custom_fields": {code: wrong}})
    assert answer.status == 400
    assert code in answer.body["error"]


async def test_a_deleted_field_vanishes_and_its_key_is_dead(crm: Client) -> None:
    """One dead key refuses the whole body."""
    code = (await make(crm, "varchar"))["field_code"]
    await crm.patch("/api/v2/persons/1", {"custom_fields": {code: "x"}})
    assert (await crm.delete(f"/api/v2/personFields/{code}")).data["field_code"] == code
    assert code not in (await crm.get("/api/v2/persons/1")).data["custom_fields"]
    assert (await crm.patch("/api/v2/persons/1", {"custom_fields": {code: "x"}})).status == 400
    assert (await crm.get(f"/api/v2/personFields/{code}")).status == 404


async def test_options_change_by_id(crm: Client) -> None:
    """Added, relabelled, deleted; each all or nothing and answering only what was touched."""
    field = await make(crm, "enum", options=[{"label": "A"}])
    path = f"/api/v2/personFields/{field['field_code']}/options"
    added = (await crm.post(path, [{"label": "B"}, {"label": "C"}])).data
    assert [option["label"] for option in added] == ["B", "C"]
    assert (await crm.patch(path, [{"id": added[0]["id"], "label": "Bee"}])).data[0]["label"] == "Bee"
    assert (await crm.patch(path, [{"id": added[0]["id"], "label": "X"}, {"id": 9999, "label": "Y"}])).status == 400
    await crm.patch("/api/v2/persons/1", {"custom_fields": {field["field_code"]: added[1]["id"]}})
    assert (await crm.delete(path, [{"id": added[1]["id"]}])).data == [added[1]]
    assert (await crm.get("/api/v2/persons/1")).data["custom_fields"][field["field_code"]] is None
    shown = (await crm.get(f"/api/v2/personFields/{field['field_code']}")).data
    assert [option["label"] for option in shown["options"]] == ["A", "Bee"]


async def test_definitions_are_checked(crm: Client, sandbox: Sandbox) -> None:
    """Types, options, built-in fields; a rename keeps the key and names need not be unique."""
    wrong: list[dict[str, Any]] = [
        {"field_name": "x", "field_type": "stage"},
        {"field_name": "x", "field_type": "enum"},
        {"field_type": "varchar"},
        {"field_name": "x", "field_type": "varchar", "field_code": "mine"},
    ]
    for body in wrong:
        assert (await crm.post("/api/v2/dealFields", body)).status == 400
    assert (await crm.delete("/api/v2/dealFields/title")).status == 403
    code = sandbox.world.fields.named("deal", "ARR").code
    renamed = (await crm.patch(f"/api/v2/dealFields/{code}", {"field_name": "Start date"})).data
    assert (renamed["field_code"], renamed["field_name"]) == (code, "Start date")
    assert len(code) == 40
    assert (await crm.post("/api/v2/activityFields", {"field_name": "x", "field_type": "text"})).status == 405


async def test_an_account_without_custom_fields_says_null(crm: Client) -> None:
    """Not an empty object."""
    async with running(Settings(records=0)) as empty:
        client = Client(empty.url, empty.token, crm.http)
        made = (await client.post("/api/v2/persons", {"name": "A"})).data
        assert made["custom_fields"] is None
        assert (await client.get("/api/v2/pipelines")).data[0]["name"] == "Pipeline"
