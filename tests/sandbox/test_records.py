"""Persons, organizations and deals over HTTP: bodies, names, addresses, transitions, deletion."""

import pytest

from connector.sandbox.server import Sandbox
from tests.sandbox.conftest import Client, Ticker


async def test_an_unknown_key_refuses_the_whole_body(crm: Client) -> None:
    """v2 names every wrong key and changes nothing."""
    answer = await crm.patch("/api/v2/persons/1", {"nmae": "x", "owner_id": "8800001", "name": "New"})
    assert answer.status == 400
    assert answer.body["code"] == "ERR_SCHEMA_VALIDATION_FAILED"
    assert "nmae" in answer.body["error"]
    assert "owner_id" in answer.body["error"]
    assert (await crm.get("/api/v2/persons/1")).data["name"] != "New"


async def test_a_custom_key_at_top_level_is_refused(crm: Client, sandbox: Sandbox) -> None:
    """Hashes belong into custom_fields."""
    code = sandbox.world.fields.named("person", "Score").code
    assert (await crm.patch("/api/v2/persons/1", {code: 1})).status == 400


async def test_a_record_read_back_is_no_body(crm: Client) -> None:
    """Read-only keys are unknown keys."""
    assert (await crm.patch("/api/v2/persons/1", (await crm.get("/api/v2/persons/1")).data)).status == 400


@pytest.mark.parametrize("body", [b"{", b'{"name": NaN}', b'{"name":"\\ud800"}', b"[]", b'"x"'])
async def test_what_is_no_object_is_400(crm: Client, body: bytes) -> None:
    """A malformed body is refused, not crashed on."""
    headers = {"x-api-token": crm.token, "content-type": "application/json"}
    async with crm.http.post(crm.url + "/api/v2/organizations", data=body, headers=headers) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("body", "name", "first", "last"),
    [
        ({"name": "Ada"}, "Ada", "Ada", None),
        ({"name": "Ada van Dyke"}, "Ada van Dyke", "Ada", "van Dyke"),
        ({"first_name": "Ada", "last_name": "Núñez"}, "Ada Núñez", "Ada", "Núñez"),
        ({"first_name": "", "last_name": "Núñez"}, "Núñez", None, "Núñez"),
    ],
)
async def test_names_split_at_the_first_space(
    crm: Client, body: dict[str, str], name: str, first: str, last: str | None
) -> None:
    """Name and parts follow each other."""
    made = (await crm.post("/api/v2/persons", body)).data
    assert (made["name"], made["first_name"], made["last_name"]) == (name, first, last)


@pytest.mark.parametrize("body", [{}, {"first_name": "A"}, {"first_name": "", "last_name": ""}, {"name": " "}])
async def test_a_person_needs_a_name(crm: Client, body: dict[str, str]) -> None:
    """Either the name or both parts, and not both empty."""
    assert (await crm.post("/api/v2/persons", body)).status == 400


async def test_patching_the_name_rewrites_its_parts_and_back(crm: Client) -> None:
    """One part sent alone keeps the other."""
    key = (await crm.post("/api/v2/persons", {"name": "Ada Lovelace"})).data["id"]
    changed = (await crm.patch(f"/api/v2/persons/{key}", {"last_name": "King"})).data
    assert changed["name"] == "Ada King"
    changed = (await crm.patch(f"/api/v2/persons/{key}", {"name": "Bea"})).data
    assert (changed["first_name"], changed["last_name"]) == ("Bea", None)


async def test_emails_get_a_label_and_one_primary(crm: Client) -> None:
    """The array is replaced as a whole."""
    given = [{"value": "a@x.test"}, {"value": "b@x.test", "label": "home"}]
    made = (await crm.post("/api/v2/persons", {"name": "A", "emails": given})).data
    assert made["emails"] == [
        {"value": "a@x.test", "primary": True, "label": "work"},
        {"value": "b@x.test", "primary": False, "label": "home"},
    ]
    changed = await crm.patch(f"/api/v2/persons/{made['id']}", {"emails": []})
    assert changed.data["emails"] == []
    assert (await crm.patch(f"/api/v2/persons/{made['id']}", {"emails": ["a@x.test"]})).status == 400


