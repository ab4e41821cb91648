"""What all records share: create, update, delete, restore, purge, duplicate, and the events and history these leave."""

from connector.sandbox import bodies, refusals
from connector.sandbox.entity import Entity, Scene
from connector.sandbox.model import Context, Event
from connector.sandbox.table import DELETED, shelf_of
from connector.sandbox.wire import Json, Record, spaced
from connector.sandbox.world import World

PARENTS = {"deal_id": "deal", "person_id": "person", "org_id": "organization"}


def create(world: World, context: Context, entity: Entity, body: Json) -> Record:
    """Make a record from a body; refuses the body as a whole or makes it whole."""
    given = bodies.read(entity.create, body, world, required=entity.required)
    table = world.tables[entity.name]
    blank = {**entity.blank(world, context), "id": table.next_id, "add_time": context.now, "update_time": context.now}
    record = entity.settle(Scene(world, context, blank, given, fresh=True))
    table.put(record)
    emit(world, context, entity, before=None, after=record)
    if entity.name == "activity":
        bump_parents(world, context, record)
    return record


def bump_parents(world: World, context: Context, child: Record) -> None:
    """Move the update_time of what a new activity or note belongs to; only where switched on, never told."""
    if not world.switches.children_bump_parent:
        return
    for key, entity in PARENTS.items():
        parent = world.get(entity, child[key]) if child[key] else None
        if parent is not None:
            world.tables[entity].put({**parent, "update_time": context.now})


def update(world: World, context: Context, entity: Entity, key: int, body: Json) -> Record:
    """Change a record; equal values are no change: no event, the same update_time."""
    old, new = prepare(world, context, entity, key, body)
    return replace(world, context, entity, old, new)


def prepare(world: World, context: Context, entity: Entity, key: int, body: Json) -> tuple[Record, Record]:
    """Give a record as it is and as a body would leave it; changes nothing."""
    old = living(world, context, entity.name, key)
    given = bodies.read(entity.update, body, world)
    return old, entity.settle(Scene(world, context, old, given, fresh=False))


def replace(world: World, context: Context, entity: Entity, old: Record, new: Record) -> Record:
    """Store a changed record with its new update_time, tell it and note it in the history."""
    if new == old:
        return old
    record = {**new, "update_time": context.now}
    world.tables[entity.name].put(record)
    emit(world, context, entity, before=old, after=record)
    note_history(world, context, entity, old, record)
    return record


def delete(world: World, context: Context, entity: Entity, key: int) -> Record:
    """Delete softly: the record stays readable with is_deleted, update_time is the time of deletion."""
    old = world.get(entity.name, key)
    if old is not None and shelf_of(old) == DELETED and world.switches.second_delete == 410:  # noqa: PLR2004
        raise refusals.gone(key)
    old = living(world, context, entity.name, key)
    world.tables[entity.name].put({**old, "is_deleted": True, "update_time": context.now})
    emit(world, context, entity, before=old, after=None)
    return {"id": key}


def restore(world: World, context: Context, entity: Entity, key: int) -> Record:
    """Undo a deletion, as the web app can; told as a change with nothing in ``previous``."""
    old = world.get(entity.name, key)
    if old is None or shelf_of(old) != DELETED:
        raise refusals.not_found(f"deleted {entity.name}")
    record = {**old, "is_deleted": False, "update_time": context.now}
    world.tables[entity.name].put(record)
    emit(world, context, entity, before=record, after=record)
    return record


def purge(world: World, context: Context, entity: Entity, key: int) -> Record:
    """Remove a record for good, without an event: afterwards it was never there."""
    if world.get(entity.name, key) is None:
        raise refusals.not_found(entity.name)
    world.tables[entity.name].remove(key)
    world.history.pop((entity.name, key), None)
    return {"id": key, "at": context.now}


def duplicate(world: World, context: Context, entity: Entity, key: int) -> Record:
    """Copy a record under a new id, custom fields included, as the web app's own function does."""
    old = living(world, context, entity.name, key)
    table = world.tables[entity.name]
    copy = {**old, "id": table.next_id, "add_time": context.now, "update_time": context.now}
    table.put(copy)
    emit(world, context, entity, before=None, after=copy)
    return copy


