"""A mapping file: one table of the app against one object of the CRM."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from ruamel.yaml.nodes import Node

from connector.config.conditions import CONDITIONS
from connector.config.connection import BRAKE
from connector.config.lines import CONFLICT, DIRECTION, LINE
from connector.config.nodes import wrong
from connector.config.section import Found, Key, section
from connector.config.shapes import DATE, SET_VALUE, TEXT, Shape, by_kind, choice, list_of, table_of, word
from connector.core.mapping import (
    OBJECTS,
    Backfill,
    BrakeHalves,
    Conflict,
    DeletePolicy,
    Deletes,
    Direction,
    MappingSpec,
    OnLeave,
    Rollout,
    SetValue,
)

_Received = tuple[DeletePolicy, Mapping[str, SetValue]]
_ASSIGNED: Final = table_of(SET_VALUE)


def _mapping_name(node: Node) -> str:
    name = TEXT.read(node)
    if "/" in name:
        raise wrong(node, "the name of a mapping holds no '/'")
    return name


def _qualified(node: Node) -> tuple[str, str]:
    schema, _dot, table = TEXT.read(node).partition(".")
    if not schema or not table:
        raise wrong(node, f"expected schema.table, for example public.{schema or table or 'contacts'}")
    return schema, table


_SET: Final = Key("set", _ASSIGNED, "Columns to write instead of deleting the row.", required=True)
_RECEIVED: Final[Shape[_Received]] = by_kind(
    scalar=word(["delete", "unlink", "none"]).to(lambda policy: (DeletePolicy(policy), {})),
    block=section((_SET,), lambda found: (DeletePolicy.SET, found.must(_SET))),
)
_ON_RECEIVE: Final = Key("receive", _RECEIVED, "When the CRM record was deleted.")
_ON_SEND: Final = Key("send", word(["delete", "unlink", "none"]).to(DeletePolicy), "When the row was deleted.")


def _deletes(found: Found) -> Deletes:
    default = Deletes()
    policy, assigned = found.of(_ON_RECEIVE, (default.receive, default.set))
    return Deletes(receive=policy, send=found.of(_ON_SEND, default.send), set=assigned)


_ONLY_RECEIVE: Final = Key("receive", CONDITIONS, "Conditions on CRM fields.")
_ONLY_SEND: Final = Key("send", CONDITIONS, "Conditions on columns.")
_SINCE: Final = Key("since", DATE, required=True)
_SET_CRM: Final = Key("crm", _ASSIGNED, "Sent on create and kept like a send line.")
_SET_APP: Final = Key("app", _ASSIGNED, "Written when we insert the row, then never.")


_NAME: Final = Key("name", Shape(_mapping_name, {**TEXT.schema, "not": {"pattern": "/"}}), "Default: the file's stem.")
_OBJECT: Final = Key("object", word(OBJECTS), "The CRM's own API name.", required=True)
_TABLE: Final = Key(
    "table", Shape(_qualified, {"type": "string", "pattern": r"^[^.]+\.."}), "schema.table", required=True
)
_KEY: Final = Key("key", TEXT, "Single-column primary key: integer, uuid or text.", required=True)
_DIRECTION: Final = Key("direction", DIRECTION, "Which way records flow, named from the app's side.", required=True)
_FIELDS: Final = Key("fields", list_of(LINE, least=1), "One line per field rule.", required=True)
_MATCH: Final = Key(
    "match",
    list_of(by_kind(scalar=TEXT.to(lambda column: (column,)), items=list_of(TEXT, least=1))),
    "Columns of fields that find the other half of a new record.",
)
_DELETES: Final = Key("deletes", section((_ON_RECEIVE, _ON_SEND), _deletes), "What a deletion does to the other side.")
_ONLY: Final = Key(
    "only",
    section(
        (_ONLY_RECEIVE, _ONLY_SEND),
        lambda found: (found.of(_ONLY_RECEIVE, ()), found.of(_ONLY_SEND, ())),
        later=("brings",),
    ),
    "Which records and rows take part.",
)
_LEAVE: Final = Key("on_leave", choice(OnLeave), "What happens to a link whose record leaves the filter.")
_BACKFILL: Final = Key(
    "backfill",
    by_kind(
        scalar=word(["all", "none"]).to(lambda which: Backfill(all=which == "all")),
        block=section((_SINCE,), lambda found: Backfill(all=False, since=found.must(_SINCE))),
    ),
    "Which old rows are sent.",
)
_ROLLOUT: Final = Key("rollout", choice(Rollout), "How much of the mapping is in force.")
_SET_BOTH: Final = Key(
    "set", section((_SET_CRM, _SET_APP), lambda found: (found.of(_SET_CRM, {}), found.of(_SET_APP, {}))), "Constants."
)
_UPDATED_AT: Final = Key("updated_at", TEXT, "Column with the row's time of last change.")
_KEEP: Final = Key("keep", list_of(TEXT), "Extra CRM fields kept in the mirror.")
_KEYS: Final[tuple[Key[Any], ...]] = (
    _NAME, _OBJECT, _TABLE, _KEY, _DIRECTION, CONFLICT, _MATCH, _DELETES, _ONLY, _LEAVE, _BACKFILL, _ROLLOUT, _SET_BOTH,
    _UPDATED_AT, BRAKE, _KEEP, _FIELDS,
)  # fmt: skip
_LATER: Final = ("history", "brings", "referenced_by")


def mapping(stem: str) -> Shape[MappingSpec]:
    """The shape of a mapping file with that stem."""
    return section(_KEYS, partial(_build, stem), later=_LATER)


def _build(stem: str, found: Found) -> MappingSpec:
    schema, table = found.must(_TABLE)
    direction = found.must(_DIRECTION)
    only_receive, only_send = found.of(_ONLY, ((), ()))
    set_crm, set_app = found.of(_SET_BOTH, ({}, {}))
    return MappingSpec(
        name=found.of(_NAME, stem),
        at=found.at,
        object=found.must(_OBJECT),
        schema=schema,
        table=table,
        key=found.must(_KEY),
        direction=direction,
        lines=found.must(_FIELDS),
        conflict=found.of(CONFLICT, Conflict.LAST_UPDATED),
        match=found.of(_MATCH, ()),
        deletes=found.of(_DELETES, Deletes()),
        only_receive=only_receive,
        only_send=only_send,
        on_leave=found.of(_LEAVE, OnLeave.FREEZE),
        backfill=found.of(_BACKFILL, Backfill(all=direction is not Direction.SEND)),
        rollout=found.of(_ROLLOUT, Rollout.FULL),
        set_crm=set_crm,
        set_app=set_app,
        updated_at=found.get(_UPDATED_AT),
        brake=found.of(BRAKE, BrakeHalves()),
        keep=found.of(_KEEP, ()),
        keys=dict(found.places()),
    )
