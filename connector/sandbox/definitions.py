"""Writing field definitions: custom fields and their options (v2 ``…Fields``; REFERENCE of the API §6.8)."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from connector.sandbox import bodies, refusals
from connector.sandbox.bodies import Invalid, Lookup
from connector.sandbox.fields import CREATABLE, Field, Option
from connector.sandbox.model import Context
from connector.sandbox.wire import Json, Record
from connector.sandbox.world import World

_MAX_OPTIONS = 10_000
Keep: TypeAlias = Callable[[Json], Json]


def _option_labels(value: Json, world: Lookup) -> Json:
    if not isinstance(value, list) or not all(isinstance(each, dict) and each.keys() == {"label"} for each in value):
        raise Invalid("must be an array of objects with a label")
    return [bodies.text(255)(each["label"], world) for each in value]


def _object(value: Json, _world: Lookup) -> Json:
    if not isinstance(value, dict):
        raise Invalid("must be an object")
    return value


_COMMON = {
    "field_name": bodies.text(255),
    "description": bodies.maybe(bodies.text(empty=True)),
    "ui_visibility": _object,
    "important_fields": _object,
    "required_fields": _object,
}
_CREATE = {**_COMMON, "field_type": bodies.one_of(*CREATABLE), "options": _option_labels}


def create(world: World, _context: Context, entity: str, body: Json) -> Record:
    """Make a custom field; options are required for enum and set, and only taken there."""
    given = bodies.read(_CREATE, body, world, required=("field_name", "field_type"))
    choosable = given["field_type"] in ("enum", "set")
    if choosable and not given.get("options"):
        raise refusals.invalid({"options": "is required for enum and set"})
    field = world.fields.create(
        entity,
        name=given["field_name"],
        type_=given["field_type"],
        labels=given.get("options", ()) if choosable else (),
        description=given.get("description"),
    )
    return field.wire()


def update(world: World, _context: Context, entity: str, code: str, body: Json) -> Record:
    """Rename or describe a field; its code and type never change."""
    field = _existing(world, entity, code)
    given = bodies.read(_COMMON, body, world)
    changed = replace(
        field, name=given.get("field_name", field.name), description=given.get("description", field.description)
    )
    world.fields.put(entity, changed)
    return changed.wire()


def delete(world: World, _context: Context, entity: str, code: str) -> Record:
    """Delete a custom field; its values are lost."""
    field = _custom(world, entity, code)
    world.fields.remove(entity, code)
    _clear(world, entity, code, lambda _value: None)
    return field.wire()


def add_options(world: World, _context: Context, entity: str, code: str, body: Json) -> list[Record]:
    """Add options by label; gives the new ones."""
    field = _choosable(world, entity, code)
    labels = _labels(body, {"label"}, world)
    if len(field.options or ()) + len(labels) > _MAX_OPTIONS:
        raise refusals.invalid({"options": "too many options"})
    added = [world.fields.new_option(each["label"]) for each in labels]
    world.fields.with_options(entity, field, [*(field.options or ()), *added])
    return [_show(option) for option in added]


def update_options(world: World, _context: Context, entity: str, code: str, body: Json) -> list[Record]:
    """Relabel options by id, all or none; gives the touched ones."""
    field = _choosable(world, entity, code)
    given = {each["id"]: each["label"] for each in _known(field, _labels(body, {"id", "label"}, world))}
    options = [replace(o, label=given.get(o.id, o.label)) for o in field.options or ()]
    world.fields.with_options(entity, field, options)
    return [_show(option) for option in options if option.id in given]


def delete_options(world: World, _context: Context, entity: str, code: str, body: Json) -> list[Record]:
    """Delete options by id, all or none; records that hold one lose it without an event (INFERRED)."""
    field = _choosable(world, entity, code)
    dead = {each["id"] for each in _known(field, _labels(body, {"id"}, world))}
    world.fields.with_options(entity, field, [o for o in field.options or () if o.id not in dead])
    _clear(world, entity, code, lambda value: _without(value, dead))
    return [_show(option) for option in field.options or () if option.id in dead]


def _labels(body: Json, keys: set[str], world: World) -> list[Record]:
    if not isinstance(body, list) or not body:
        raise refusals.invalid({"body": "must be a non-empty array"})
    for each in body:
        if not isinstance(each, dict) or each.keys() != keys:
            raise refusals.invalid({"body": f"must hold objects of {' and '.join(sorted(keys))}"})
        bodies.read({"id": bodies.integer, "label": bodies.text(255)}, each, world)
    return body


def _known(field: Field, given: list[Record]) -> list[Record]:
    unknown = {each["id"] for each in given} - field.option_ids()
    if unknown:
        raise refusals.invalid({"id": f"option {min(unknown)} not found"})
    return given


def _existing(world: World, entity: str, code: str) -> Field:
    field = world.fields.get(entity, code)
    if field is None:
        raise refusals.not_found("field")
    return field


def _custom(world: World, entity: str, code: str) -> Field:
    field = _existing(world, entity, code)
    if not field.custom:
        raise refusals.forbidden("Built-in fields cannot be deleted")
    return field


def _choosable(world: World, entity: str, code: str) -> Field:
    field = _existing(world, entity, code)
    if field.type not in ("enum", "set"):
        raise refusals.invalid({"field_code": "field has no options"})
    return field


def _show(option: Option) -> Record:
    return {"id": option.id, "label": option.label}


def _without(value: Json, dead: set[int]) -> Json:
    if isinstance(value, list):
        return [each for each in value if each not in dead] or None
    return None if value in dead else value


def _clear(world: World, entity: str, code: str, keep: Keep) -> None:
    table = world.tables[entity]
    for record in [each for each in table.records() if code in (each.get("custom_fields") or {})]:
        value = keep(record["custom_fields"][code])
        rest = {key: each for key, each in record["custom_fields"].items() if key != code}
        table.touch(record["id"], {**record, "custom_fields": rest if value is None else {**rest, code: value}})
