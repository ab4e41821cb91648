"""Activities, notes, users and the other v1 lists."""

import pytest

from connector.sandbox.server import Sandbox
from tests.sandbox.conftest import Client, Receiver, Ticker, subscribe


async def test_the_primary_participant_is_the_person(crm: Client) -> None:
    """One primary, the first when none is named; person_id follows."""
    body = {"subject": "Call", "type": "call", "participants": [{"person_id": 2}, {"person_id": 3}]}
    made = (await crm.post("/api/v2/activities", body)).data
    assert made["person_id"] == 2
    assert made["participants"][0] == {"person_id": 2, "primary": True}
    path = f"/api/v2/activities/{made['id']}"
    moved = (await crm.patch(path, {"participants": [{"person_id": 3, "primary": True}]})).data
    assert moved["person_id"] == 3
    assert (await crm.patch(path, {"participants": []})).data["person_id"] is None
    assert (await crm.patch(path, {"participants": [{"person_id": 3, "primary_flag": True}]})).status == 400


async def test_person_id_may_be_refused(crm: Client) -> None:
    """The guide calls it read-only, the description lists it: switchable."""
    assert (await crm.patch("/api/v2/activities/1", {"person_id": 4})).data["person_id"] == 4
    await crm.post("/sandbox/settings", {"activity_person_id": "refuse"})
    assert (await crm.patch("/api/v2/activities/1", {"person_id": 5})).status == 400


async def test_times_are_given_in_the_long_form(crm: Client) -> None:
    """Both forms are taken; a new activity is due today, and busy when it has a time."""
    made = (await crm.post("/api/v2/activities", {"due_time": "09:15", "duration": "00:12:34"})).data
    assert (made["due_time"], made["duration"], made["busy"]) == ("09:15:00", "00:12:34", True)
    assert (made["due_date"], made["subject"], made["type"]) == ("2026-11-20", "Call", "call")
    path = f"/api/v2/activities/{made['id']}"
    assert (await crm.patch(path, {"due_time": None})).data["due_time"] is None
    assert (await crm.patch(path, {"due_time": "24:00"})).status == 400
    assert (await crm.patch(path, {"type": "dance"})).status == 400


async def test_done_sets_and_clears_its_time(crm: Client, ticker: Ticker) -> None:
    """marked_as_done_time follows done."""
    path = f"/api/v2/activities/{(await crm.post('/api/v2/activities', {'subject': 'A'})).data['id']}"
    ticker.tick(7)
    assert (await crm.patch(path, {"done": True})).data["marked_as_done_time"] == "2026-11-20T10:00:07Z"
    assert (await crm.patch(path, {"done": False})).data["marked_as_done_time"] is None


async def test_html_is_sanitised(crm: Client) -> None:
    """Of activity notes and of notes."""
    wild = "<b>x</b><script>alert(1)</script>"
    assert (await crm.patch("/api/v2/activities/1", {"note": wild})).data["note"] == "<b>x</b>"
    assert (await crm.post("/v1/notes", {"content": wild, "org_id": 1})).data["content"] == "<b>x</b>"


async def test_attendees_are_shown_when_asked_for(crm: Client) -> None:
    """Only through include_fields."""
    await crm.patch("/api/v2/activities/1", {"attendees": [{"email": "a@x.test"}]})
    assert "attendees" not in (await crm.get("/api/v2/activities/1")).data
    shown = (await crm.get("/api/v2/activities/1", include_fields="attendees")).data["attendees"]
    assert shown[0]["email"] == "a@x.test"


async def test_notes_are_lenient(crm: Client) -> None:
    """Numbers as texts, flags as numbers, unknown keys ignored; a deal brings its person and organization."""
    deal = next(each for each in await crm.walk("/api/v2/deals") if each["person_id"] and each["org_id"])
    body = {"content": "n", "deal_id": str(deal["id"]), "pinned_to_deal_flag": 1, "whatever": 1}
    answer = await crm.post("/v1/notes", body)
    note = answer.data
    assert answer.status == 201
    assert (note["person_id"], note["org_id"]) == (deal["person_id"], deal["org_id"])
    assert note["pinned_to_deal_flag"] is True
    assert note["add_time"] == "2026-11-20 10:00:00"
    assert note["deal"] == {"title": deal["title"]}
    assert note["user"]["is_you"] is True


