"""The endpoints of API v1 that have no v2 counterpart, with their prices (OpenAPI v1, ``x-token-cost``)."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping

from connector.sandbox import notes, refusals, subscriptions, users
from connector.sandbox.calls import Answer, Call, Endpoint, Handler, fields_of, ok
from connector.sandbox.listing import integer, moment
from connector.sandbox.refusals import bad_request, not_found
from connector.sandbox.table import LIVE, Query
from connector.sandbox.wire import Json, Record, dumps, spaced
from connector.sandbox.world import COMPANY_ID

_MAX = 500
_SORT = re.compile(
    r"(id|user_id|deal_id|person_id|org_id|content|add_time|update_time)(?:[ +](ASC|DESC))?", re.IGNORECASE
)
_CURRENCIES = (("EUR", "Euro", "€"), ("USD", "US Dollar", "$"), ("GBP", "Pound sterling", "£"), ("PLN", "Złoty", "zł"))


def _list_notes(call: Call) -> Answer:
    start = integer(call.query, "start", 0)
    limit = integer(call.query, "limit", 100, low=1, high=_MAX)
    field, descending = _sort(call.query)
    query = Query(
        shelves=(LIVE,),
        sort_by=field,
        descending=descending,
        limit=start + limit,
        since=moment(call.query, "updated_since"),
        where=_note_filter(call),
    )
    rows, more = call.world.tables["note"].select(query)
    page = [notes.show(call.world, row.record, call.user.id) for row in rows[start:]]
    pagination = {"start": start, "limit": limit, "more_items_in_collection": more}
    return ok(page, additional_data={"pagination": {**pagination, **({"next_start": start + limit} if more else {})}})


def _sort(params: Mapping[str, str]) -> tuple[str, bool]:
    found = _SORT.fullmatch(params.get("sort", "id ASC").strip())
    if found is None:
        raise bad_request("sort must be a field and ASC or DESC")
    return found[1].lower(), (found[2] or "ASC").upper() == "DESC"


def _note_filter(call: Call) -> Callable[[Record], bool] | None:
    tests = [*_note_equals(call.query), *_note_dates(call.query)]
    hidden = call.world.hidden.get(call.user.id)
    if hidden:
        tests.append(lambda note: ("note", note["id"]) not in hidden)
    return (lambda note: all(test(note) for test in tests)) if tests else None


def _note_equals(params: Mapping[str, str]) -> Iterator[Callable[[Record], bool]]:
    for key in ("user_id", "deal_id", "person_id", "org_id", "project_id", "task_id", *notes.PINS):
        if params.get(key):
            yield _equals(key, integer(params, key, 0))
    if params.get("lead_id"):
        yield _equals("lead_id", params["lead_id"])


def _equals(key: str, wanted: Json) -> Callable[[Record], bool]:
    return lambda note: bool(note[key] == wanted)


def _note_dates(params: Mapping[str, str]) -> Iterator[Callable[[Record], bool]]:
    if params.get("start_date"):
        yield lambda note: note["add_time"][:10] >= params["start_date"]
    if params.get("end_date"):
        yield lambda note: note["add_time"][:10] <= params["end_date"]


def _get_note(call: Call) -> Answer:
    note = call.world.get("note", call.key)
    if note is None or call.world.is_hidden(call.user.id, "note", call.key):
        raise not_found("note")
    return ok(notes.show(call.world, note, call.user.id))


def _create_note(call: Call) -> Answer:
    return ok(notes.show(call.world, call.do("note.create", call.lenient_body()), call.user.id), 201)


def _update_note(call: Call) -> Answer:
    return ok(notes.show(call.world, call.do("note.update", call.key, call.lenient_body()), call.user.id))


def _users(call: Call) -> Answer:
    found = [users.show(user, call.user.id) for user in call.world.users.values()]
    return ok(found, additional_data={"company_id": COMPANY_ID})


def _me(call: Call) -> Answer:
    company = {
        "company_id": COMPANY_ID,
        "company_name": "Acme Sandbox",
        "company_domain": call.world.domain,
        "company_country": "DE",
        "company_industry": "IT Services",
        "language": {"language_code": "en", "country_code": "US"},
    }
    return ok({**users.show(call.user, call.user.id), **company})


def _user(call: Call) -> Answer:
    user = call.world.users.get(call.key)
    if user is None:
        raise not_found("user")
    return ok(users.show(user, call.user.id))


def _update_user(call: Call) -> Answer:
    call.do("user.update", call.key, call.lenient_body())
    return _user(call)


def _find_users(call: Call) -> Answer:
    term = call.query.get("term", "").lower()
    by_email = call.query.get("search_by_email") in ("1", "true")
    found = [u for u in call.world.users.values() if term and term in (u.email if by_email else u.name).lower()]
    return ok([users.show(user, call.user.id) for user in found])


def _types(call: Call) -> Answer:
    return ok([_show_type(each) for each in call.world.tables["activity_type"].live()])


def _show_type(kind: Record) -> Record:
    return {**kind, "add_time": spaced(kind["add_time"]), "update_time": spaced(kind["update_time"])}


def _currencies(_call: Call) -> Answer:
    return ok(
        [
            {
                "id": at,
                "code": code,
                "name": name,
                "decimal_points": 2,
                "symbol": symbol,
                "active_flag": True,
                "is_custom_flag": False,
            }
            for at, (code, name, symbol) in enumerate(_CURRENCIES, 1)
        ]
    )


def _changelog(entity: str) -> Handler:
    """Give the changed fields of a record, newest first, by cursor."""

    def changelog(call: Call) -> Answer:
        if call.world.get(entity, call.key) is None or call.world.is_hidden(call.user.id, entity, call.key):
            raise not_found(entity)
        rows = call.world.history.get((entity, call.key), [])
        end = _changelog_end(call.query.get("cursor"), len(rows))
        limit = integer(call.query, "limit", 100, low=1, high=_MAX)
        start = max(0, end - limit)
        cursor = base64.urlsafe_b64encode(f"id:{start}".encode()).decode() if start else None
        return ok(rows[start:end][::-1], additional_data={"next_cursor": cursor})

    return changelog


def _changelog_end(cursor: str | None, default: int) -> int:
    if not cursor:
        return default
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("id:"))
    except ValueError:
        raise bad_request("cursor is not valid") from None


def _merge(entity: str) -> Handler:
    def merge(call: Call) -> Answer:
        survivor = call.do(f"{entity}.merge", call.key, call.lenient_body())
        if entity == "organization":
            return ok({"id": survivor["id"]})
        return ok({**_merged(call, entity, survivor), "merge_what_id": call.key})

    return merge


def _merged(call: Call, entity: str, record: Record) -> Record:
    """Give the survivor in the v1 shape, without the counters."""
    common = {
        "id": record["id"],
        "add_time": spaced(record["add_time"]),
        "update_time": spaced(record["update_time"]),
        "visible_to": str(record["visible_to"]),
        "org_id": record["org_id"],
        "owner_name": call.world.users[record["owner_id"]].name,
    }
    return {**common, **(_v1_person(record) if entity == "person" else _v1_deal(record))}


def _v1_person(person: Record) -> Record:
    return {
        **fields_of(person, ("owner_id", "name", "first_name", "last_name", "label_ids")),
        "company_id": COMPANY_ID,
        "active_flag": True,
        "phone": person["phones"],
        "email": person["emails"],
    }


def _v1_deal(deal: Record) -> Record:
    kept = ("creator_user_id", "person_id", "stage_id", "title", "value", "currency", "status", "pipeline_id")
    return {
        **fields_of(deal, (*kept, "is_archived")),
        "user_id": deal["owner_id"],
        "active": deal["status"] == "open",
        "deleted": False,
    }


def _webhook_ok(status: int = 200, **more: object) -> Answer:
    return Answer(dumps({"status": "ok", "success": True, **more}), status)


def _create_webhook(call: Call) -> Answer:
    body = call.lenient_body()
    if isinstance(body, dict) and subscriptions.is_url(body.get("subscription_url")) and not call.request.reachable:
        raise subscriptions.unreachable()
    return _webhook_ok(201, data=call.do("webhook.create", body))


def _delete_webhook(call: Call) -> Answer:
    call.do("webhook.delete", call.key)
    return _webhook_ok()


def _webhooks(call: Call) -> Answer:
    own = [each for each in call.world.subscriptions.values() if each.owner_id == call.user.id]
    return _webhook_ok(data=[subscriptions.show(each) for each in own])


def _no_webhook_rights(handler: Handler) -> Handler:
    """Webhooks need an admin: the scope is ``admin``."""

    def guarded(call: Call) -> Answer:
        if not call.user.is_admin:
            raise refusals.Refusal(403, {"success": False, "message": "Forbidden"})
        return handler(call)

    return guarded


def _delete_type(call: Call) -> Answer:
    return ok(_show_type(call.do("activity_type.delete", call.key)))


def _paths() -> Iterator[Endpoint]:
    for path, entity in (("deals", "deal"), ("persons", "person"), ("organizations", "organization")):
        yield Endpoint("GET", f"/{path}/{{id}}/changelog", 20, _changelog(entity))
        yield Endpoint("PUT", f"/{path}/{{id}}/merge", 40, _merge(entity))


ENDPOINTS: tuple[Endpoint, ...] = (
    *_paths(),
    Endpoint("GET", "/notes", 20, _list_notes),
    Endpoint("POST", "/notes", 10, _create_note),
    Endpoint("GET", "/notes/{id}", 2, _get_note),
    Endpoint("PUT", "/notes/{id}", 10, _update_note),
    Endpoint("DELETE", "/notes/{id}", 6, lambda call: ok(call.do("note.delete", call.key))),
    Endpoint("GET", "/users", 20, _users),
    Endpoint("GET", "/users/me", 2, _me),
    Endpoint("GET", "/users/find", 40, _find_users),
    Endpoint("GET", "/users/{id}", 2, _user),
    Endpoint("PUT", "/users/{id}", 10, _update_user),
    Endpoint("GET", "/activityTypes", 20, _types),
    Endpoint(
        "POST", "/activityTypes", 10, lambda call: ok(_show_type(call.do("activity_type.create", call.lenient_body())))
    ),
    Endpoint("DELETE", "/activityTypes/{id}", 6, _delete_type),
    Endpoint("GET", "/currencies", 20, _currencies),
    Endpoint("GET", "/webhooks", 10, _no_webhook_rights(_webhooks)),
    Endpoint("POST", "/webhooks", 10, _no_webhook_rights(_create_webhook)),
    Endpoint("DELETE", "/webhooks/{id}", 6, _no_webhook_rights(_delete_webhook)),
)
