"""Field definitions of an account (REFERENCE §6.8) as core schema: built-in keys of records, then custom fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from connector.core.model import Json
from connector.core.schema import CrmField, FieldType, Option, Stage, User
from connector.crm.pipedrive.built_in import BUILT_IN, SHORT, BuiltIn
from connector.crm.pipedrive.records import proof

Definition = Mapping[str, Json]

_TYPES: Final[Mapping[str, FieldType]] = {
    "varchar": FieldType.TEXT,
    "varchar_auto": FieldType.TEXT,
    "varchar_options": FieldType.TEXT,
    "text": FieldType.LONG_TEXT,
    "phone": FieldType.PHONE,
    "int": FieldType.INTEGER,
    "double": FieldType.NUMBER,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "time": FieldType.TIME,
    "monetary": FieldType.MONEY,
    "enum": FieldType.ENUM,
    "set": FieldType.SET,
    "address": FieldType.ADDRESS,
    "user": FieldType.USER,
    "org": FieldType.ORG,
    "people": FieldType.PERSON,
    "deal": FieldType.DEAL,
    "lead": FieldType.LEAD,
    "stage": FieldType.STAGE,
}
_HASH: Final = re.compile(r"[0-9a-f]{40}")
_SHORT_TYPES: Final = ("varchar", "varchar_auto")
_LONG: Final = 65_000
"""A `text` takes about this many characters (REFERENCE §6.8)."""
_STATUSES: Final = tuple(Option(key, key.capitalize()) for key in ("open", "won", "lost"))


def describe(
    name: str, definitions: Sequence[Definition], activity_types: Iterable[Definition]
) -> tuple[CrmField, ...]:
    """All fields of an object's records. Activities and notes have no custom fields that the API would write."""
    by_code = {str(each.get("field_code")): each for each in definitions}
    keys = {"deal": {"status": _STATUSES}, "activity": {"type": type_options(activity_types)}}.get(name, {})
    built_in = [
        _built_in(each, by_code.get(each.code or each.key), keys.get(each.key))
        for each in BUILT_IN[name].values()
        if not each.optional or _offered(by_code.get(each.key))
    ]
    custom = [] if name in ("activity", "note") else [_custom(each) for each in definitions if is_custom(each)]
    return (*built_in, *custom)


def is_custom(definition: Definition) -> bool:
    """True for a field that people of the account made; one that does not say it has a hash for its code."""
    told = definition.get("is_custom_field")
    return told in (True, 1) if told is not None else bool(_HASH.fullmatch(str(definition.get("field_code"))))


def named(definitions: Sequence[Definition], name: str) -> Sequence[Definition]:
    """The custom fields of this name; names are not unique."""
    return [each for each in definitions if is_custom(each) and each.get("field_name") == name]


def is_text(definition: Definition) -> bool:
    """True for a field that can hold our key."""
    return definition.get("field_type") in ("varchar", "varchar_auto", "text")


def type_options(activity_types: Iterable[Definition]) -> tuple[Option, ...]:
    """Activity types as options: the key that records hold, the name that people read."""
    active = (each for each in activity_types if each.get("active_flag") not in (False, 0))
    return tuple(Option(str(each.get("key_string")), str(each.get("name"))) for each in active)


def stage(row: Definition) -> Stage:
    """A stage of `GET /v2/stages`."""
    return Stage(str(row.get("id")), str(row.get("name")), str(row.get("pipeline_id")))


def user(row: Definition) -> User:
    """A user of `GET /v1/users`: active unless a flag, which may be a number, says otherwise."""
    return User(str(row.get("id")), str(row.get("name")), str(row.get("email") or ""), active=proof(row) is None)


def alive(rows: Iterable[Definition]) -> Iterable[Definition]:
    """Rows that are not deleted."""
    return (row for row in rows if proof(row) is None)


def _offered(definition: Definition | None) -> bool:
    return definition is not None and not is_custom(definition)


def _built_in(known: BuiltIn, definition: Definition | None, keys: tuple[Option, ...] | None) -> CrmField:
    offered = definition if definition is not None and _offered(definition) else {}
    choices = known.type in (FieldType.ENUM, FieldType.SET)
    return CrmField(
        key=known.key,
        name=str(offered.get("field_name") or known.name),
        type=known.type,
        writable=known.writable,
        options=keys or (_options(offered) if choices else ()),
        max_length=known.max_length,
        group=known.group,
    )


def _custom(definition: Definition) -> CrmField:
    vendor_type = str(definition.get("field_type"))
    short = SHORT if vendor_type in _SHORT_TYPES else None
    return CrmField(
        key=str(definition.get("field_code")),
        name=str(definition.get("field_name")),
        type=_TYPES.get(vendor_type, FieldType.OTHER),
        custom=True,
        options=_options(definition),
        max_length=_LONG if vendor_type == "text" else short,
    )


def _options(definition: Definition) -> tuple[Option, ...]:
    options = definition.get("options")
    given = [each for each in options if isinstance(each, dict)] if isinstance(options, list) else []
    return tuple(Option(str(each.get("id")), str(each.get("label"))) for each in given)
