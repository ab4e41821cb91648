"""Links: "this row is that CRM record", with what both sides last agreed on.

All functions take many keys at once. Keys are sorted before they are locked, so that two transactions cannot wait for each
other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
from pydantic_core import from_json

from connector.core.merge import Parent
from connector.core.model import AppKey, Base, CrmId, Json, Link, LinkId, LinkState, Pair, Sent, Side
from connector.store.db import Connection
from connector.store.notes import dump


@dataclass(frozen=True, slots=True)
class Reference:
    """A parent as its link tells it.

    `reachable` is False when it will not come without a person; `died` is the side of a
    tombstone that was deleted; `released`: the record belongs to another mapping now.
    """

    mapping: str
    app_key: AppKey | None
    crm_id: CrmId | None
    link_id: LinkId
    reachable: bool
    died: Side | None = None
    released: bool = False


@dataclass(slots=True)
class Glance:
    """A link as a page looks at it. `agreed` is its base as stored: line → [app, crm, rule]."""

    id: LinkId
    mapping: str | None
    app_key: AppKey | None
    state: LinkState
    held: bool
    version: str | None
    agreed: Mapping[str, Sequence[Json]]


@dataclass(slots=True)
class LinkWrite:
    """The new state of one link. `joined` is the other half that it takes in."""

    id: LinkId
    mapping: str | None
    app_key: AppKey | None
    crm_id: CrmId | None
    state: LinkState
    base: Base
    restore: Mapping[str, str | None] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    died: Side | None = None
    cause: str | None = None
    version: str | None = None
    sent: Mapping[str, Sent] = field(default_factory=dict)
    released: bool = False


def base_json(base: Base) -> str:
    """The jsonb of a base: line → [app, crm, rule]."""
    return dump(base)


def base_of(text: str) -> Base:
    """The base that a jsonb holds."""
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
        restore=from_json(row["restore"]) if row["restore"] != "{}" else {},
        committed_at=row["committed_at"],
        version=row["version"],
        held=row["held"] != "{}",
        died=Side(row["died"]) if row["died"] else None,
        released=row["released"],
        sent=_sent_of(row["sent"]) if row["sent"] != "{}" else {},
    )


def _sent_of(text: str) -> Mapping[str, Sent]:
    return {name: Sent(one["seen"], one["sent"]) for name, one in from_json(text).items()}


async def open_app(
    db: Connection, connection: str, name: str, mapping: str, *, keys: Iterable[AppKey], now: datetime
) -> None:
    """Makes a half-open link for every row that has none."""
    await db.execute(
        """insert into connector.link (connection, object, mapping, app_key, origin, first_seen_at, state)
           select $1, $2, $3, k, 'app', $5, 'open' from unnest($4::text[]) k order by k
           on conflict (connection, mapping, app_key) where app_key is not null do nothing""",
        connection,
        name,
        mapping,
        sorted(keys),
        now,
    )


async def open_crm(
    db: Connection, connection: str, name: str, ids: Iterable[CrmId], now: datetime
) -> Mapping[CrmId, LinkId]:
    """Makes a half-open link for every CRM record that has none; the links that were made."""
    rows = await db.fetch(
        """insert into connector.link (connection, object, crm_id, origin, first_seen_at)
           select $1, $2, i, 'crm', $4 from unnest($3::text[]) i order by i
           on conflict (connection, object, crm_id) where crm_id is not null and not released do nothing
           returning crm_id, id""",
        connection,
        name,
        sorted(ids),
        now,
    )
    return {CrmId(row["crm_id"]): LinkId(row["id"]) for row in rows}


async def glance(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> Mapping[CrmId, Glance]:
    """The links of CRM records, as far as telling needs whether anything has changed."""
    rows = await db.fetch(
        """select crm_id, id, mapping, app_key, state, held <> '{}', version, base from connector.link
           where connection = $1 and object = $2 and crm_id = any($3::text[]) and not released""",
        connection,
        name,
        list(ids),
    )
    return {
        CrmId(crm_id): Glance(id_, mapping, app_key, LinkState(state), held, version, from_json(base))
        for crm_id, id_, mapping, app_key, state, held, version, base in rows
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
    """Objects of which a record is known to exist that nobody has read yet: it may match anything."""
    rows = await db.fetch(
        """select distinct l.object from connector.link l join connector.work w on w.link_id = l.id
           where l.connection = $1 and l.object = any($2::text[]) and l.app_key is null and l.state = 'open'
             and w.state = 'due' and w.attempt = 0""",
        connection,
        list(names),
    )
    return frozenset(row["object"] for row in rows)


async def held(db: Connection, connection: str) -> Sequence[LinkId]:
    """The links with a value that could not be converted or was refused."""
    rows = await db.fetch("select id from connector.link where connection = $1 and held <> '{}'", connection)
    return [LinkId(row["id"]) for row in rows]


async def by_id(db: Connection, ids: Sequence[LinkId]) -> Mapping[LinkId, Link]:
    """Links by their own id."""
    rows = await db.fetch("select * from connector.link where id = any($1::bigint[])", list(ids))
    return {LinkId(row["id"]): link_of(row) for row in rows}


async def save(db: Connection, writes: Sequence[LinkWrite], now: datetime) -> None:
    """Writes the new state of links. A CRM half that another link takes in must be gone before."""
    await db.execute(
        """update connector.link l set mapping = n.mapping, app_key = n.app_key, crm_id = n.crm_id, state = n.state,
               base = n.base, restore = n.restore, held = n.held, died = n.died, cause = n.cause, version = n.version,
               sent = n.sent, released = n.released, committed_at = $2
           from json_to_recordset($1::json) n(id bigint, mapping text, app_key text, crm_id text, state text, base jsonb,
                restore jsonb, held jsonb, died text, cause text, version text, sent jsonb, released bool)
           where l.id = n.id""",
        dump(writes),
        now,
    )


async def absorb(db: Connection, connection: str, name: str, taken: Mapping[CrmId, LinkId]) -> None:
    """Deletes the CRM halves of records that a link takes in; their notes move to that link's work."""
    await db.execute(
        """with half as (
               select h.id, n.keeper from unnest($3::text[], $4::bigint[]) n(crm_id, keeper)
               join connector.link h on h.connection = $1 and h.object = $2 and h.crm_id = n.crm_id and h.id <> n.keeper
               where h.app_key is null)
           update connector.work k set generation = k.generation + 1, crm_changed = k.crm_changed || w.crm_changed,
               evidence = k.evidence or w.evidence, told = k.told || w.told
           from half join connector.work w on w.link_id = half.id where k.link_id = half.keeper""",
        connection,
        name,
        list(taken),
        list(taken.values()),
    )
    await db.execute(
        """delete from connector.link h using unnest($3::text[], $4::bigint[]) n(crm_id, keeper)
           where h.connection = $1 and h.object = $2 and h.crm_id = n.crm_id and h.id <> n.keeper
             and h.app_key is null""",
        connection,
        name,
        list(taken),
        list(taken.values()),
    )


