"""The endpoints of API v2 with their prices (OpenAPI v2, ``x-token-cost``)."""

from collections.abc import Iterator

from connector.sandbox import wire
from connector.sandbox.activities import ACTIVITY
from connector.sandbox.calls import Answer, Call, Endpoint, Handler, ok, ok_bytes
from connector.sandbox.deals import DEAL
from connector.sandbox.entity import Entity
from connector.sandbox.fields import Field
from connector.sandbox.listing import DEFAULT_LIMIT, KEPT_DELETED, MAX_LIMIT, Listing, integer
from connector.sandbox.persons import ORGANIZATION, PERSON
from connector.sandbox.pipelines import PIPELINE, STAGE
from connector.sandbox.refusals import invalid, not_found
from connector.sandbox.table import DELETED, Row, shelf_of
from connector.sandbox.views import View, render
from connector.sandbox.wire import Record

_ADDED = ("ui_visibility", "important_fields", "required_fields")


def _get(entity: Entity) -> Handler:
    """Give one record; deleted ones with is_deleted for 30 days, then 404."""

    def get(call: Call) -> Answer:
        row = call.world.tables[entity.name].rows.get(call.key)
        if row is None or call.world.is_hidden(call.user.id, entity.name, call.key) or _expired(call, row.record):
            raise not_found(entity.name)
        return ok_bytes(render(call.world, entity, row, View.of(call, entity)))

    return get


def _expired(call: Call, record: Record) -> bool:
    oldest = wire.seconds(call.company.clock() - KEPT_DELETED)
    return shelf_of(record) == DELETED and bool(record["update_time"] < oldest)


def _stored(call: Call, entity: Entity, key: int) -> Answer:
    row: Row = call.world.tables[entity.name].rows[key]
    return ok_bytes(render(call.world, entity, row))


def _create(entity: Entity) -> Handler:
    return lambda call: _stored(call, entity, call.do(f"{entity.name}.create", call.body())["id"])


def _update(entity: Entity) -> Handler:
    def update(call: Call) -> Answer:
        call.do(f"{entity.name}.update", call.key, call.body())
        return _stored(call, entity, call.key)

    return update


def _delete(entity: Entity) -> Handler:
    return lambda call: ok(call.do(f"{entity.name}.delete", call.key))


def _crud(entity: Entity, path: str, listing: Listing, list_cost: int = 10) -> Iterator[Endpoint]:
    yield Endpoint("GET", f"/{path}", list_cost, listing)
    yield Endpoint("POST", f"/{path}", 5, _create(entity))
    yield Endpoint("GET", f"/{path}/{{id}}", 1, _get(entity))
    yield Endpoint("PATCH", f"/{path}/{{id}}", 5, _update(entity))
    yield Endpoint("DELETE", f"/{path}/{{id}}", 3, _delete(entity))


def _fields(entity: str) -> Iterator[Endpoint]:
    path = f"/{entity}Fields"
    yield Endpoint("GET", path, 10, lambda call: _list_fields(call, entity))
    yield Endpoint("GET", f"{path}/{{field_code}}", 1, lambda call: ok(_show_field(call, _field(call, entity))))
    if entity == "activity":
        return
    yield Endpoint("POST", path, 5, lambda call: ok(call.do(f"{entity}Field.create", call.body())))
    for method, cost, verb in (("PATCH", 5, "update"), ("DELETE", 3, "delete")):
        yield Endpoint(method, f"{path}/{{field_code}}", cost, _field_write(entity, verb))
    for method, cost, verb in (
        ("POST", 5, "add_options"),
        ("PATCH", 5, "update_options"),
        ("DELETE", 3, "delete_options"),
    ):
        yield Endpoint(method, f"{path}/{{field_code}}/options", cost, _option_write(entity, verb))


def _field_write(entity: str, verb: str) -> Handler:
    def write(call: Call) -> Answer:
        body = [call.body()] if verb == "update" else []
        return ok(call.do(f"{entity}Field.{verb}", call.params["field_code"], *body))

    return write


def _option_write(entity: str, verb: str) -> Handler:
    def write(call: Call) -> Answer:
        touched = call.do(f"{entity}Field.{verb}", call.params["field_code"], call.body())
        return ok(touched, additional_data=None)

    return write


def _field(call: Call, entity: str) -> Field:
    field = call.world.fields.get(entity, call.params["field_code"])
    if field is None:
        raise not_found("field")
    return field


def _list_fields(call: Call, entity: str) -> Answer:
    start = _field_start(call.query.get("cursor"))
    limit = integer(call.query, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
    fields = call.world.fields.of(entity)
    page = [_show_field(call, field) for field in fields[start : start + limit]]
    following = f"f{start + limit}" if start + limit < len(fields) else None
    return ok(page, additional_data={"next_cursor": following})


def _field_start(cursor: str | None) -> int:
    if not cursor:
        return 0
    if not cursor.startswith("f") or not cursor[1:].isdigit():
        raise invalid({"cursor": "is not a valid cursor"})
    return int(cursor[1:])


def _show_field(call: Call, field: Field) -> Record:
    wanted = {each for each in call.query.get("include_fields", "").split(",") if each}
    if not wanted <= set(_ADDED):
        raise invalid({"include_fields": f"must be among {', '.join(_ADDED)}"})
    options = None if field.options is None else list(field.wire()["options"])
    if field.code == "type":
        options = [{"id": t["key_string"], "label": t["name"]} for t in call.world.tables["activity_type"].live()]
    added: Record = {
        "ui_visibility": {"add_visible_flag": True, "details_visible_flag": True},
        "important_fields": {"enabled": False, "stage_ids": []},
        "required_fields": {"enabled": False},
    }
    return {**field.wire(), "options": options, **{key: added[key] for key in _ADDED if key in wanted}}


_DEAL_FILTERS = ("owner_id", "person_id", "org_id", "pipeline_id", "stage_id")
ENDPOINTS: tuple[Endpoint, ...] = (
    *_crud(PERSON, "persons", Listing(PERSON, ("owner_id", "org_id"))),
    *_crud(ORGANIZATION, "organizations", Listing(ORGANIZATION, ("owner_id",))),
    Endpoint("GET", "/deals/archived", 20, Listing(DEAL, _DEAL_FILTERS, archived=True)),
    *_crud(DEAL, "deals", Listing(DEAL, _DEAL_FILTERS)),
    *_crud(
        ACTIVITY,
        "activities",
        Listing(ACTIVITY, ("owner_id", "deal_id", "lead_id", "person_id", "org_id", "done"), ("due_date",)),
    ),
    *_crud(PIPELINE, "pipelines", Listing(PIPELINE), 5),
    *_crud(STAGE, "stages", Listing(STAGE, ("pipeline_id",), ("order_nr",)), 5),
    *(endpoint for entity in ("deal", "person", "organization", "activity") for endpoint in _fields(entity)),
)