async def test_contact_sync_fields_are_forbidden(crm: Client) -> None:
    """They exist only where Contact Sync is set up."""
    assert (await crm.patch("/api/v2/persons/1", {"job_title": "CEO"})).status == 403


async def test_a_partial_address_nulls_its_other_parts(crm: Client) -> None:
    """What is not sent of an address becomes null."""
    whole = {"value": "Main St 1, Berlin", "locality": "Berlin", "country": "Germany"}
    key = (await crm.post("/api/v2/organizations", {"name": "O", "address": whole})).data["id"]
    part = {"value": "Other St 2", "postal_code": "10115"}
    address = (await crm.patch(f"/api/v2/organizations/{key}", {"address": part})).data["address"]
    assert {k: v for k, v in address.items() if v is not None} == part
    assert (await crm.patch(f"/api/v2/organizations/{key}", {"address": {"country": "X"}})).status == 400


async def test_a_change_to_the_same_value_is_none(crm: Client, ticker: Ticker) -> None:
    """No new update_time for what is already so."""
    before = (await crm.get("/api/v2/deals/1")).data
    ticker.tick(60)
    body = {key: before[key] for key in ("title", "value", "status", "stage_id", "custom_fields")}
    assert (await crm.patch("/api/v2/deals/1", body)).data == before


async def test_deleted_records_stay_readable_for_30_days(crm: Client, ticker: Ticker) -> None:
    """DELETE is soft; update_time is the deletion's; a second DELETE and a PATCH are 404."""
    ticker.tick(5)
    assert (await crm.delete("/api/v2/persons/3")).body == {"success": True, "data": {"id": 3}}
    gone = (await crm.get("/api/v2/persons/3")).data
    assert gone["is_deleted"] is True
    assert gone["update_time"] == "2026-11-20T10:00:05Z"
    assert 3 not in {each["id"] for each in await crm.walk("/api/v2/persons")}
    assert (await crm.delete("/api/v2/persons/3")).status == 404
    assert (await crm.patch("/api/v2/persons/3", {"name": "X"})).status == 404
    ticker.tick(31 * 86400)
    assert (await crm.get("/api/v2/persons/3")).status == 404


async def test_a_second_delete_may_be_gone(crm: Client) -> None:
    """Switchable to 410 with success true, as was seen on v1."""
    await crm.post("/sandbox/settings", {"second_delete": 410})
    await crm.delete("/api/v2/persons/3")
    answer = await crm.delete("/api/v2/persons/3")
    assert (answer.status, answer.body) == (410, {"success": True, "data": {"id": 3}})


async def test_restore_duplicate_and_purge(crm: Client, ticker: Ticker) -> None:
    """What people can do in the web app and the API cannot."""
    await crm.delete("/api/v2/persons/3")
    ticker.tick()
    await crm.post("/sandbox/restore/person/3")
    back = (await crm.get("/api/v2/persons/3")).data
    assert back["is_deleted"] is False
    assert back["update_time"] == "2026-11-20T10:00:01Z"
    copy = (await crm.post("/sandbox/duplicate/persons/3")).data
    assert copy["id"] != 3
    assert (await crm.get(f"/api/v2/persons/{copy['id']}")).data["custom_fields"] == back["custom_fields"]
    await crm.post("/sandbox/purge/person/3")
    assert (await crm.get("/api/v2/persons/3")).status == 404


