"""Answers that the documentation permits, or contradicts itself about, and other emulators of the API give.

Each is fed to the adapter over real HTTP; none of them may lose, double or misread a record.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.core.errors import ForbiddenError, RateLimitedError, RefusedError, UnavailableError
from connector.core.model import CrmId, Gone, Json, Lane, NotVisible, Record
from connector.ports import Create, Delete, Done, Failed, Operation, Outcome, Unknown, Update
from tests.crm.scripted import NOW, Answers, Said, ok, scripted

LANE = Lane.LIVE
STAMP = "2026-11-02T08:15:30Z"
HASH = "a" * 40
LAST = {"next_cursor": None}
ME = {"id": 8, "name": "Me", "email": "me@acme.test", "active_flag": True, "company_id": 5, "company_domain": "acme"}


def person(key: object = 7, **more: object) -> dict[str, Any]:
    """A person as v2 gives one."""
    return {"id": key, "name": "Ada", "add_time": STAMP, "update_time": STAMP, "custom_fields": {}, **more}


def note(key: int, **more: object) -> dict[str, Any]:
    """A note as v1 gives one."""
    times = {"add_time": "2026-11-02 08:15:30", "update_time": "2026-11-02 08:15:30"}
    return {"id": key, "content": "x", "active_flag": True, "person_id": 1, **times, **more}


async def read(answer: Said, name: str = "person") -> object:
    """What a read of one id makes of an answer."""
    path = "/api/v1/notes/7" if name == "note" else f"/api/v2/{name}s/7"
    async with scripted({f"GET {path}": answer}) as (crm, _):
        (seen,) = (await crm.read(name, [CrmId("7")], lane=LANE)).values()
    return seen


async def record(answer: Said, name: str = "person") -> Record:
    """The record that an answer is."""
    seen = await read(answer, name)
    assert isinstance(seen, Record)
    return seen


async def outcome(operation: Operation, answers: Answers) -> Outcome:
    """What becomes of one write."""
    async with scripted(answers) as (crm, _):
        (only,) = await crm.write([operation], lane=LANE)
    return only


CREATE = Create("person", {"name": "Ada"})
UPDATE = Update("person", CrmId("7"), {"name": "Ada"}, Record("person", CrmId("7"), {"id": 7}))
PATCH, POST, GET = "PATCH /api/v2/persons/7", "POST /api/v2/persons", "GET /api/v2/persons/7"


# --- answers to writes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_a_create_may_answer_200_or_201(status: int) -> None:
    """Specs and reality differ (§4)."""
    made = await outcome(CREATE, {POST: ok(person(), status)})
    assert isinstance(made, Done)
    assert made.record is not None
    assert made.record.id == "7"


@pytest.mark.parametrize("body", [{"id": 7}, {"id": "7"}, person(update_time=None)])
async def test_a_receipt_is_read_back(body: dict[str, Any]) -> None:
    """An answer that is not the whole record is no statement about it."""
    made = await outcome(CREATE, {POST: ok(body, 201), GET: ok(person(name="Stored"))})
    assert isinstance(made, Done)
    assert made.record is not None
    assert made.record.fields["name"] == "Stored"


async def test_an_answer_without_what_was_written_is_read_back() -> None:
    """Part of a record is no statement about the rest; what the record itself leaves out is not asked for for ever."""
    operation = replace(UPDATE, fields={"name": "Ada", HASH: "gold"})
    bare = {key: value for key, value in person().items() if key != "custom_fields"}
    whole = person(custom_fields={HASH: "gold"})
    for answered, read_back in ((bare, whole), (bare, bare)):
        async with scripted({PATCH: ok(answered), GET: ok(read_back)}) as (crm, script):
            (done,) = await crm.write([operation], lane=LANE)
        assert isinstance(done, Done)
        assert done.record is not None
        assert done.record.fields.get(HASH) == (read_back.get("custom_fields") or {}).get(HASH)
        assert script.lines == [PATCH, GET]
    async with scripted({PATCH: ok(whole)}) as (crm, script):
        await crm.write([operation], lane=LANE)
    assert script.lines == [PATCH]


async def test_a_deletion_may_answer_nothing() -> None:
    """204, or 200 without a body."""
    for answer in (Said(status=204, text=""), Said(text=""), ok(), ok(data=True)):
        assert await outcome(Delete("person", CrmId("7")), {"DELETE /api/v2/persons/7": answer}) == Done(None)


async def test_success_false_is_a_refusal_whatever_the_status() -> None:
    """The envelope says that nothing was done; the fields that it names are told."""
    said = Said({"success": False, "error": "Validation failed: name: too long", "data": None})
    refused = await outcome(UPDATE, {PATCH: said})
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, RefusedError)
    assert refused.error.fields == ("name",)


async def test_success_false_is_no_absence() -> None:
    """A read that failed says nothing about the record."""
    async with scripted({GET: Said({"success": False, "error": "try again", "data": None})}) as (crm, _):
        with pytest.raises(RefusedError):
            await crm.read("person", [CrmId("7")], lane=LANE)


async def test_an_update_of_a_deleted_note_is_no_success() -> None:
    """v1 takes the PUT and says `active_flag: false` (§7.1): the record is gone, the write in vain."""
    seen = Record("note", CrmId("7"), {"id": 7})
    operation = Update("note", CrmId("7"), {"content": "new"}, seen)
    refused = await outcome(operation, {"PUT /api/v1/notes/7": ok(note(7, active_flag=False))})
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, RefusedError)
    assert refused.error.code == "missing"


# --- records ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [{"is_deleted": True}, {"is_deleted": 1}, {"active_flag": False}, {"active_flag": 0}, {"status": "deleted"}],
)
async def test_every_mark_of_deletion(flags: dict[str, Any]) -> None:
    """Booleans may be numbers in v1 (§4)."""
    assert isinstance(await read(ok(person(**flags))), Gone)
    assert isinstance(await read(ok(note(7, **flags)), "note"), Gone)


@pytest.mark.parametrize("flags", [{"is_deleted": 0}, {"is_deleted": None}, {"active_flag": 1}, {"active_flag": None}])
async def test_no_mark_of_deletion(flags: dict[str, Any]) -> None:
    """Neither null nor a number for `not deleted` proves anything."""
    assert isinstance(await read(ok(person(**flags))), Record)


@pytest.mark.parametrize(
    "stamp",
    [STAMP, "2026-11-02T08:15:30.000Z", "2026-11-02T08:15:30.9Z", "2026-11-02T10:15:30+02:00", "2026-11-02 08:15:30"],
)
async def test_every_form_of_time(stamp: str) -> None:
    """One moment, one version, however it is spelled (§4)."""
    seen = await record(ok(person(add_time=stamp, update_time=stamp)))
    assert (seen.version, seen.fields["add_time"]) == (STAMP, STAMP)
    assert seen.modified_at == seen.created_at


async def test_keys_may_be_missing_unknown_or_null() -> None:
    """Absent stays absent, null stays null, `custom_fields` may be null or missing; unknown keys do no harm."""
    bare = await record(ok({"id": 7, "update_time": STAMP}))
    assert "name" not in bare.fields
    rich = await record(ok(person(emails=None, org_id=None, custom_fields=None, brand_new={"deep": [1]})))
    assert (rich.fields["org_id"], rich.fields["emails"]) == (None, None)


async def test_an_address_as_text() -> None:
    """Text is an address, no empty one; an object of nulls and an empty text are none."""
    for told, address in (
        ("A 1, Tallinn", {"value": "A 1, Tallinn"}),
        ({"value": "A 1", "country": None}, {"value": "A 1", "country": None}),
        ({"value": None, "country": None}, None),
        ("", None),
        (None, None),
    ):
        seen = await record(ok({"id": 7, "name": "x", "update_time": STAMP, "address": told}), "organization")
        assert seen.fields["address"] == address


async def test_ids_of_any_size_and_spelling() -> None:
    """Billions are read and asked for; a number as text is the same id."""
    big = 9_876_543_210_123
    rows = [person(str(n)) for n in range(big, big + 12)][::-1]
    async with scripted({"GET /api/v2/persons": ok(rows, additional_data=LAST)}) as (crm, script):
        found = await crm.read("person", [CrmId(str(n)) for n in range(big, big + 12)], lane=LANE)
    assert all(isinstance(each, Record) and each.id == key for key, each in found.items())
    assert len(script.asked) == 1


async def test_data_null_is_no_proof() -> None:
    """A read without data may mean anything."""
    assert await read(ok(None)) == NotVisible()


# --- lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"additional_data": None}, {"additional_data": {}}, {"additional_data": LAST}])
async def test_every_end_of_a_list(more: dict[str, Any]) -> None:
    """The cursor may be null or missing, its place as well."""
    async with scripted({"GET /api/v2/persons": ok([person()], **more)}) as (crm, _):
        page = await crm.listing("person", None, lane=LANE)
    assert ([each.id for each in page.records], page.cursor) == (["7"], None)


@pytest.mark.parametrize("cursor", ["a:b", "a+b/c==", "ümlaut &?#", "0:"])
async def test_cursors_are_opaque(cursor: str) -> None:
    """They come back byte for byte."""
    pages = [ok([person()], additional_data={"next_cursor": cursor}), ok([person(8)], additional_data=LAST)]
    async with scripted({"GET /api/v2/persons": pages}) as (crm, script):
        page = await crm.listing("person", None, lane=LANE)
        assert (await crm.listing("person", page.cursor, lane=LANE)).cursor is None
    assert script.asked[1].query["cursor"] == cursor


async def test_a_cursor_that_stands_still_ends_the_list() -> None:
    """It would be walked for ever."""
    still = {"next_cursor": "same"}
    answers: Answers = {
        "GET /api/v2/persons": ok([person()], additional_data=still),
        "GET /api/v2/personFields": ok([], additional_data=still),
    }
    async with scripted(answers) as (crm, script):
        page = await crm.listing("person", None, lane=LANE)
        assert (await crm.listing("person", page.cursor, lane=LANE)).cursor is None
        await crm.ensure_identity("person", "Connector ID", lane=LANE)
    assert script.lines.count("GET /api/v2/personFields") == 2


@pytest.mark.parametrize(
    "pagination",
    [
        {"start": 0, "limit": 500, "more_items_in_collection": True, "next_start": 1},
        {"start": 0, "limit": 1, "more_items_in_collection": True},
        {"start": 0, "limit": 1, "more_items_in_collection": 1, "next_start": "1"},
    ],
)
async def test_offset_pages_nested_or_flat(pagination: dict[str, Any]) -> None:
    """`next_start` may be missing although more exist: nothing after the first page is lost."""
    end = {"start": 1, "limit": 500, "more_items_in_collection": False}
    for nest in (lambda each: {"pagination": each}, lambda each: each):
        pages = [ok([note(3)], additional_data=nest(pagination)), ok([note(3), note(9)], additional_data=nest(end))]
        async with scripted({"GET /api/v1/notes": pages}) as (crm, _):
            page = await crm.listing("note", None, lane=LANE)
            assert page.cursor is not None
            following = await crm.listing("note", page.cursor, lane=LANE)
        assert [each.id for each in (*page.records, *following.records)] == ["3", "9"]


@pytest.mark.parametrize("end", [{}, {"pagination": None}, {"pagination": {}}, None])
async def test_offset_pages_without_pagination(end: object) -> None:
    """No statement means no more; `data` may be null for an empty list."""
    for rows in ([note(3)], None):
        async with scripted({"GET /api/v1/notes": ok(rows, additional_data=end)}) as (crm, _):
            page = await crm.listing("note", None, lane=LANE)
        assert (len(page.records), page.cursor) == (len(rows or ()), None)


async def test_an_account_without_a_list_of_archived_deals() -> None:
    """The list is young (2025-07): where it is not there, nothing is in it, and reads go on."""
    deals = [{"id": n, "title": "x", "update_time": STAMP} for n in range(1, 3)]
    async with scripted({"GET /api/v2/deals": ok(deals, additional_data=LAST)}) as (crm, _):
        page = await crm.listing("deal", None, lane=LANE)
        assert page.cursor is not None
        assert (await crm.listing("deal", page.cursor, lane=LANE)).records == []
        found = await crm.read("deal", [CrmId(str(n)) for n in range(1, 40)], lane=LANE)
    assert sum(isinstance(each, Record) for each in found.values()) == 2


# --- the account and its definitions ------------------------------------------------------------------------------

FIELDS = ("personFields", "organizationFields", "dealFields", "activityFields", "pipelines", "stages")


def account(**more: Said) -> dict[str, Said]:
    """An account with nothing in it; `more` by the last part of the path."""
    paths = {**{f"GET /api/v2/{each}": ok([], additional_data=LAST) for each in FIELDS}}
    paths |= {"GET /api/v1/users": ok([ME]), "GET /api/v1/users/me": ok(ME), "GET /api/v1/activityTypes": ok([])}
    return {**paths, **{next(line for line in paths if line.endswith(f"/{key}")): each for key, each in more.items()}}


async def test_definitions_with_holes() -> None:
    """Options null or missing, ids as numbers or text, `is_custom_field` missing: the hash tells."""
    fields: list[Json] = [
        {"field_name": "Tier", "field_code": HASH, "field_type": "enum", "options": [{"id": "31", "label": "Gold"}]},
        {"field_name": "Score", "field_code": "b" * 40, "field_type": "double", "options": None, "subfields": None},
        {"field_name": "Odd", "field_code": "c" * 40, "field_type": "brand_new", "is_custom_field": True},
        {"field_name": "Label", "field_code": "label", "field_type": "set", "options": None},
    ]
    async with scripted(account(personFields=ok(fields))) as (crm, _):
        told = await crm.metadata(lane=LANE)
    custom = {each.name: each for each in told.fields["person"] if each.custom}
    assert custom.keys() == {"Tier", "Score", "Odd"}
    assert [(each.id, each.label) for each in custom["Tier"].options] == [("31", "Gold")]


async def test_users_with_holes() -> None:
    """Flags as numbers, missing e-mail, deleted and inactive ones."""
    rows = [
        {"id": 1, "name": "A", "email": "a@x.test", "active_flag": 1},
        {"id": 2, "name": "B", "email": "b@x.test", "active_flag": 0},
        {"id": 3, "name": "C", "email": None, "active_flag": True},
        {"id": 4, "name": "D", "email": "d@x.test"},
        {"id": 5, "name": "E", "email": "e@x.test", "active_flag": True, "is_deleted": True},
    ]
    async with scripted(account(users=ok(rows))) as (crm, _):
        told = await crm.metadata(lane=LANE)
    assert [(each.id, each.email, each.active) for each in told.users] == [
        ("1", "a@x.test", True),
        ("2", "b@x.test", False),
        ("3", "", True),
        ("4", "d@x.test", True),
        ("5", "e@x.test", False),
    ]


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("hidden", ["users", "activityTypes", "stages", "pipelines", "activityFields"])
async def test_definitions_that_the_token_may_not_see(hidden: str, status: int) -> None:
    """A missing scope (§2.3) costs what needs it, not the connection."""
    refusal = Said({"success": False, "error": "Scope and URL mismatch", "errorCode": status}, status)
    async with scripted(account(**{hidden: refusal})) as (crm, _):
        told = await crm.metadata(lane=LANE)
    assert told.me == "8"


async def test_an_emulator_with_v1_at_its_short_address() -> None:
    """`/v1` is as official as `/api/v1` (§1): where one is not there, the other is."""
    answers: Answers = {"GET /v1/users/me": ok(ME), "GET /v1/notes/7": ok(note(7))}
    async with scripted(answers) as (crm, _):
        assert (await crm.account()).user == "8"
        (seen,) = (await crm.read("note", [CrmId("7")], lane=LANE)).values()
    assert isinstance(seen, Record)


@pytest.mark.parametrize("path", ["", "/", "/api/v2", "/api/v1/", "/api/", "/v1", "/v1/"])
async def test_an_address_with_a_version_pasted(path: str) -> None:
    """Slashes and versions at the end are understood."""
    async with scripted({"GET /api/v1/users/me": ok(ME), GET: ok(person())}, path=path) as (crm, _):
        assert (await crm.account()).company == "5"
        assert isinstance((await crm.read("person", [CrmId("7")], lane=LANE))[CrmId("7")], Record)


async def test_an_identity_field_that_cannot_be_made() -> None:
    """Whatever the reason, creates go on with fingerprints only; no key is made up."""
    refusals = [Said({"success": False, "error": "no"}, status) for status in (400, 403, 404, 405, 422)]
    for refusal in (*refusals, ok({"id": 5, "key": HASH})):
        answers: Answers = {
            "GET /api/v2/personFields": ok([], additional_data=LAST),
            "POST /api/v2/personFields": refusal,
        }
        async with scripted(answers) as (crm, _):
            assert not await crm.ensure_identity("person", "Connector ID", lane=LANE)


# --- limits, headers, errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 2),
        ({"X-RateLimit-Reset": "2"}, 2),
        ({"Retry-After": "7"}, 7),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 9)}, 9),
        ({"x-ratelimit-reset": "nonsense", "Retry-After": "Mon, 04 May 2026 12:00:07 GMT"}, 7),
        ({"x-ratelimit-reset": "inf"}, 2),
        ({"x-ratelimit-reset": "-5"}, 2),
        ({"x-ratelimit-remaining": "NaN", "x-ratelimit-limit": "-1"}, 2),
        ({"x-ratelimit-reset": "999999"}, 3600),
    ],
)
async def test_429_with_any_headers(headers: dict[str, str], seconds: int) -> None:
    """Seconds, a moment, a date, nothing or nonsense: a pause that ends."""
    async with scripted({GET: Said({"success": False}, 429, headers)}) as (crm, _):
        with pytest.raises(RateLimitedError) as limited:
            await crm.read("person", [CrmId("7")], lane=LANE)
    assert limited.value.until == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "error": {"message": "name is wrong", "details": ["name"]}},
        {"success": False, "errors": ["name"]},
        {"error": None, "message": None},
        {"statusCode": 400, "error": "Bad Request", "message": ["name must be a string"]},
        ["name"],
        "name",
        None,
        7,
    ],
)
async def test_error_bodies_of_other_shapes(body: object) -> None:
    """A refusal is a refusal whatever its body looks like."""
    refused = await outcome(UPDATE, {PATCH: Said(body, 400)})
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, RefusedError)
    assert refused.error.code == "400"


@pytest.mark.parametrize("text", ["", "Not Found", "<html>nginx</html>"])
async def test_404_with_any_body(text: str) -> None:
    """The status alone counts (§10)."""
    assert await read(Said(status=404, text=text)) == NotVisible()


async def test_one_forbidden_record_does_not_stop_its_neighbours() -> None:
    """403 for one id means that it is not to be seen; if all of them are, the object is forbidden."""
    forbidden = Said({"success": False, "error": "You do not have permissions to do this"}, 403)
    async with scripted({"GET /api/v2/persons/6": forbidden, GET: ok(person())}) as (crm, _):
        found = await crm.read("person", [CrmId("6"), CrmId("7")], lane=LANE)
        assert found[CrmId("6")] == NotVisible()
        assert isinstance(found[CrmId("7")], Record)
        with pytest.raises(ForbiddenError):
            await crm.read("person", [CrmId("6")], lane=LANE)


async def test_an_empty_answer_to_a_read_is_none() -> None:
    """Nothing came: ask again."""
    async with scripted({GET: Said(text="")}) as (crm, _):
        with pytest.raises(UnavailableError):
            await crm.read("person", [CrmId("7")], lane=LANE)


async def test_an_empty_answer_to_a_create_leaves_doubt() -> None:
    """It may have been applied."""
    assert isinstance(await outcome(CREATE, {POST: Said(text="")}), Unknown)
    assert isinstance(await outcome(CREATE, {POST: ok()}), Unknown)


async def test_answers_without_a_date() -> None:
    """Nobody knows the CRM's clock then, but the doubt is a number: it is stored and printed."""
    async with scripted({"GET /api/v1/users/me": replace(ok(ME), headers={"Date": "nonsense"})}) as (crm, _):
        found = await crm.account()
    assert (found.clock_offset, found.clock_error) == (0.0, 60.0)


