"""Webhooks: subscription, envelope, shapes, retries, ban, disorder."""

from typing import Any

from connector.sandbox.server import Sandbox
from tests.sandbox.conftest import Client, Receiver, Ticker, basic, subscribe


async def test_a_create_is_told_in_the_documented_envelope(crm: Client, receiver: Receiver, sandbox: Sandbox) -> None:
    """With Basic auth; ids as texts, typed custom fields, visible_to as text, no previous."""
    hook = await subscribe(crm, receiver, http_auth_user="u", http_auth_password="p:ß")
    score = sandbox.world.fields.named("person", "Score").code
    made = (await crm.post("/api/v2/persons", {"name": "Ada", "custom_fields": {score: 4.5}})).data
    (received,) = await receiver.wait(1)
    assert received.authorization == basic("u", "p:ß")
    assert received.user_agent == "Pipedrive-Webhook"
    meta = dict(received.meta)
    assert len(meta.pop("id")) == len(meta.pop("correlation_id")) == 36
    assert meta == {
        "action": "create",
        "entity": "person",
        "entity_id": str(made["id"]),
        "company_id": "1200001",
        "user_id": "8800001",
        "webhook_id": str(hook["id"]),
        "webhook_owner_id": "8800001",
        "timestamp": "2026-11-20T10:00:00.000Z",
        "change_source": "api",
        "is_bulk_edit": False,
        "attempt": 1,
        "type": "general",
        "version": "2.0",
        "host": "acme-sandbox.pipedrive.com",
        "permitted_user_ids": ["8800001", "8800002", "8800003", "8800004"],
    }
    data = received.body["data"]
    assert received.body["previous"] is None
    assert (data["visible_to"], data["label"], data["custom_fields"][score]) == (
        "3",
        None,
        {"type": "double", "value": 4.5},
    )
    assert "is_deleted" not in data


async def test_previous_holds_only_what_changed(crm: Client, receiver: Receiver, sandbox: Sandbox) -> None:
    """Without update_time for a deal; the actor and the source are told."""
    await subscribe(crm, receiver, event_object="deal", event_action="change")
    await crm.as_(sandbox.tokens[1]).patch("/api/v2/deals/1", {"title": "Roof"})
    (received,) = await receiver.wait(1)
    assert list(received.body["previous"]) == ["title"]
    assert (received.meta["user_id"], received.meta["change_source"]) == ("8800002", "app")
    assert received.body["data"]["title"] == "Roof"


async def test_a_deal_create_carries_no_version(crm: Client, receiver: Receiver) -> None:
    """As in the official sample; a change does."""
    await subscribe(crm, receiver, event_object="deal")
    key = (await crm.post("/api/v2/deals", {"title": "D"})).data["id"]
    (created,) = await receiver.wait(1)
    assert created.body["data"]["update_time"] is None
    await crm.patch(f"/api/v2/deals/{key}", {"value": 3})
    assert (await receiver.wait(2))[1].body["data"]["update_time"] == "2026-11-20T10:00:00Z"


async def test_a_delete_tells_the_last_state(crm: Client, receiver: Receiver) -> None:
    """Data null, previous whole."""
    await subscribe(crm, receiver, event_object="organization", event_action="delete")
    name = (await crm.get("/api/v2/organizations/1")).data["name"]
    await crm.delete("/api/v2/organizations/1")
    (received,) = await receiver.wait(1)
    assert received.body["data"] is None
    assert received.body["previous"]["name"] == name


async def test_a_merge_is_a_delete_and_a_change(crm: Client, receiver: Receiver) -> None:
    """Linked by merged_to_id and merged_from_id."""
    await subscribe(crm, receiver, event_object="person")
    await crm.put("/v1/persons/1/merge", {"merge_with_id": 2})
    lost = await receiver.until(lambda each: each.meta["action"] == "delete")
    kept = await receiver.until(lambda each: each.meta["action"] == "change")
    assert (lost.meta["entity_id"], lost.meta["merged_to_id"]) == ("1", "2")
    assert (kept.meta["entity_id"], kept.meta["merged_from_id"]) == ("2", "1")


