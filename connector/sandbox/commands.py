"""Everything that changes the world, as data: a command names an operation, its arguments, its actor and its time.

``execute`` is the only way in. Equal worlds and equal commands give equal worlds, answers and events; a refused
command changes nothing. So the list of accepted commands is the state, and the journal keeps exactly that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TypeAlias

from connector.sandbox import data, definitions, merging, notes, records, refusals, subscriptions, users
from connector.sandbox.activities import ACTIVITY
from connector.sandbox.deals import DEAL
from connector.sandbox.entity import Entity
from connector.sandbox.model import Actor, Context, Event, Switches
from connector.sandbox.persons import ORGANIZATION, PERSON
from connector.sandbox.pipelines import PIPELINE, STAGE
from connector.sandbox.wire import Json, Record
from connector.sandbox.world import World, activity_type

ENTITIES: Mapping[str, Entity] = {
    each.name: each for each in (PERSON, ORGANIZATION, DEAL, ACTIVITY, PIPELINE, STAGE, notes.NOTE)
}


@dataclass(frozen=True, slots=True)
class Command:
    """One change: ``op`` is ``entity.verb``, ``args`` are JSON values."""

    op: str
    args: tuple[Json, ...]
    actor: Actor
    at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command answered and what it caused, in order."""

    data: Json
    events: tuple[Event, ...]


Operation: TypeAlias = Callable[..., Json]


def execute(world: World, command: Command) -> Outcome:
    """Apply one command; raises ``Refusal`` with the world untouched."""
    context = Context(command.at, command.actor)
    answer = OPERATIONS[command.op](world, context, *command.args)
    return Outcome(answer, tuple(context.events))


def _of(entity: Entity) -> dict[str, Operation]:
    verbs: Mapping[str, Operation] = {
        "create": records.create,
        "update": records.update,
        "delete": records.delete,
        "restore": records.restore,
        "purge": records.purge,
        "duplicate": records.duplicate,
    }
    return {f"{entity.name}.{verb}": _bound(function, entity) for verb, function in verbs.items()}


def _bound(function: Callable[..., Json], subject: Entity | str) -> Operation:
    def bound(world: World, context: Context, *args: Json) -> Json:
        return function(world, context, subject, *args)

    return bound


def _field_operations(entity: str) -> dict[str, Operation]:
    verbs = ("create", "update", "delete", "add_options", "update_options", "delete_options")
    return {f"{entity}Field.{verb}": _bound(getattr(definitions, verb), entity) for verb in verbs}


def _hide(world: World, _context: Context, user: int, pairs: list[list[Json]], hidden: bool) -> None:  # noqa: FBT001
    change = world.hidden[user].update if hidden else world.hidden[user].difference_update
    change((str(entity), int(key)) for entity, key in pairs)


def _switch(world: World, _context: Context, values: Record) -> Record:
    known = {each.name for each in fields(Switches)}
    if not values.keys() <= known:
        raise refusals.bad_request(f"Switches are {', '.join(sorted(known))}")
    wrong = [name for name, value in values.items() if type(value) is not type(getattr(world.switches, name))]
    if wrong:
        raise refusals.bad_request(f"{wrong[0]} is like {getattr(world.switches, wrong[0])!r}")
    for name, value in values.items():
        setattr(world.switches, name, value)
    return {name: getattr(world.switches, name) for name in sorted(known)}


def _bulk(world: World, context: Context, entity: str, wanted: Json, options: Record) -> Record:
    context.quiet = not options["webhooks"]
    made = data.bulk(world, context, ENTITIES[entity], wanted, options["seed"])
    return {"count": len(made), "first_id": made[0] if made else None, "last_id": made[-1] if made else None}


def _bulk_update(world: World, context: Context, entity: str, changes: list[list[Json]], told: bool) -> Record:  # noqa: FBT001
    context.quiet, context.is_bulk = not told, True
    kind = ENTITIES[entity]
    for old, new in [records.prepare(world, context, kind, int(key), body) for key, body in changes]:
        records.replace(world, context, kind, old, new)
    return {"count": len(changes)}


def _create_type(world: World, context: Context, body: Json) -> Record:
    if not isinstance(body, dict) or not body.get("name") or not body.get("icon_key"):
        raise refusals.bad_request("name and icon_key are required")
    table = world.tables["activity_type"]
    made = activity_type(table.next_id, str(body["name"]), str(body["icon_key"]), context.now)
    table.put(made)
    return made


def _delete_type(world: World, context: Context, key: int) -> Record:
    old = records.living(world, context, "activity_type", key)
    gone = {**old, "active_flag": False, "update_time": context.now}
    world.tables["activity_type"].put(gone)
    return gone


_NOTE_OPERATIONS: Mapping[str, Operation] = {
    "note.create": notes.create,
    "note.update": notes.update,
    "note.delete": notes.delete,
    "note.restore": notes.restore,
}
OPERATIONS: Mapping[str, Operation] = {
    **{name: operation for entity in ENTITIES.values() for name, operation in _of(entity).items()},
    **_NOTE_OPERATIONS,
    **{f"{each.name}.merge": _bound(merging.merge, each) for each in (PERSON, ORGANIZATION, DEAL)},
    **{k: v for each in ("deal", "person", "organization") for k, v in _field_operations(each).items()},
    "webhook.create": subscriptions.create,
    "webhook.delete": subscriptions.delete,
    "webhook.remove": lambda world, _context, key: world.subscriptions.pop(key, None) and None,
    "user.update": users.update,
    "activity_type.create": _create_type,
    "activity_type.delete": _delete_type,
    "sandbox.found": data.found,
    "sandbox.hide": _hide,
    "sandbox.switch": _switch,
    "sandbox.bulk": _bulk,
    "sandbox.bulk_update": _bulk_update,
}
