"""Strict request bodies of v2: every key known, every value of its type, else one 400 naming all problems.

A shape maps the keys that a body may have to checks. A check returns the value as it is stored or raises ``Invalid``
with the reason. Source: API v2 migration guide; OpenAPI v2; client-nodejs#651 for the refusal of unknown keys.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Protocol, TypeAlias

import nh3

from connector.sandbox import wire
from connector.sandbox.refusals import Refusal, invalid
from connector.sandbox.wire import Json, Record

ADDRESS_PARTS = (
    "value",
    "country",
    "admin_area_level_1",
    "admin_area_level_2",
    "locality",
    "sublocality",
    "route",
    "street_number",
    "subpremise",
    "postal_code",
    "formatted_address",
)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


class Invalid(ValueError):  # noqa: N818 - the reason is the message
    """A value that its key does not take."""


class Lookup(Protocol):
    """What checks ask of the world."""

    def has(self, entity: str, key: int) -> bool:
        """Tell whether a record exists and is not deleted (``user`` included)."""

    def has_option(self, entity: str, code: str, option: int) -> bool:
        """Tell whether a field has this option."""

    def has_type(self, key: str) -> bool:
        """Tell whether an activity type with this key string is active."""

    def custom(self, entity: str, given: Record) -> Record:
        """Check custom field values; raises ``Problems``."""


class Problems(ValueError):  # noqa: N818 - several reasons, by key
    """Several invalid values below one key."""

    def __init__(self, by_key: Mapping[str, str]) -> None:
        super().__init__(by_key)
        self.by_key = dict(by_key)


Check: TypeAlias = Callable[[Json, Lookup], Json]
Shape: TypeAlias = Mapping[str, Check]


def read(shape: Shape, body: Json, world: Lookup, *, required: tuple[str, ...] = ()) -> Record:
    """Return the body as it is stored; refuses unknown keys, wrong types and missing required keys together."""
    if not isinstance(body, dict):
        raise invalid({"body": "must be an object"})
    problems = {key: "is required" for key in required if body.get(key) in (None, "")}
    values: Record = {}
    for key, value in body.items():
        _read_key(shape, key, value, world=world, into=(values, problems))
    if problems:
        raise invalid(problems)
    return values


def _read_key(shape: Shape, key: str, value: Json, *, world: Lookup, into: tuple[Record, dict[str, str]]) -> None:
    values, problems = into
    check = shape.get(key)
    if check is None:
        problems[key] = "unrecognized key"
        return
    try:
        values[key] = check(value, world)
    except Invalid as reason:
        problems.setdefault(key, str(reason))
    except Problems as several:
        problems.update(several.by_key)


def refused(status: int, error: str) -> Check:
    """Make a check for a key that this account may not write at all."""

    def check(_value: Json, _world: Lookup) -> Json:
        raise Refusal(status, {"success": False, "error": error, "errorCode": status})

    return check


def text(limit: int | None = None, *, empty: bool = False) -> Check:
    """Take a string, by default not an empty one."""

    def check(value: Json, _world: Lookup) -> Json:
        if not isinstance(value, str):
            raise Invalid("must be a string")
        if not value.strip() and not empty:
            raise Invalid("must not be empty")
        if limit is not None and len(value) > limit:
            raise Invalid(f"must be at most {limit} characters")
        return value

    return check


def html(value: Json, world: Lookup) -> Json:
    """Take HTML and store it sanitised."""
    return nh3.clean(text(empty=True)(value, world))


def integer(value: Json, _world: Lookup) -> Json:
    """Take a whole number, no string, no boolean."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid("must be an integer")
    return value


def number(value: Json, _world: Lookup) -> Json:
    """Take a number and store whole ones without a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid("must be a number")
    if not math.isfinite(value):
        raise Invalid("must be a finite number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def boolean(value: Json, _world: Lookup) -> Json:
    """Take true or false, no 0 or 1."""
    if not isinstance(value, bool):
        raise Invalid("must be a boolean")
    return value


def moment(value: Json, _world: Lookup) -> Json:
    """Take an RFC 3339 time and store it in whole seconds, UTC."""
    try:
        return wire.parse_seconds(value)
    except (TypeError, ValueError):
        raise Invalid("is not a valid datetime") from None


def day(value: Json, _world: Lookup) -> Json:
    """Take ``YYYY-MM-DD``."""
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise Invalid("is not a valid date") from None


def clock(value: Json, _world: Lookup) -> Json:
    """Take ``HH:MM`` or ``HH:MM:SS``, store the long form; an empty text clears."""
    if value == "":
        return None
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise Invalid("is not a valid time")
    return value if len(value) == len("00:00:00") else value + ":00"


def currency(value: Json, _world: Lookup) -> Json:
    """Take a currency code of three capitals."""
    if not isinstance(value, str) or not re.fullmatch("[A-Z]{3}", value):
        raise Invalid("must be a currency code of 3 letters")
    return value


def one_of(*allowed: Json) -> Check:
    """Take one of a few values."""

    def check(value: Json, _world: Lookup) -> Json:
        if value not in allowed or isinstance(value, bool):
            raise Invalid(f"must be one of {', '.join(map(str, allowed))}")
        return value

    return check


def maybe(inner: Check) -> Check:
    """Take null too."""
    return lambda value, world: None if value is None else inner(value, world)


def reference(entity: str) -> Check:
    """Take the id of a record (or user) that exists and is not deleted."""

    def check(value: Json, world: Lookup) -> Json:
        if not world.has(entity, integer(value, world)):
            raise Invalid(f"{entity} not found")
        return value

    return check


def labels(entity: str) -> Check:
    """Take a list of option ids of the built-in label field."""

    def check(value: Json, world: Lookup) -> Json:
        if not isinstance(value, list):
            raise Invalid("must be an array")
        for option in value:
            if not world.has_option(entity, "label", integer(option, world)):
                raise Invalid(f"label {option} not found")
        return list(dict.fromkeys(value))

    return check


def custom(entity: str) -> Check:
    """Take an object of custom field values by 40-hex key."""

    def check(value: Json, world: Lookup) -> Json:
        if not isinstance(value, dict):
            raise Invalid("must be an object")
        return world.custom(entity, value)

    return check


def address(value: Json, world: Lookup) -> Json:
    """Take an address object; parts that are not sent become null, ``value`` is required."""
    if not isinstance(value, dict):
        raise Invalid("must be an object")
    if not isinstance(value.get("value"), str):
        raise Invalid("value is required")
    for key, part in value.items():
        if key not in ADDRESS_PARTS:
            raise Invalid(f"{key} unrecognized key")
        maybe(text(empty=True))(part, world)
    return {part: value.get(part) for part in ADDRESS_PARTS}


def channels(value: Json, world: Lookup) -> Json:
    """Take e-mails or phones: objects with a value; label ``work`` by default, exactly one primary."""
    if not isinstance(value, list):
        raise Invalid("must be an array of objects")
    entries = [_channel(entry, world) for entry in value]
    chosen = next((at for at, entry in enumerate(entries) if entry["primary"]), 0)
    return [{**entry, "primary": at == chosen} for at, entry in enumerate(entries)]


def _channel(entry: Json, world: Lookup) -> Record:
    if not isinstance(entry, dict) or not entry.keys() <= {"value", "primary", "label"}:
        raise Invalid("must hold objects of value, primary and label")
    value = text(255)(entry.get("value"), world)
    primary = boolean(entry.get("primary", False), world)
    return {"value": value, "primary": primary, "label": text(255, empty=True)(entry.get("label", "work"), world)}
