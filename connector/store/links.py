"""Links: "this row is that CRM record", with what both sides last agreed on; how they are read, many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from pydantic_core import from_json

from connector.core.model import (
    AppKey,
    Base,
    CrmId,
    Json,
    Link,
    LinkId,
    LinkState,
    OpenConflict,
    Pair,
    Sent,
    Side,
    Undo,
    Write,
)
from connector.store.db import Connection
from connector.store.notes import dump

FREE_RECORD = "(h.app_key is null or (h.state in ('deleted', 'unlinked') and h.died is not distinct from 'app'))"
FREE_ROW = "(h.crm_id is null or (h.state in ('deleted', 'unlinked') and h.died is not distinct from 'crm'))"
"""SQL over a link `h`: its record, or row, has no other half that lives. `Link.widow` in SQL."""


@dataclass(slots=True)
class Glance:
    """A link as a page looks at it. `agreed` is its base as stored: line → [app, crm, rule]."""

    id: LinkId
    mapping: str | None
    app_key: AppKey | None
    state: LinkState
    held: bool
    version: str | None
    lost: bool
    agreed: Mapping[str, Sequence[Json]]


def base_json(base: Base) -> str:
    """The JSON of a base: line → [app, crm, rule]."""
    return dump(base)


def base_of(text: str) -> Base:
    """The base that a JSON text holds."""
    return {name: Pair._make(pair) for name, pair in from_json(text).items()} if text != "{}" else {}


def link_of(row: asyncpg.Record) -> Link:
    """A row of `connector.link` as a value."""
    return Link(
        id=LinkId(row["id"]),
        object=row["object"],
        mapping=row["mapping"],
        app_key=row["app_key"],
        crm_id=row["crm_id"],
        state=LinkState(row["state"]),
        origin=Side(row["origin"]),
        base=base_of(row["base"]),
        restore=_restore_of(row["restore"]) if row["restore"] != "{}" else {},
        committed_at=row["committed_at"],
        version=row["version"],
        held=from_json(row["held"]) if row["held"] != "{}" else {},
        conflicts=_conflicts_of(row["conflicts"]) if row["conflicts"] != "{}" else {},
        died=Side(row["died"]) if row["died"] else None,
        released=row["released"],
        sent=_sent_of(row["sent"]) if row["sent"] != "[]" else (),
        refused=from_json(row["refused"]) if row["refused"] != "{}" else {},
        lost_since=row["lost_since"],
    )


def _restore_of(text: str) -> Mapping[str, Undo]:
    return {column: Undo._make(undo) for column, undo in from_json(text).items()}


def _sent_of(text: str) -> Sequence[Write]:
    return [
        Write(write["at"], {name: Sent._make(one) for name, one in write["lines"].items()}, write["until"])
        for write in from_json(text)
    ]


def _conflicts_of(text: str) -> Mapping[str, OpenConflict]:
    return {name: conflict_of(one) for name, one in from_json(text).items()}


def conflict_of(one: Mapping[str, Any]) -> OpenConflict:
    """The conflict that JSON holds."""
    since, app_at, crm_at = (
        datetime.fromisoformat(one[name]) if one[name] else None for name in ("since", "app_at", "crm_at")
    )
    assert since is not None  # noqa: S101 (every conflict has begun)
    keep = Side(one["keep"]) if one["keep"] else None
    return OpenConflict(one["app"], one["crm"], since, app_at, crm_at, one["overwritten"], keep)


async def glance(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> Mapping[CrmId, Glance]:
    """The links of CRM records, as far as telling needs whether anything has changed."""
    rows = await db.fetch(
        """select crm_id, id, mapping, app_key, state, held <> '{}', version, lost_since is not null, base
           from connector.link
           where connection = $1 and object = $2 and crm_id = any($3::text[]) and not released""",
        connection,
        name,
        list(ids),
    )
    return {
        CrmId(crm_id): Glance(id_, mapping, app_key, LinkState(state), held, version, lost, from_json(base))
        for crm_id, id_, mapping, app_key, state, held, version, lost, base in rows
    }


async def by_crm(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> Mapping[CrmId, Link]:
    """The links of CRM records; those that a record left for another mapping are not among them."""
    rows = await db.fetch(
        """select * from connector.link
           where connection = $1 and object = $2 and crm_id = any($3::text[]) and not released""",
        connection,
        name,
        list(ids),
    )
    return {CrmId(row["crm_id"]): link_of(row) for row in rows}


async def of_records(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> Mapping[CrmId, LinkId]:
    """Which records have a link by now."""
    rows = await db.fetch(
        """select crm_id, id from connector.link
           where connection = $1 and object = $2 and crm_id = any($3::text[]) and not released""",
        connection,
        name,
        list(ids),
    )
    return {CrmId(row["crm_id"]): LinkId(row["id"]) for row in rows}


async def by_app(db: Connection, connection: str, mapping: str, keys: Sequence[AppKey]) -> Mapping[AppKey, Link]:
    """The links of rows."""
    rows = await db.fetch(
        "select * from connector.link where connection = $1 and mapping = $2 and app_key = any($3::text[])",
        connection,
        mapping,
        list(keys),
    )
    return {AppKey(row["app_key"]): link_of(row) for row in rows}


async def left_behind(
    db: Connection, connection: str, name: str, halves: Mapping[CrmId, str]
) -> Mapping[CrmId, Sequence[Link]]:
    """The links that records left when they became another mapping's, the newest first.

    Those of the mapping to which each belongs now, and of mappings of the same table. A record also comes back to what
    was left by those that were merged into it.
    """
    rows = await db.fetch(
        """with recursive was (now, mapping, id) as (
               select n.crm_id, n.mapping, n.crm_id from unnest($3::text[], $4::text[]) n(crm_id, mapping)
               union
               select w.now, w.mapping, a.loser from was w
               join connector.alias a on a.connection = $1 and a.object = $2 and a.survivor = w.id)
           select w.now, l.* from was w
           join connector.link l on l.connection = $1 and l.object = $2 and l.crm_id = w.id and l.released
           join connector.mapping o on o.connection = $1 and o.mapping = l.mapping
           join connector.mapping m on m.connection = $1 and m.mapping = w.mapping
             and (m.table_schema, m.table_name, m.key_column) = (o.table_schema, o.table_name, o.key_column)
           where not exists (select 1 from connector.link t where t.connection = $1 and t.mapping = w.mapping
                             and t.app_key = l.app_key and t.crm_id is not null and t.id <> l.id)
           order by l.committed_at desc, l.id""",
        connection,
        name,
        list(halves),
        list(halves.values()),
    )
    found: dict[CrmId, list[Link]] = {}
    for row in rows:
        found.setdefault(CrmId(row["now"]), []).append(link_of(row))
    return found


async def known_rows(db: Connection, connection: str, mapping: str, keys: Sequence[AppKey]) -> frozenset[AppKey]:
    """Which rows have a link that stands whatever the rules say; a row that they kept out is judged again."""
    rows = await db.fetch(
        """select app_key from connector.link where connection = $1 and mapping = $2 and app_key = any($3::text[])
             and not (state = 'excluded' and crm_id is null)""",
        connection,
        mapping,
        list(keys),
    )
    return frozenset(AppKey(row["app_key"]) for row in rows)


async def unread(db: Connection, connection: str, names: Sequence[str]) -> frozenset[str]:
    """Objects of which a record is known to exist that nobody has read yet: it may match anything.

    So is one that could not be read: whoever has been keeps its keys, if it has any.
    """
    rows = await db.fetch(
        """select distinct l.object from connector.link l join connector.work w on w.link_id = l.id
           where l.connection = $1 and l.object = any($2::text[]) and l.app_key is null and l.state = 'open'
             and w.state in ('due', 'retry')
             and (w.attempt = 0 or not exists (select 1 from connector.match_key k
                     where k.connection = l.connection and k.object = l.object and k.crm_id = l.crm_id))""",
        connection,
        list(names),
    )
    return frozenset(row["object"] for row in rows)


async def oldest_lost(db: Connection, connection: str, names: Sequence[str]) -> Mapping[str, Link]:
    """By object: the half of a row that a lost create may have completed, of which nothing is known for longest."""
    rows = await db.fetch(
        """select distinct on (object) * from connector.link
           where connection = $1 and object = any($2::text[]) and lost_since is not null and crm_id is null
             and state = 'open' order by object, lost_since, id""",
        connection,
        list(names),
    )
    return {row["object"]: link_of(row) for row in rows}


async def held(db: Connection, connection: str) -> Sequence[LinkId]:
    """The links with a value that could not be converted or was refused."""
    rows = await db.fetch("select id from connector.link where connection = $1 and held <> '{}'", connection)
    return [LinkId(row["id"]) for row in rows]


async def by_id(db: Connection, ids: Sequence[LinkId]) -> Mapping[LinkId, Link]:
    """Links by their own id."""
    rows = await db.fetch("select * from connector.link where id = any($1::bigint[])", list(ids))
    return {LinkId(row["id"]): link_of(row) for row in rows}