async def test_shapes_of_activity_note_and_stage(crm: Client, receiver: Receiver) -> None:
    """Old flags; due_time as object; note times in RFC 3339; update_time stands in previous."""
    await subscribe(crm, receiver, event_action="change")
    await crm.patch("/api/v2/activities/1", {"due_time": "08:00", "busy": False})
    activity = (await receiver.until(lambda each: each.meta["entity"] == "activity")).body
    assert activity["data"]["due_time"] == {"value": "08:00:00", "timezone_id": None}
    assert {"active_flag", "busy_flag"} <= activity["data"].keys()
    assert "update_time" in activity["previous"]
    await crm.put("/v1/notes/1", {"content": "x"})
    note = (await receiver.until(lambda each: each.meta["entity"] == "note")).body
    assert note["data"]["update_time"] == "2026-11-20T10:00:00Z"
    await crm.patch("/api/v2/stages/1", {"name": "x"})
    stage = (await receiver.until(lambda each: each.meta["entity"] == "stage")).body
    assert stage["data"]["active_flag"] is True


async def test_a_cleared_time_is_an_object_with_nothing(crm: Client, receiver: Receiver) -> None:
    """Null on create, an empty value on change."""
    await subscribe(crm, receiver, event_object="activity")
    key = (await crm.post("/api/v2/activities", {"due_time": "08:00"})).data["id"]
    await crm.patch(f"/api/v2/activities/{key}", {"due_time": None})
    change = await receiver.until(lambda each: each.meta["action"] == "change")
    assert change.body["data"]["due_time"] == {"timezone_id": None, "value": ""}
    assert change.body["data"]["duration"] is None


async def test_subscriptions_filter(crm: Client, receiver: Receiver) -> None:
    """By action and object; deleting one ends it."""
    hook = await subscribe(crm, receiver, event_object="person", event_action="create")
    await crm.patch("/api/v2/persons/1", {"name": "x"})
    await crm.post("/api/v2/organizations", {"name": "x"})
    made = (await crm.post("/api/v2/persons", {"name": "y"})).data
    assert [each.meta["entity_id"] for each in await receiver.wait(1)] == [str(made["id"])]
    assert (await crm.delete(f"/v1/webhooks/{hook['id']}")).body == {"status": "ok", "success": True}
    assert (await crm.delete(f"/v1/webhooks/{hook['id']}")).status == 404
    assert (await crm.get("/v1/webhooks")).data == []


async def test_bad_subscriptions_are_refused(crm: Client, receiver: Receiver, sandbox: Sandbox) -> None:
    """Unreachable, unknown action, version 1, no name, over 40, no admin."""
    good = {"subscription_url": receiver.url, "event_action": "*", "event_object": "*", "name": "n"}
    wrong: list[dict[str, Any]] = [
        {"subscription_url": "http://127.0.0.1:1/hook"},
        {"subscription_url": "ftp://x.test"},
        {"event_action": "added"},
        {"event_object": "lamp"},
        {"version": "1.0"},
        {"name": ""},
        *({"user_id": each} for each in ("somebody", "8800001x", "", 1, 1.5, True, [8800001], "9" * 5000)),
        {"http_auth_user": 5},
        {"http_auth_password": ["p"]},
    ]
    for change in wrong:
        answer = await crm.post("/v1/webhooks", {**good, **change})
        assert answer.status == 400
        assert answer.body["status"] == "error"
        assert list(answer.body["errors"]) == list(change)
    assert (await crm.as_(sandbox.tokens[1]).post("/v1/webhooks", good)).status == 403
    for user in (8800002, "8800002"):  # v1 takes a number in text
        assert (await crm.post("/v1/webhooks", {**good, "user_id": user})).data["user_id"] == 8800002
    for _ in range(38):
        assert (await crm.post("/v1/webhooks", good)).status == 201
    assert (await crm.post("/v1/webhooks", good)).status == 422