async def test_notes_need_content_and_a_record(crm: Client) -> None:
    """In the default error envelope."""
    for body in ({"deal_id": 1}, {"content": "n"}, {"content": "n", "deal_id": 999}):
        answer = await crm.post("/v1/notes", body)
        assert answer.status == 400
        assert set(answer.body) == {"success", "error", "error_info", "data", "additional_data"}


async def test_notes_take_forms(crm: Client) -> None:
    """v1 bodies may be form-encoded."""
    url, headers = crm.url + "/v1/notes", {"x-api-token": crm.token}
    async with crm.http.post(url, data={"content": "n", "org_id": "1"}, headers=headers) as response:
        assert response.status == 201
        assert (await response.json())["data"]["org_id"] == 1


async def test_notes_page_by_offset(crm: Client, ticker: Ticker) -> None:
    """start, limit, sort, updated_since; next_start only when more follow."""
    for number in range(5):
        ticker.tick()
        await crm.post("/v1/notes", {"content": f"n{number}", "org_id": 1})
    page = await crm.get("/v1/notes", org_id=1, sort="update_time DESC", limit=2, updated_since="2026-11-20T10:00:02Z")
    assert [note["content"] for note in page.data] == ["n4", "n3"]
    assert page.body["additional_data"]["pagination"] == {
        "start": 0,
        "limit": 2,
        "more_items_in_collection": True,
        "next_start": 2,
    }
    rest = await crm.get("/v1/notes", org_id=1, sort="update_time DESC", start=2, updated_since="2026-11-20T10:00:02Z")
    assert [note["content"] for note in rest.data] == ["n2", "n1"]
    assert "next_start" not in rest.body["additional_data"]["pagination"]
    assert (await crm.get("/v1/notes", sort="colour")).status == 400


async def test_a_deleted_note_stays_readable(crm: Client, ticker: Ticker) -> None:
    """active_flag false, out of the list, still writable as was seen."""
    ticker.tick()
    assert (await crm.delete("/v1/notes/1")).body == {"success": True, "data": True}
    gone = (await crm.get("/v1/notes/1")).data
    assert (gone["active_flag"], gone["update_time"]) == (False, "2026-11-20 10:00:01")
    assert 1 not in {note["id"] for note in (await crm.get("/v1/notes")).data}
    assert (await crm.put("/v1/notes/1", {"content": "again"})).status == 200
    assert (await crm.delete("/v1/notes/1")).status == 404
    await crm.post("/sandbox/restore/note/1")
    assert (await crm.get("/v1/notes/1")).data["active_flag"] is True


async def test_who_changed_a_note(crm: Client, sandbox: Sandbox) -> None:
    """last_update_user_id tells an echo from a person."""
    await crm.as_(sandbox.tokens[2]).put("/v1/notes/1", {"content": "by Chloé"})
    assert (await crm.get("/v1/notes/1")).data["last_update_user_id"] == 8800003


async def test_users(crm: Client, sandbox: Sandbox) -> None:
    """me, list, find and get."""
    me = (await crm.get("/v1/users/me")).data
    assert (me["email"], me["company_domain"], me["is_you"]) == ("ana@acme.test", "acme-sandbox", True)
    other = (await crm.as_(sandbox.tokens[1]).get("/api/v1/users/me")).data
    assert other["id"] == 8800002
    assert len((await crm.get("/v1/users")).data) == 4
    found = (await crm.get("/v1/users/find", term="BJORN@", search_by_email=1)).data
    assert [user["id"] for user in found] == [8800002]
    assert (await crm.get("/v1/users/8800003")).data["name"] == "Chloé Dubois"
    assert (await crm.get("/v1/users/1")).status == 404


