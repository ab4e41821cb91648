"""Request bodies: field values by key become what a create or an update takes.

Unknown keys and text for numbers are refused, half a name or an amount without its currency destroys data (REFERENCE §4,
§6, §13), so what belongs together is completed from the record as seen, and all is typed by the field definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from connector.core.model import Json, Record
from connector.core.schema import FieldType
from connector.crm.pipedrive.built_in import BUILT_IN
from connector.crm.pipedrive.kinds import Kind
from connector.crm.pipedrive.spellings import number, parse, participants

Types = Mapping[str, FieldType]
Fields = Mapping[str, Json]
Body = dict[str, Json]

_NUMBERED: Final = frozenset(
    {
        FieldType.ENUM,
        FieldType.USER,
        FieldType.ORG,
        FieldType.PERSON,
        FieldType.DEAL,
        FieldType.PIPELINE,
        FieldType.STAGE,
        FieldType.INTEGER,
    }
)
_CONTACTS: Final = frozenset({FieldType.EMAILS, FieldType.PHONES})
_CONTACT_PARTS: Final = ("value", "primary", "label")
_COLLECTIONS: Final = _CONTACTS | {FieldType.SET}
_ADDRESS_PARTS: Final = (
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
)
"""What an address body takes; `formatted_address` is the server's."""
_STATUS_OF: Final = {
    "lost_reason": ("lost",),
    "won_time": ("won",),
    "lost_time": ("lost",),
    "close_time": ("won", "lost"),
}


def creation(kind: Kind, fields: Fields, types: Types) -> Body:
    """Body of a create: what is null is left out, for there is nothing to clear."""
    return _body(kind, {key: value for key, value in fields.items() if value is not None}, {}, types)


def change(kind: Kind, fields: Fields, seen: Record, types: Types) -> Body:
    """Body of an update of the record `seen`."""
    return _body(kind, fields, seen.fields, types)


def written(body: Fields) -> set[str]:
    """The keys of records that a body writes, those of custom fields among them."""
    custom = body.get("custom_fields")
    return {*(body.keys() - {"custom_fields"}), *(custom if isinstance(custom, dict) else {})}


def _body(kind: Kind, fields: Fields, seen: Fields, types: Types) -> Body:
    known = BUILT_IN[kind.name]
    built_in = {k: _built_in(known[k].type, v) for k, v in fields.items() if k in known}
    body = _ODD.get(kind.name, _plain)(built_in, seen)
    custom = {k: _custom(types.get(k, FieldType.OTHER), v, seen.get(k)) for k, v in fields.items() if k not in known}
    return {**body, "custom_fields": custom} if custom else body


def _built_in(type_: FieldType, value: Json) -> Json:
    if value is None:
        return [] if type_ in _COLLECTIONS else None
    return _typed(type_, value)


def _custom(type_: FieldType, value: Json, seen: Json) -> Json:
    """A custom field's value; a set is cleared by null, an empty list is refused (REFERENCE §8)."""
    if value is None or value == []:
        return None
    if type_ is FieldType.MONEY:
        return _money(value, seen)
    return {"value": value} if type_ is FieldType.TIME and isinstance(value, str) else _typed(type_, value)


def _typed(type_: FieldType, value: Json) -> Json:
    if type_ in _NUMBERED:
        return number(value)
    if type_ is FieldType.ADDRESS:
        return _only(_ADDRESS_PARTS, value if isinstance(value, dict) else {"value": value})
    if not isinstance(value, list):
        return value
    if type_ is FieldType.SET:
        return [number(each) for each in value]
    return [_only(_CONTACT_PARTS, each) for each in value if isinstance(each, dict)] if type_ in _CONTACTS else value


def _only(keys: Iterable[str], value: Fields) -> Json:
    """The parts of a value that a body takes and that say something; of an address, those not sent become null."""
    return {key: value[key] for key in keys if value.get(key) is not None}


def _money(value: Json, seen: Json) -> Json:
    """Amount with currency: without one the server would take the user's."""
    given = value if isinstance(value, dict) else {"value": value}
    if given.get("value") is None:
        return None
    currency = given.get("currency") or (seen.get("currency") if isinstance(seen, dict) else None)
    return {"value": given["value"], **({"currency": currency} if currency else {})}


def _plain(fields: Body, _seen: Fields) -> Body:
    return fields


def _person(fields: Body, seen: Fields) -> Body:
    """Name parts go together and without the joined name, which would be split again (REFERENCE §13.7)."""
    if not fields.keys() & {"first_name", "last_name"}:
        return fields
    parts = {key: fields.get(key, seen.get(key)) or "" for key in ("first_name", "last_name")}
    whole = {key: value for key, value in fields.items() if key not in ("name", *parts)}
    return {**whole, **parts} if any(parts.values()) or "name" not in fields else {**whole, "name": fields["name"]}


def _deal(fields: Body, seen: Fields) -> Body:
    """The stage alone decides the pipeline; times and reason only with their status; an amount with its currency."""
    status = fields.get("status", seen.get("status"))
    stale = {k for k, statuses in _STATUS_OF.items() if k in fields and fields[k] is None and status not in statuses}
    dropped = stale | ({"pipeline_id"} if fields.get("stage_id") is not None else set())
    body = {key: value for key, value in fields.items() if key not in dropped}
    if "value" in body:
        body["value"] = 0 if body["value"] is None else body["value"]
        body.setdefault("currency", seen.get("currency"))
    return {key: value for key, value in body.items() if key != "currency" or value is not None}


def _activity(fields: Body, seen: Fields) -> Body:
    """The person is written as primary participant, in the place of the one before; other participants stay."""
    if "person_id" not in fields:
        return fields
    person, before = fields["person_id"], seen.get("person_id")
    people = [each["person_id"] for each in _people(fields.get("participants", seen.get("participants")))]
    others: list[Json] = [{"person_id": each, "primary": False} for each in people if each not in (person, before)]
    first: list[Json] = [] if person is None else [{"person_id": person, "primary": True}]
    return {**{k: v for k, v in fields.items() if k != "person_id"}, "participants": [*first, *others]}


def _people(value: Json) -> list[dict[str, Json]]:
    spelled = participants(value)
    return [each for each in spelled if isinstance(each, dict)] if isinstance(spelled, list) else []


def _note(fields: Body, _seen: Fields) -> Body:
    """API v1: flags are 0 or 1, times have a space."""
    return {key: _v1(value) if key.endswith(("_flag", "_time")) else value for key, value in fields.items()}


def _v1(value: Json) -> Json:
    at = parse(value)
    return at.strftime("%Y-%m-%d %H:%M:%S") if at is not None else int(value) if isinstance(value, bool) else value


_ODD: Final[Mapping[str, Callable[[Body, Fields], Body]]] = {
    "person": _person,
    "deal": _deal,
    "activity": _activity,
    "note": _note,
}
"""The objects whose bodies are more than their fields."""