async def test_won_lost_and_open_again(crm: Client, ticker: Ticker) -> None:
    """Status times follow the status; first_won_time stays."""
    key = (await crm.post("/api/v2/deals", {"title": "D"})).data["id"]
    path = f"/api/v2/deals/{key}"
    ticker.tick(10)
    won = (await crm.patch(path, {"status": "won"})).data
    assert won["won_time"] == won["close_time"] == "2026-11-20T10:00:10Z"
    assert won["local_won_date"] == "2026-11-20"
    ticker.tick(10)
    lost = (await crm.patch(path, {"status": "lost", "lost_reason": "price"})).data
    assert (lost["won_time"], lost["lost_time"], lost["lost_reason"]) == (None, "2026-11-20T10:00:20Z", "price")
    opened = (await crm.patch(path, {"status": "open"})).data
    assert [opened[k] for k in ("won_time", "lost_time", "close_time", "lost_reason")] == [None] * 4
    first = (await crm.get(path, include_fields="first_won_time")).data["first_won_time"]
    assert first == "2026-11-20T10:00:10Z"


async def test_status_keys_need_their_status(crm: Client) -> None:
    """A lost_reason or a won_time on an open deal is refused; with the status it is taken."""
    path = f"/api/v2/deals/{(await crm.post('/api/v2/deals', {'title': 'D'})).data['id']}"
    assert (await crm.patch(path, {"lost_reason": "x"})).status == 400
    assert (await crm.patch(path, {"won_time": "2026-01-01T00:00:00Z"})).status == 400
    won = (await crm.patch(path, {"status": "won", "won_time": "2026-01-01T00:00:00Z"})).data
    assert (won["won_time"], won["close_time"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    assert (await crm.patch(path, {"is_deleted": True})).status == 400


async def test_the_stage_decides_the_pipeline(crm: Client, sandbox: Sandbox) -> None:
    """With both given the pipeline is ignored; a pipeline alone means its first stage."""
    stages = list(sandbox.world.tables["stage"].live())
    second = next(each for each in stages if each["pipeline_id"] == 2)
    path = f"/api/v2/deals/{(await crm.post('/api/v2/deals', {'title': 'D'})).data['id']}"
    moved = (await crm.patch(path, {"stage_id": 3, "pipeline_id": 2})).data
    assert (moved["pipeline_id"], moved["stage_id"]) == (1, 3)
    assert moved["stage_change_time"] is not None
    moved = (await crm.patch(path, {"pipeline_id": 2})).data
    assert (moved["pipeline_id"], moved["stage_id"]) == (2, second["id"])


async def test_archived_deals_leave_the_list_and_cannot_be_edited(crm: Client) -> None:
    """They stand under /deals/archived until they are unarchived."""
    assert (await crm.patch("/api/v2/deals/1", {"is_archived": True})).data["archive_time"] is not None
    assert 1 not in {each["id"] for each in await crm.walk("/api/v2/deals")}
    assert [each["id"] for each in await crm.walk("/api/v2/deals/archived")] == [1]
    assert (await crm.patch("/api/v2/deals/1", {"title": "X"})).status == 400
    opened = (await crm.patch("/api/v2/deals/1", {"is_archived": False})).data
    assert opened["archive_time"] is None


async def test_deleted_deals_are_listed_when_asked_for(crm: Client) -> None:
    """Only deals have this."""
    await crm.delete("/api/v2/deals/2")
    assert [each["id"] for each in await crm.walk("/api/v2/deals", status="deleted")] == [2]
    everything = await crm.walk("/api/v2/deals", status="open,won,lost,deleted")
    assert [each["id"] for each in everything] == [1, 2, 3, 4, 5, 6]
    assert (await crm.get("/api/v2/deals", status="deletd")).status == 400


async def test_references_must_exist(crm: Client) -> None:
    """A deal cannot point to nobody."""
    for body in ({"person_id": 9999}, {"org_id": 9999}, {"owner_id": 1}, {"stage_id": 99}, {"label_ids": [99]}):
        assert (await crm.patch("/api/v2/deals/1", body)).status == 400


async def test_hidden_records_are_silently_missing(crm: Client, sandbox: Sandbox) -> None:
    """From one user only; lists and ids= drop them."""
    await crm.post("/sandbox/visibility", {"records": [["person", 2]]})
    assert (await crm.get("/api/v2/persons/2")).status == 404
    assert [each["id"] for each in await crm.walk("/api/v2/persons", ids="1,2,3")] == [1, 3]
    assert (await crm.as_(sandbox.tokens[1]).get("/api/v2/persons/2")).status == 200
    await crm.post("/sandbox/visibility", {"records": [["person", 2]], "hidden": False})
    assert (await crm.get("/api/v2/persons/2")).status == 200


async def test_merge_fills_the_survivor_and_moves_children(crm: Client) -> None:
    """The record of merge_with_id wins; the other is deleted."""
    loser = (await crm.post("/api/v2/persons", {"name": "Lo Ser", "phones": [{"value": "1"}]})).data["id"]
    winner = (await crm.post("/api/v2/persons", {"name": "Win Ner"})).data["id"]
    deal = (await crm.post("/api/v2/deals", {"title": "D", "person_id": loser})).data["id"]
    note = (await crm.post("/v1/notes", {"content": "n", "person_id": loser})).data["id"]
    merged = (await crm.put(f"/v1/persons/{loser}/merge", {"merge_with_id": winner})).data
    assert (merged["id"], merged["merge_what_id"], merged["name"]) == (winner, loser, "Win Ner")
    survivor = (await crm.get(f"/api/v2/persons/{winner}")).data
    assert survivor["phones"][0]["value"] == "1"
    assert (await crm.get(f"/api/v2/persons/{loser}")).data["is_deleted"] is True
    assert (await crm.get(f"/api/v2/deals/{deal}")).data["person_id"] == winner
    assert (await crm.get(f"/v1/notes/{note}")).data["person_id"] == winner
    assert (await crm.put(f"/v1/persons/{loser}/merge", {"merge_with_id": winner})).status == 404


async def test_organizations_and_deals_merge_too(crm: Client) -> None:
    """Each answers in its own v1 shape."""
    assert (await crm.put("/v1/organizations/1/merge", {"merge_with_id": 2})).data == {"id": 2}
    assert (await crm.put("/v1/deals/1/merge", {"merge_with_id": 2})).data["merge_what_id"] == 1
    assert (await crm.put("/v1/deals/2/merge", {"merge_with_id": 2})).status == 400


async def test_changelog_tells_who_changed_what_newest_first(crm: Client, sandbox: Sandbox, ticker: Ticker) -> None:
    """By cursor, in v1 spelling."""
    path = "/api/v2/persons/1"
    other = crm.as_(sandbox.tokens[1])
    for number in range(3):
        ticker.tick()
        await other.patch(path, {"last_name": f"L{number}"})
    page = await crm.get("/v1/persons/1/changelog", limit=2)
    assert page.data[0]["field_key"] == "last_name"
    assert (page.data[0]["old_value"], page.data[0]["new_value"]) == ("L1", "L2")
    assert (page.data[0]["time"], page.data[0]["change_source"]) == ("2026-11-20 10:00:03", "app")
    assert page.data[0]["actor_user_id"] == 8800002
    rows = page.body["data"]
    while cursor := page.body["additional_data"]["next_cursor"]:
        page = await crm.get("/v1/persons/1/changelog", limit=2, cursor=cursor)
        rows += page.data
    assert [row["new_value"] for row in rows if row["field_key"] == "last_name"] == ["L2", "L1", "L0"]


async def test_bulk_is_all_or_nothing(crm: Client) -> None:
    """One refused body makes none."""
    before = (await crm.get("/sandbox/stats")).data["records"]["organization"]
    answer = await crm.post("/sandbox/bulk", {"entity": "organization", "records": [{"name": "A"}, {"nme": "B"}]})
    assert answer.status == 400
    assert (await crm.get("/sandbox/stats")).data["records"]["organization"] == before
    made = (await crm.post("/sandbox/bulk", {"entity": "person", "count": 50})).data
    assert made["count"] == 50
    updates = [[made["first_id"], {"name": "X Y"}], [made["last_id"], {"name": "Z"}]]
    assert (await crm.post("/sandbox/bulk", {"entity": "person", "updates": updates})).data == {"count": 2}