def living(world: World, context: Context, entity: str, key: int) -> Record:
    """Find a record that the actor may change; 404 when missing, deleted or hidden."""
    record = world.get(entity, key)
    if record is None or shelf_of(record) == DELETED or world.is_hidden(context.actor.user_id, entity, key):
        raise refusals.not_found(entity)
    return record


def emit(
    world: World,
    context: Context,
    entity: Entity,
    *,
    before: Record | None,
    after: Record | None,
    merged: tuple[int | None, int | None] = (None, None),
) -> None:
    """Add the event of a change to the context: create, change or delete by what is null; ``merged`` is (to, from)."""
    if context.quiet:
        return
    data = None if after is None else entity.tell(world, after)
    last = None if before is None else entity.tell(world, before)
    action = "create" if last is None else "delete" if data is None else "change"
    context.events.append(
        Event(
            id=world.new_event_id(),
            at=context.at,
            actor=context.actor,
            entity=entity.name,
            entity_id=int((after or before or {})["id"]),
            action=action,
            data=_fresh(entity, data) if last is None else _cleared(entity, data, last),
            previous=last if last is None or data is None else _previous(entity, last, data),
            merged_to=merged[0],
            merged_from=merged[1],
            is_bulk=context.is_bulk,
        )
    )


def _fresh(entity: Entity, data: Record | None) -> Record | None:
    """Leave out the version of a deal's create event, as the official sample does."""
    return {**data, "update_time": None} if data and entity.name == "deal" else data


def _cleared(entity: Entity, data: Record | None, last: Record) -> Record | None:
    """Spell a cleared due_time or duration as change events do: an object with an empty value."""
    if data is None or entity.name != "activity":
        return data
    empty = {"timezone_id": None, "value": ""}
    return {**data, **{key: empty for key in ("due_time", "duration") if data[key] is None and last[key] is not None}}


def _previous(entity: Entity, last: Record, data: Record) -> Record:
    changed = {
        key: value for key, value in last.items() if data.get(key) != value and key not in entity.silent_previous
    }
    if "custom_fields" in changed:
        now = data["custom_fields"]
        changed["custom_fields"] = {k: v for k, v in last["custom_fields"].items() if now.get(k) != v}
    return changed


def note_history(world: World, context: Context, entity: Entity, old: Record, new: Record) -> None:
    """Append the changed fields to the changelog, newest last; bulk edits of the web app show as ``api``."""
    rows = world.history[(entity.name, new["id"])]
    for key, before, after in _differences(old, new):
        rows.append(
            {
                "field_key": key,
                "old_value": _as_text(before),
                "new_value": _as_text(after),
                "actor_user_id": context.actor.user_id,
                "time": spaced(context.now),
                "change_source": context.actor.source,
                "change_source_user_agent": "sandbox",
                "is_bulk_update_flag": context.is_bulk,
            }
        )


def _differences(old: Record, new: Record) -> list[tuple[str, Json, Json]]:
    plain = [
        (k, old.get(k), v) for k, v in new.items() if k not in ("custom_fields", "update_time") and old.get(k) != v
    ]
    before, after = old.get("custom_fields") or {}, new.get("custom_fields") or {}
    custom = [(k, before.get(k), after.get(k)) for k in sorted(before | after) if before.get(k) != after.get(k)]
    return plain + custom


def _as_text(value: Json) -> str | None:
    if value is None or value == []:
        return None
    if isinstance(value, list):
        return ",".join(str(each["value"] if isinstance(each, dict) and "value" in each else each) for each in value)
    return str(value["value"]) if isinstance(value, dict) and "value" in value else str(value)


def overlay(scene: Scene) -> Record:
    """Overlay a body on a record that has no custom fields."""
    return {**scene.old, **scene.given}


def with_custom(scene: Scene) -> Record:
    """Overlay a body on a record; custom fields are overlaid one by one, null clears."""
    merged = overlay(scene)
    if "custom_fields" in scene.given:
        custom = {**scene.old["custom_fields"], **scene.given["custom_fields"]}
        merged["custom_fields"] = {key: value for key, value in custom.items() if value is not None}
    return merged
