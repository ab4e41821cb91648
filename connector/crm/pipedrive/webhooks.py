"""Webhook deliveries, payload version 2.0, as hints (REFERENCE §12.3, §12.4; guide-for-webhooks-v2).

Values come out in the spelling of `read`: what a delivery spells in a way that cannot be translated exactly is left
out, which is no statement about it. Ids may be numbers or text, times unix seconds or ISO.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from connector.core.errors import ConnectorError, ForbiddenError, RefusedError
from connector.core.model import CrmId, Json
from connector.core.schema import FieldType
from connector.crm.pipedrive.built_in import BUILT_IN
from connector.crm.pipedrive.kinds import KINDS
from connector.crm.pipedrive.records import custom_value, identity_of, proof
from connector.crm.pipedrive.spellings import SPELLERS, number, parse
from connector.ports import Hint, HintKind, NotUnderstoodError

Body = Mapping[str, Json]

_SCHEMA: Final = ("user", "pipeline", "stage")
_ACTIONS: Final = ("create", "change", "delete")
_NUMBERED: Final = frozenset(
    {
        FieldType.ID,
        FieldType.ENUM,
        FieldType.USER,
        FieldType.ORG,
        FieldType.PERSON,
        FieldType.DEAL,
        FieldType.PIPELINE,
        FieldType.STAGE,
    }
)
_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {"activity": {"busy_flag": "busy"}}
"""object → key in a delivery → key of records."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Numbers, and what leads have; ids become parts of addresses and keys of indexes."""
_MILLISECONDS: Final = 1e11
"""A unix time beyond this is in milliseconds."""


class _Left:
    """What `_UNTOLD` is."""


_UNTOLD: Final = _Left()


def hint(body: bytes, identity_keys: Mapping[str, str]) -> Hint:
    """What a delivery says; NotUnderstoodError when it is not a payload of version 2.0."""
    payload = _object(_decoded(body))
    meta = _object(payload.get("meta"))
    entity, action, key = (_text(meta.get(name)) for name in ("entity", "action", "entity_id"))
    data, previous = _optional(payload, "data"), _optional(payload, "previous")
    key = key or _text((data or previous).get("id"))
    if not entity or not _ID.fullmatch(key) or action not in _ACTIONS:
        raise NotUnderstoodError("a webhook without entity, id or known action")
    kind = _kind(entity, action, meta=meta, data=data, previous=previous)
    values = _values(entity, data) if kind is not HintKind.SCHEMA else {}
    return Hint(
        id=_text(meta.get("id")) or _fallback_id(meta, key),
        object=entity,
        crm_id=CrmId(key),
        kind=kind,
        created=action == "create",
        version=_version(data),
        at=_moment(meta.get("timestamp")),
        actor=_text(meta.get("user_id")) or None,
        source=_text(meta.get("change_source")) or None,
        merged_to=_id(meta.get("merged_to_id")),
        merged_from=_id(meta.get("merged_from_id")),
        values=values,
        previous=_values(entity, previous) if kind in (HintKind.CHANGED, HintKind.RESTORED) else {},
        identity=identity_of(values if data else _values(entity, previous), identity_keys.get(entity)),
    )


def _decoded(body: bytes) -> Json:
    try:
        decoded: Json = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError("a webhook that is not JSON") from error
    return decoded


def _object(value: Json) -> Body:
    if not isinstance(value, dict):
        raise NotUnderstoodError("a webhook of an unknown shape")
    return value


def _optional(payload: Body, name: str) -> Body:
    value = payload.get(name)
    return {} if value is None else _object(value)


def _kind(entity: str, action: str, *, meta: Body, data: Body, previous: Body) -> HintKind:
    """Merges arrive as the loser's delete; users, stages, pipelines and field definitions are schema (§12.3)."""
    if entity in _SCHEMA or "field" in entity.casefold():
        return HintKind.SCHEMA
    if action == "delete":
        return HintKind.MERGED if meta.get("merged_to_id") is not None else HintKind.DELETED
    if proof(data):
        return HintKind.DELETED
    return HintKind.RESTORED if action == "change" and proof(previous) else HintKind.CHANGED


def _fallback_id(meta: Body, key: str) -> str:
    """Deliveries carry an event id; should one not, these together name the event."""
    names = ("webhook_id", "correlation_id", "entity", "action", "timestamp")
    return ":".join((*(_text(meta.get(name)) for name in names), key))


