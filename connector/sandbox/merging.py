"""Merge of two records (v1 ``PUT …/{id}/merge``): the record of ``merge_with_id`` survives and wins.

Its empty fields are filled from the loser; deals, activities and notes move to it. Told as a delete of the loser with
``merged_to_id`` and a change of the survivor with ``merged_from_id``. Source: merging tutorials; guide for webhooks v2.
"""

from collections.abc import Iterator

from connector.sandbox import refusals
from connector.sandbox.activities import ACTIVITY
from connector.sandbox.deals import DEAL
from connector.sandbox.entity import Entity
from connector.sandbox.model import Context
from connector.sandbox.notes import NOTE
from connector.sandbox.persons import PERSON
from connector.sandbox.records import emit, living, note_history
from connector.sandbox.table import DELETED, shelf_of
from connector.sandbox.wire import Json, Record
from connector.sandbox.world import World

_CHILDREN: dict[str, tuple[str, tuple[Entity, ...]]] = {
    "person": ("person_id", (DEAL, ACTIVITY, NOTE)),
    "organization": ("org_id", (PERSON, DEAL, ACTIVITY, NOTE)),
    "deal": ("deal_id", (ACTIVITY, NOTE)),
}
_KEPT = ("id", "add_time", "update_time", "first_name", "last_name")


def merge(world: World, context: Context, entity: Entity, key: int, body: Json) -> Record:
    """Merge the record ``key`` into ``merge_with_id``; gives the survivor."""
    other = body.get("merge_with_id") if isinstance(body, dict) else None
    if not isinstance(other, int) or other == key:
        raise refusals.bad_request("merge_with_id must be the id of another record")
    loser = living(world, context, entity.name, key)
    survivor = living(world, context, entity.name, other)
    merged = {**_filled(survivor, loser), "update_time": context.now}
    world.tables[entity.name].put({**loser, "is_deleted": True, "update_time": context.now})
    world.tables[entity.name].put(merged)
    emit(world, context, entity, before=loser, after=None, merged=(other, None))
    emit(world, context, entity, before=survivor, after=merged, merged=(None, key))
    note_history(world, context, entity, survivor, merged)
    _move_children(world, context, entity, key, other)
    return merged


def _filled(survivor: Record, loser: Record) -> Record:
    empty = {k: loser[k] for k, value in survivor.items() if k not in _KEPT and value in (None, [], "")}
    custom = {**(loser.get("custom_fields") or {}), **(survivor.get("custom_fields") or {})}
    return {**survivor, **empty, "custom_fields": custom}


def _move_children(world: World, context: Context, entity: Entity, key: int, other: int) -> None:
    link, kinds = _CHILDREN[entity.name]
    for kind in kinds:
        for child in [each for each in world.tables[kind.name].records() if _points(each, link, key)]:
            moved = _moved(child, link, key, other)
            world.tables[kind.name].put({**moved, "update_time": context.now})
            if world.switches.merge_tells_children and shelf_of(child) != DELETED:
                emit(world, context, kind, before=child, after={**moved, "update_time": context.now})


def _points(child: Record, link: str, key: int) -> bool:
    return child[link] == key or (link == "person_id" and key in _people(child))


def _people(child: Record) -> Iterator[int]:
    return (each["person_id"] for each in child.get("participants") or ())


def _moved(child: Record, link: str, key: int, other: int) -> Record:
    moved = {**child, link: other} if child[link] == key else dict(child)
    if link == "person_id" and child.get("participants"):
        everyone = {other if each["person_id"] == key else each["person_id"]: each for each in child["participants"]}
        moved["participants"] = [{**each, "person_id": person} for person, each in everyone.items()]
    return moved