async def test_only_a_body_is_announced_as_json() -> None:
    """Some servers refuse a Content-Type without a body."""
    answers: Answers = {GET: ok(person()), PATCH: ok(person()), "DELETE /api/v2/persons/7": ok({"id": 7})}
    async with scripted(answers) as (crm, script):
        await crm.read("person", [CrmId("7")], lane=LANE)
        await crm.write([UPDATE, Delete("person", CrmId("7"))], lane=LANE)
    kinds = {each.method: each.headers.get("Content-Type") for each in script.asked}
    assert kinds == {"GET": None, "PATCH": "application/json", "DELETE": None}


# --- webhook subscriptions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("told", "active"), [(1, True), (True, True), ("1", True), (None, True), (0, False)])
async def test_a_subscription_is_active_unless_it_says_otherwise(told: object, *, active: bool) -> None:
    """`is_active` is 1 by description; one that says nothing is believed to live."""
    row = {"id": "5", "subscription_url": "http://hook.test", "event_action": "*", "event_object": "*"}
    rows = [row if told is None else {**row, "is_active": told}]
    async with scripted({"GET /api/v1/webhooks": ok(rows, status=200)}) as (crm, _):
        (only,) = await crm.subscriptions(lane=LANE)
    assert (only.id, only.objects, only.active) == ("5", "*", active)