def _text(value: Json) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _id(value: Json) -> CrmId | None:
    text = _text(value)
    if text and not _ID.fullmatch(text):
        raise NotUnderstoodError("a webhook that names a record by what is no id")
    return CrmId(text) if text else None


def _moment(value: Json) -> datetime | None:
    """ISO, or unix seconds as number or text."""
    seconds = number(value)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return parse(value)
    try:
        return datetime.fromtimestamp(seconds / 1000 if seconds > _MILLISECONDS else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _version(data: Body) -> str | None:
    """`update_time` as records spell it; the CRM may leave it out."""
    spelled = SPELLERS["person"]["update_time"](data.get("update_time"))
    return spelled if isinstance(spelled, str) else None


def _values(entity: str, data: Body) -> dict[str, Json]:
    """The known keys of a state, spelled as `read` would; nothing for objects that are not synchronised.

    A null `update_time` stands for one not yet known (§12.3).
    """
    if entity not in KINDS:
        return {}
    names = _RENAMED.get(entity, {})
    told = {(key := names.get(name, name)): _built_in(entity, key, value) for name, value in data.items()}
    custom = data.get("custom_fields")
    if isinstance(custom, dict):
        told |= {key: _custom(value) for key, value in custom.items()}
    if told.get("update_time") is None:
        told.pop("update_time", None)
    return {key: value for key, value in told.items() if not isinstance(value, _Left)}


def _built_in(entity: str, key: str, value: Json) -> Json | _Left:
    known = BUILT_IN[entity].get(key)
    if known is None:
        return _UNTOLD
    if known.type in _NUMBERED:
        return number(value)
    if known.type is FieldType.ADDRESS and isinstance(value, str) and value:
        return _UNTOLD
    speller = SPELLERS[entity].get(key)
    return speller(value) if speller else value


def _custom(value: Json) -> Json | _Left:
    """The value as records hold it (§8, column 3): from a typed object (column 4), or spelled so already."""
    if isinstance(value, dict) and "type" in value:
        read = _TYPED.get(_text(value["type"]))
        return read(value) if read is not None else _UNTOLD
    told = value if isinstance(value, list) else [value]
    return custom_value(value) if all(not isinstance(each, dict) or "value" in each for each in told) else _UNTOLD


def _value(typed: Body) -> Json | _Left:
    return typed.get("value")


def _option(typed: Body) -> Json | _Left:
    return number(typed.get("id"))


def _options(typed: Body) -> Json | _Left:
    values = typed.get("values")
    if not isinstance(values, list):
        return _UNTOLD
    return [number(each.get("id")) for each in values if isinstance(each, dict)] or None


def _money(typed: Body) -> Json | _Left:
    return {"value": typed.get("value"), "currency": typed.get("currency")}


def _time(typed: Body) -> Json | _Left:
    return SPELLERS["activity"]["due_time"](typed.get("value"))


def _span(typed: Body) -> Json | _Left:
    return {"value": typed.get("from"), "until": typed.get("until")}


def _address(typed: Body) -> Json | _Left:
    parts = typed.get("subfields")
    return {"value": typed.get("value"), **parts} if isinstance(parts, dict) else _UNTOLD


_TYPED: Final[Mapping[str, Callable[[Body], Json | _Left]]] = {
    **dict.fromkeys(("varchar", "varchar_auto", "text", "phone", "double", "int", "date"), _value),
    **dict.fromkeys(("enum", "user", "org", "people", "deal", "stage"), _option),
    "set": _options,
    "monetary": _money,
    "time": _time,
    "daterange": _span,
    "address": _address,
}
"""Types that translate exactly; a time span lacks the name of its zone and is left out."""


def refused(error: RefusedError | ForbiddenError) -> ConnectorError:
    """Why there is no subscription, in words for a person (REFERENCE §12.1)."""
    if isinstance(error, ForbiddenError):
        return ForbiddenError(f"{error.message}: the user of the token may not subscribe to webhooks, an admin may")
    if "subscription_url" in error.fields:
        text = "the CRM does not reach CONNECTOR_PUBLIC_URL: it must be public, with a valid certificate, no redirect"
        return RefusedError(f"{error.message}: {text}", fields=error.fields, code=error.code)
    if f": {HTTPStatus.UNPROCESSABLE_ENTITY.value}" in error.message:
        text = "the user of the token has as many subscriptions as it may have: end one that nobody needs"
        return RefusedError(f"{error.message}: {text}", fields=error.fields, code=error.code)
    return error