async def absorb_app(db: Connection, connection: str, mapping: str, taken: Mapping[AppKey, LinkId]) -> None:
    """Deletes the app halves of rows that a link takes in; their notes move to that link's work."""
    keys, keepers = list(taken), list(taken.values())
    await db.execute(
        """update connector.work k set generation = k.generation + 1, app_changed = k.app_changed || w.app_changed
           from unnest($3::text[], $4::bigint[]) n(app_key, keeper)
           join connector.link h on h.connection = $1 and h.mapping = $2 and h.app_key = n.app_key and h.id <> n.keeper
           join connector.work w on w.link_id = h.id
           where k.link_id = n.keeper and h.crm_id is null""",
        connection,
        mapping,
        keys,
        keepers,
    )
    await db.execute(
        """delete from connector.link h using unnest($3::text[], $4::bigint[]) n(app_key, keeper)
           where h.connection = $1 and h.mapping = $2 and h.app_key = n.app_key and h.id <> n.keeper
             and h.crm_id is null""",
        connection,
        mapping,
        keys,
        keepers,
    )


async def delete(db: Connection, ids: Sequence[LinkId]) -> None:
    """Forgets half-open links that have become pointless."""
    await db.execute("delete from connector.link where id = any($1::bigint[])", list(ids))


async def references_by_app(
    db: Connection, connection: str, wanted: Iterable[tuple[str, AppKey]]
) -> Sequence[Reference]:
    """What is known of parents named by rows."""
    pairs = sorted(set(wanted))
    rows = await db.fetch(
        f"""{_REFERENCE} join unnest($2::text[], $3::text[]) n(mapping, key)
            on l.mapping = n.mapping and l.app_key = n.key where l.connection = $1""",
        connection,
        [mapping for mapping, _ in pairs],
        [key for _, key in pairs],
    )
    return [_reference(row, row["mapping"]) for row in rows]


