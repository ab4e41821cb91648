"""Values of custom fields: what v2 takes and gives per field type, and the typed objects of webhooks.

Source: API v2 migration guide; core-api-concepts-custom-fields; webhooks-v2-migration-guide.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.sandbox import bodies
from connector.sandbox.bodies import Invalid, Lookup
from connector.sandbox.fields import Field
from connector.sandbox.wire import Json, Record

Take: TypeAlias = Callable[[Json, Field, Lookup], Json]
Tell: TypeAlias = Callable[[Json], Record]


@dataclass(frozen=True, slots=True)
class ValueType:
    """One field type: ``take`` a body's value into the stored one, ``tell`` the stored one in a webhook."""

    take: Take
    tell: Tell


def take(field: Field, value: Json, world: Lookup) -> Json:
    """Return the value as stored and read back; null clears; raises ``Invalid``."""
    return None if value is None else VALUE_TYPES[field.type].take(value, field, world)


def tell(field: Field, value: Json) -> Json:
    """Return the typed object that webhooks v2 carry, null when the field is empty."""
    return None if value is None else {"type": field.type, **VALUE_TYPES[field.type].tell(value)}


def _plain(check: bodies.Check) -> ValueType:
    return ValueType(lambda value, _field, world: check(value, world), lambda value: {"value": value})


def _linked(entity: str) -> ValueType:
    check = bodies.reference(entity)
    return ValueType(lambda value, _field, world: check(value, world), lambda value: {"id": value})


def _text(limit: int) -> ValueType:
    check = bodies.text(limit, empty=True)
    return ValueType(lambda value, _field, world: check(value, world) or None, lambda value: {"value": value})


def _option(value: Json, field: Field, world: Lookup) -> Json:
    bodies.integer(value, world)
    if value not in field.option_ids():
        raise Invalid(f"option {value} not found")
    return value


def _options(value: Json, field: Field, world: Lookup) -> Json:
    if not isinstance(value, list) or not value:
        raise Invalid("must be a non-empty array of option ids")
    return list(dict.fromkeys(_option(each, field, world) for each in value))


def _parts(value: Json, *known: str) -> Record:
    if not isinstance(value, dict):
        raise Invalid("must be an object")
    unknown = value.keys() - set(known)
    if unknown:
        raise Invalid(f"{min(unknown)} unrecognized key")
    return {key: value.get(key) for key in known}


def _monetary(value: Json, _field: Field, world: Lookup) -> Json:
    parts = _parts(value, "value", "currency")
    amount = bodies.maybe(bodies.number)(parts["value"], world)
    code = parts["currency"] if parts["currency"] is not None else "EUR"
    return None if amount is None else {"value": amount, "currency": bodies.currency(code, world)}


def _span(check: bodies.Check) -> Take:
    def take_span(value: Json, _field: Field, world: Lookup) -> Json:
        parts = _parts(value, "value", "until")
        return {key: bodies.maybe(check)(part, world) for key, part in parts.items()}

    return take_span


def _zone(parts: Record) -> Record:
    name = parts.get("timezone_name")
    if name is None:
        return {"timezone_id": parts.get("timezone_id"), "timezone_name": None}
    try:
        ZoneInfo(name)
    except (TypeError, ValueError, OSError, ZoneInfoNotFoundError):
        raise Invalid("timezone_name is not an IANA zone") from None
    return {"timezone_id": zlib.crc32(name.encode()) % 400 + 1, "timezone_name": name}


def _timed(*clocks: str) -> Take:
    def take_time(value: Json, _field: Field, world: Lookup) -> Json:
        parts = _parts(value, *clocks, "timezone_id", "timezone_name")
        times = {key: bodies.maybe(bodies.clock)(parts[key], world) for key in clocks}
        return {**times, **_zone(parts)} if times["value"] is not None else None

    return take_time


def _tell_address(value: Json) -> Record:
    return {"value": value["value"], "subfields": {key: part for key, part in value.items() if key != "value"}}


VALUE_TYPES: Mapping[str, ValueType] = {
    "varchar": _text(255),
    "varchar_auto": _text(255),
    "text": _text(65_000),
    "phone": _text(255),
    "double": _plain(bodies.number),
    "date": _plain(bodies.day),
    "monetary": ValueType(_monetary, dict),
    "enum": ValueType(_option, lambda value: {"id": value}),
    "set": ValueType(_options, lambda value: {"values": [{"id": each} for each in value]}),
    "user": _linked("user"),
    "org": _linked("organization"),
    "people": _linked("person"),
    "daterange": ValueType(_span(bodies.day), lambda value: {"from": value["value"], "until": value["until"]}),
    "time": ValueType(_timed("value"), lambda value: {"value": value["value"], "timezone_id": value["timezone_id"]}),
    "timerange": ValueType(
        _timed("value", "until"),
        lambda value: {"from": value["value"], "until": value["until"], "timezone_id": value["timezone_id"]},
    ),
    "address": ValueType(lambda value, _field, world: bodies.address(value, world), _tell_address),
}