async def test_an_admin_deactivates_a_user(crm: Client, sandbox: Sandbox, receiver: Receiver) -> None:
    """Only `active_flag` can be changed; it arrives as a change of a user, whose token is of no use any more."""
    await subscribe(crm, receiver, event_object="user")
    ana, ben = list(sandbox.world.users.values())[:2]
    assert (await crm.as_(ben.token).put(f"/v1/users/{ana.id}", {"active_flag": False})).status == 403
    assert (await crm.put(f"/v1/users/{ben.id}", {})).status == 400
    assert (await crm.put("/v1/users/999", {"active_flag": False})).status == 404
    assert (await crm.put(f"/v1/users/{ben.id}", {"active_flag": False})).data["active_flag"] is False
    (hook,) = await receiver.wait(1)
    assert (hook.meta["action"], hook.meta["entity"], hook.meta["entity_id"]) == ("change", "user", str(ben.id))
    assert (hook.body["data"]["id"], hook.body["data"]["active_flag"]) == (str(ben.id), False)
    assert hook.body["previous"] == {"active_flag": True}
    assert isinstance(hook.meta["timestamp"], int)
    assert hook.meta["id"] == str(ben.id)
    assert "permitted_user_ids" not in hook.meta
    assert [each["active_flag"] for each in (await crm.get("/v1/users")).data][:2] == [True, False]
    assert (await crm.as_(ben.token).get("/v1/users")).status == 401


async def test_activity_types_and_currencies(crm: Client) -> None:
    """A new type's key follows from its name and can be used at once."""
    made = (await crm.post("/v1/activityTypes", {"name": "Video chat", "icon_key": "camera"})).data
    assert made["key_string"] == "video_chat"
    assert (await crm.post("/api/v2/activities", {"type": "video_chat"})).data["subject"] == "Video chat"
    await crm.delete(f"/v1/activityTypes/{made['id']}")
    assert "video_chat" not in {each["key_string"] for each in (await crm.get("/v1/activityTypes")).data}
    assert (await crm.post("/api/v2/activities", {"type": "video_chat"})).status == 400
    assert {each["code"] for each in (await crm.get("/v1/currencies")).data} >= {"EUR", "USD"}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v2/nothing", 404), ("/v2/deals/1", 404), ("/v1/persons", 404), ("/api/v2/persons/x", 400)],
)
async def test_unknown_paths_are_refused(crm: Client, path: str, status: int) -> None:
    """v2 has one prefix; v1 persons are gone."""
    async with crm.http.get(crm.url + path, headers={"x-api-token": crm.token}) as response:
        assert response.status == status
    assert (await crm.call("PUT", "/api/v2/persons/1", {})).status == 405


async def test_a_browser_is_told_what_this_is(crm: Client) -> None:
    """With the tokens to call it by."""
    answer = await crm.http.get(crm.url + "/")
    assert answer.content_type == "text/html"
    assert crm.token in await answer.text()


async def test_a_token_is_needed(crm: Client) -> None:
    """The gateway's body."""
    answer = await crm.as_("nonsense").get("/v1/users/me")
    assert answer.status == 401
    assert answer.body["error"] == "unauthorized access"


async def test_pipelines_and_stages(crm: Client) -> None:
    """New ones go last in their place."""
    pipeline = (await crm.post("/api/v2/pipelines", {"name": "Third"})).data
    assert pipeline["order_nr"] == 3
    assert (await crm.post("/api/v2/stages", {"name": "S"})).status == 400
    stage = (await crm.post("/api/v2/stages", {"name": "S", "pipeline_id": pipeline["id"]})).data
    assert (stage["order_nr"], stage["deal_probability"]) == (1, 100)
    assert (await crm.patch(f"/api/v2/stages/{stage['id']}", {"name": "T"})).data["name"] == "T"
    assert (await crm.delete(f"/api/v2/pipelines/{pipeline['id']}")).data == {"id": pipeline["id"]}
    assert len((await crm.get("/api/v2/pipelines")).data) == 2