async def references_by_crm(
    db: Connection, connection: str, wanted: Iterable[tuple[str, str, CrmId]]
) -> Sequence[Reference]:
    """What is known of parents named by CRM records: (target mapping, its object, CRM id).

    A record that left the target for another mapping is known by its row there as well.
    """
    triples = sorted(set(wanted))
    rows = await db.fetch(
        f"""{_REFERENCE} join unnest($2::text[], $3::text[], $4::text[]) n(target, object, key)
            on l.object = n.object and l.crm_id = n.key and (not l.released or l.mapping = n.target)
            where l.connection = $1""",
        connection,
        [target for target, _, _ in triples],
        [name for _, name, _ in triples],
        [key for _, _, key in triples],
    )
    return [_reference(row, row["target"]) for row in rows]


_REFERENCE = """
select l.id, l.mapping, l.app_key, l.crm_id, l.state, l.cause, l.died, l.released, w.state as work, n.*
from connector.link l left join connector.work w on w.link_id = l.id
"""


def _reference(row: asyncpg.Record, target: str) -> Reference:
    other = row["mapping"] is not None and row["mapping"] != target
    hopeless = row["state"] in {"excluded", "left_out", "unlinked", "deleted"} or row["work"] == "parked" or other
    died = Side(row["died"]) if row["state"] in ("deleted", "unlinked") and row["died"] else None
    if row["state"] == "excluded" and row["cause"] == "record_gone":
        died = Side.CRM
    key = row["app_key"] if not other else None
    return Reference(target, key, row["crm_id"], LinkId(row["id"]), not hopeless, died, row["released"])


async def join(db: Connection, link: LinkId, crm_id: CrmId, now: datetime) -> None:
    """Completes a link by what its open create intent made; the base is what that intent sent.

    One that its record had left is in force again, with what was agreed on since under another mapping of its table.
    """
    await db.execute(
        """update connector.link l set released = false, origin = 'crm', crm_id = $2, committed_at = $3,
               base = l.base || coalesce((
                   select s.base from connector.link s
                   join connector.mapping m on m.connection = l.connection and m.mapping = l.mapping
                   join connector.mapping o on o.connection = l.connection and o.mapping = s.mapping
                     and (m.table_schema, m.table_name, m.key_column) = (o.table_schema, o.table_name, o.key_column)
                   where s.connection = l.connection and s.object = l.object and s.crm_id in (l.crm_id, $2)
                     and s.released and s.app_key = l.app_key and s.committed_at > l.committed_at
                   order by s.committed_at desc limit 1), '{}')
           where l.id = $1 and l.released""",
        link,
        crm_id,
        now,
    )
    await db.execute(
        """update connector.link l set crm_id = $2, state = 'linked', committed_at = $3,
               base = coalesce((select i.seen from connector.intent i
                                where i.link_id = l.id and i.op = 'create' order by i.id desc limit 1), l.base)
           where l.id = $1 and l.crm_id is null""",
        link,
        crm_id,
        now,
    )


async def call(db: Connection, connection: str, wanted: Sequence[tuple[Parent, str]], now: datetime) -> None:
    """Makes half-open links for awaited parents (with their objects) that have none."""
    for mapping, name in sorted({(parent.mapping, name) for parent, name in wanted}):
        keys = [AppKey(p.key) for p, _ in wanted if p.mapping == mapping and p.side is Side.APP]
        ids = [CrmId(p.key) for p, _ in wanted if p.mapping == mapping and p.side is Side.CRM]
        if keys:
            await open_app(db, connection, name, mapping, keys=keys, now=now)
        if ids:
            await open_crm(db, connection, name, ids, now)


async def parents(db: Connection, connection: str, wanted: Sequence[tuple[Parent, str]]) -> Mapping[Parent, LinkId]:
    """The links of parents (with their objects)."""
    rows = await references_by_app(
        db, connection, [(p.mapping, AppKey(p.key)) for p, _ in wanted if p.side is Side.APP]
    )
    records = await references_by_crm(
        db, connection, [(p.mapping, name, CrmId(p.key)) for p, name in wanted if p.side is Side.CRM]
    )
    found = {Parent(ref.mapping, Side.APP, str(ref.app_key)): ref.link_id for ref in rows}
    return found | {Parent(r.mapping, Side.CRM, str(r.crm_id)): r.link_id for r in records if not r.released}


async def revive(db: Connection, ids: Sequence[LinkId]) -> None:
    """A person pairs tombstones and left-out rows again: their next reconcile is a first sight."""
    await db.execute(
        """update connector.link set state = case when app_key is null or crm_id is null then 'open' else 'linked' end,
               base = case when state in ('unlinked', 'deleted') then '{}'::jsonb else base end
           where id = any($1::bigint[]) and not released
             and state in ('unlinked', 'deleted', 'left_out', 'excluded', 'frozen')""",
        list(ids),
    )