async def test_failed_deliveries_are_repeated_three_times(crm: Client, receiver: Receiver) -> None:
    """The same event with a growing attempt number, on a settable time scale."""
    await crm.post("/sandbox/webhooks", {"scale": 0.0001})
    await subscribe(crm, receiver)
    receiver.answers.extend([500, 404, 301, 200])
    await crm.patch("/api/v2/persons/1", {"name": "x"})
    received = await receiver.wait(4)
    assert [each.meta["attempt"] for each in received] == [1, 2, 3, 4]
    assert len({each.meta["id"] for each in received}) == 1


async def test_ten_failed_first_attempts_ban_for_half_an_hour(
    crm: Client, receiver: Receiver, sandbox: Sandbox, ticker: Ticker
) -> None:
    """Events of that time are lost; afterwards it goes on."""
    hook = await subscribe(crm, receiver)
    await crm.post("/sandbox/webhooks", {"before_response": True})
    receiver.answers.extend([500] * 10)
    for number in range(12):
        await crm.patch("/api/v2/persons/1", {"name": f"x {number}"})
    assert len(receiver.received) == 10
    assert sandbox.deliverer.tally.lost == 2
    ticker.tick(31 * 60)
    await crm.patch("/api/v2/persons/1", {"name": "after"})
    assert (await receiver.wait(11))[-1].body["data"]["name"] == "after"
    assert (await crm.get("/v1/webhooks")).data[0]["id"] == hook["id"]


async def test_three_days_of_failures_remove_a_webhook(crm: Client, receiver: Receiver, ticker: Ticker) -> None:
    """Nobody is told."""
    await subscribe(crm, receiver)
    await crm.post("/sandbox/webhooks", {"before_response": True})
    receiver.answers.extend([500] * 2)
    await crm.patch("/api/v2/persons/1", {"name": "a"})
    assert len((await crm.get("/v1/webhooks")).data) == 1
    ticker.tick(4 * 86400)
    await crm.patch("/api/v2/persons/1", {"name": "b"})
    assert (await crm.get("/v1/webhooks")).data == []


async def test_before_response_the_webhook_overtakes_the_answer(crm: Client, receiver: Receiver) -> None:
    """The write's answer waits for the first attempt."""
    await subscribe(crm, receiver)
    await crm.post("/sandbox/webhooks", {"before_response": True})
    await crm.patch("/api/v2/persons/1", {"name": "x"})
    assert len(receiver.received) == 1


async def test_events_can_be_duplicated_dropped_and_reordered(crm: Client, receiver: Receiver) -> None:
    """On demand; a duplicate is the same event."""
    await subscribe(crm, receiver)
    await crm.post("/sandbox/webhooks", {"duplicate": 1.0, "reorder": 0.01})
    await crm.patch("/api/v2/persons/1", {"name": "x"})
    first, second = await receiver.wait(2)
    assert first.meta["id"] == second.meta["id"]
    await crm.post("/sandbox/webhooks", {"duplicate": 0.0, "drop": 1.0, "reorder": 0.0})
    await crm.patch("/api/v2/persons/1", {"name": "y"})
    assert (await crm.get("/sandbox/stats")).data["deliveries"]["lost"] == 1


async def test_bulk_edits_are_marked(crm: Client, receiver: Receiver) -> None:
    """When asked to be told at all."""
    await subscribe(crm, receiver)
    await crm.post("/sandbox/bulk", {"entity": "person", "updates": [[1, {"name": "a"}]]})
    await crm.post("/sandbox/bulk", {"entity": "person", "updates": [[1, {"name": "b"}]], "webhooks": True})
    (received,) = await receiver.wait(1)
    assert received.meta["is_bulk_edit"] is True
    assert received.body["data"]["name"] == "b"


async def test_a_no_op_is_no_event(crm: Client, receiver: Receiver) -> None:
    """Only the second write is told."""
    await subscribe(crm, receiver)
    name = (await crm.get("/api/v2/persons/1")).data["name"]
    await crm.patch("/api/v2/persons/1", {"name": name})
    await crm.patch("/api/v2/persons/1", {"name": "other"})
    (received,) = await receiver.wait(1)
    assert received.body["data"]["name"] == "other"
