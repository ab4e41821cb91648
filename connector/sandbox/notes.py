"""Notes, a v1 entity: lenient bodies, space-format times, active_flag (OpenAPI v1; REFERENCE of the API §7.1)."""

from collections.abc import Callable

import nh3

from connector.sandbox import refusals
from connector.sandbox.entity import Entity
from connector.sandbox.model import Context
from connector.sandbox.records import PARENTS, bump_parents, living, overlay, replace
from connector.sandbox.records import emit as emit_event
from connector.sandbox.wire import Json, Record, spaced, unspaced
from connector.sandbox.world import World

LINKS = (*PARENTS, "lead_id", "project_id", "task_id")
PINS = tuple(f"pinned_to_{each}_flag" for each in ("deal", "person", "organization", "lead", "project", "task"))
_LIMIT = 100_000


def create(world: World, context: Context, body: Json) -> Record:
    """Make a note; it needs content and at least one record, and takes over a deal's person and organization."""
    given = _read(world, body)
    if not given.get("content"):
        raise refusals.bad_request("Content is required")
    if not any(given.get(link) for link in LINKS):
        raise refusals.bad_request("One of deal_id, person_id, org_id, lead_id, project_id or task_id is required")
    table = world.tables["note"]
    record = {**_blank(table.next_id, context), **_from_deal(world, given), **given}
    table.put(record)
    emit_event(world, context, NOTE, before=None, after=record)
    bump_parents(world, context, record)
    return record


def update(world: World, context: Context, key: int, body: Json) -> Record:
    """Change a note; a deleted one too, as was seen."""
    old = world.get("note", key)
    if old is None or world.is_hidden(context.actor.user_id, "note", key):
        raise refusals.not_found("note")
    new = {**old, **_read(world, body)}
    if new == old:
        return old
    return replace(world, context, NOTE, old, {**new, "last_update_user_id": context.actor.user_id})


def delete(world: World, context: Context, key: int) -> bool:
    """Delete softly: active_flag false."""
    old = living(world, context, "note", key)
    world.tables["note"].put({**old, "active_flag": False, "update_time": context.now})
    emit_event(world, context, NOTE, before=old, after=None)
    return True


def restore(world: World, context: Context, key: int) -> Record:
    """Undo a deletion."""
    old = world.get("note", key)
    if old is None or old["active_flag"]:
        raise refusals.not_found("deleted note")
    return replace(world, context, NOTE, old, {**old, "active_flag": True})


def _read(world: World, body: Json) -> Record:
    """Take the known keys, coercing numbers and flags; unknown keys are ignored, as v1 does."""
    if not isinstance(body, dict):
        raise refusals.bad_request("Body must be an object")
    given = {key: take(body[key]) for key, take in _TAKE.items() if key in body}
    for key, entity in PARENTS.items():
        if given.get(key) is not None and not world.has(entity, given[key]):
            raise refusals.bad_request(f"{entity.capitalize()} not found")
    if given.get("user_id") is not None and given["user_id"] not in world.users:
        raise refusals.bad_request("User not found")
    return {key: value for key, value in given.items() if value is not None or key in LINKS}


def _content(value: Json) -> str:
    if not isinstance(value, str) or len(value) > _LIMIT:
        raise refusals.bad_request("Content must be a text of at most 100 KB")
    return nh3.clean(value)


def _key(value: Json) -> int | None:
    try:
        return None if value in (None, "") else int(value)
    except (TypeError, ValueError):
        raise refusals.bad_request("An id must be a number") from None


def _flag(value: Json) -> bool:
    return value in (1, "1", True, "true")


def _stamp(value: Json) -> str:
    return unspaced(str(value).removesuffix("Z").replace("T", " "))


_TAKE: dict[str, Callable[[Json], Json]] = {
    "content": _content,
    "user_id": _key,
    "add_time": _stamp,
    "lead_id": lambda value: value,
    **dict.fromkeys(("deal_id", "person_id", "org_id", "project_id", "task_id"), _key),
    **dict.fromkeys(PINS, _flag),
}


def _blank(key: int, context: Context) -> Record:
    return {
        "id": key,
        "user_id": context.actor.user_id,
        **dict.fromkeys(LINKS),
        "content": "",
        "add_time": context.now,
        "update_time": context.now,
        "active_flag": True,
        **dict.fromkeys(PINS, False),
        "last_update_user_id": None,
    }


def _from_deal(world: World, given: Record) -> Record:
    deal = world.get("deal", given["deal_id"]) if given.get("deal_id") else None
    return {key: deal[key] for key in ("person_id", "org_id")} if deal else {}


def show(world: World, note: Record, caller: int) -> Record:
    """Give a note as v1 does, expanded with names as the caller may see them."""
    user = world.users[note["user_id"]]
    deal, person, organization = (
        world.get(entity, note[key]) if note[key] else None for key, entity in PARENTS.items()
    )
    return {
        **note,
        "add_time": spaced(note["add_time"]),
        "update_time": spaced(note["update_time"]),
        "deal": deal and {"title": deal["title"]},
        "person": person and {"name": person["name"]},
        "organization": organization and {"name": organization["name"]},
        "user": {"email": user.email, "name": user.name, "icon_url": None, "is_you": user.id == caller},
    }


def _tell(_world: World, note: Record) -> Record:
    return dict(note)


NOTE = Entity(
    name="note",
    keys=("id", "user_id", *LINKS, "content", "add_time", "update_time", "active_flag", *PINS, "last_update_user_id"),
    create={},
    update={},
    required=(),
    blank=lambda _world, context: _blank(0, context),
    settle=overlay,
    tell=_tell,
)
