"""How links are written: opened, saved, joined with another half, deleted, revived.

All functions but `join` take many keys at once. Keys are sorted before they are locked, so that two transactions cannot
wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.core.model import AppKey, Base, CrmId, Json, Link, LinkId, LinkState, OpenConflict, Side, Undo, Write
from connector.store.db import Connection
from connector.store.links import FREE_RECORD, FREE_ROW
from connector.store.notes import dump

_HAND_ON = (
    "update connector.intent i set link_id = gone.keeper from gone where i.connection = $1 and i.link_id = gone.id"
)
"""SQL over links that are `gone`: writes whose outcome is open are looked into by the links that took them in."""


@dataclass(slots=True)
class LinkWrite:
    """The new state of one link. `joined` is the other half that it takes in."""

    id: LinkId
    mapping: str | None
    app_key: AppKey | None
    crm_id: CrmId | None
    state: LinkState
    base: Base
    restore: Mapping[str, Undo] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    died: Side | None = None
    cause: str | None = None
    version: str | None = None
    sent: Sequence[Write] = ()
    released: bool = False
    refused: Mapping[str, Json] = field(default_factory=dict)
    conflicts: Mapping[str, OpenConflict] | None = None
    """None: as they are on record."""
    found_out: bool = False
    """What a restore had lost of it is known now."""


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


async def reserve(db: Connection, count: int) -> Sequence[LinkId]:
    """Numbers for links that are not stored yet."""
    rows = await db.fetch("select nextval('connector.link_id_seq') from generate_series(1, $1)", count)
    return [LinkId(row[0]) for row in rows]


async def open_crm_as(db: Connection, connection: str, name: str, ids: Mapping[CrmId, LinkId], now: datetime) -> None:
    """Makes half-open links under reserved numbers, for CRM records that have none."""
    await db.execute(
        """insert into connector.link (id, connection, object, crm_id, origin, first_seen_at)
           overriding system value
           select n.id, $1, $2, n.crm_id, 'crm', $5 from unnest($3::bigint[], $4::text[]) n(id, crm_id)""",
        connection,
        name,
        list(ids.values()),
        list(ids),
        now,
    )


async def insert(db: Connection, connection: str, name: str, writes: Sequence[LinkWrite], now: datetime) -> None:
    """Stores links of CRM records that have none, under reserved numbers."""
    await db.execute(
        """insert into connector.link (id, connection, object, origin, first_seen_at, mapping, app_key, crm_id, state,
               base, restore, held, died, cause, version, sent, released, refused, committed_at)
           overriding system value
           select n.id, $1, $2, 'crm', $4, n.mapping, n.app_key, n.crm_id, n.state,
               n.base, n.restore, n.held, n.died, n.cause, n.version, n.sent, n.released, n.refused, $4
           from json_to_recordset($3::json) n(id bigint, mapping text, app_key text, crm_id text, state text, base json,
                restore jsonb, held jsonb, died text, cause text, version text, sent jsonb, released bool, refused jsonb)""",
        connection,
        name,
        dump(writes),
        now,
    )


async def save(db: Connection, writes: Sequence[LinkWrite], now: datetime) -> None:
    """Writes the new state of links. A CRM half that another link takes in must be gone before."""
    await db.execute(
        """update connector.link l set mapping = n.mapping, app_key = n.app_key, crm_id = n.crm_id, state = n.state,
               base = n.base, restore = n.restore, held = n.held, died = n.died, cause = n.cause, version = n.version,
               lost_since = case when not n.found_out then l.lost_since end,
               sent = n.sent, released = n.released, refused = n.refused, committed_at = $2,
               conflicts = coalesce(n.conflicts, l.conflicts)
           from json_to_recordset($1::json) n(id bigint, mapping text, app_key text, crm_id text, state text, base json,
                restore jsonb, held jsonb, died text, cause text, version text, sent jsonb, released bool, refused jsonb,
                conflicts jsonb, found_out bool)
           where l.id = n.id""",
        dump(writes),
        now,
    )


async def absorb(db: Connection, connection: str, name: str, taken: Mapping[CrmId, LinkId]) -> None:
    """Deletes the CRM halves, and the tombstones, of records that a link takes in; their notes and intents become its own."""
    await db.execute(
        f"""with half as (
               select h.id, n.keeper from unnest($3::text[], $4::bigint[]) n(crm_id, keeper)
               join connector.link h on h.connection = $1 and h.object = $2 and h.crm_id = n.crm_id and h.id <> n.keeper
               where {FREE_RECORD})
           update connector.work k set generation = k.generation + 1, crm_changed = k.crm_changed || w.crm_changed,
               evidence = k.evidence or w.evidence, told = k.told || w.told
           from half join connector.work w on w.link_id = half.id where k.link_id = half.keeper""",
        connection,
        name,
        list(taken),
        list(taken.values()),
    )
    await db.execute(
        f"""with gone as (
               delete from connector.link h using unnest($3::text[], $4::bigint[]) n(crm_id, keeper)
               where h.connection = $1 and h.object = $2 and h.crm_id = n.crm_id and h.id <> n.keeper and {FREE_RECORD}
               returning h.id, n.keeper)
           {_HAND_ON}""",
        connection,
        name,
        list(taken),
        list(taken.values()),
    )


async def absorb_app(db: Connection, connection: str, mapping: str, taken: Mapping[AppKey, LinkId]) -> None:
    """Deletes the app halves, and the tombstones, of rows that a link takes in; their notes and intents become its own."""
    keys, keepers = list(taken), list(taken.values())
    await db.execute(
        f"""update connector.work k set generation = k.generation + 1, app_changed = k.app_changed || w.app_changed
           from unnest($3::text[], $4::bigint[]) n(app_key, keeper)
           join connector.link h on h.connection = $1 and h.mapping = $2 and h.app_key = n.app_key and h.id <> n.keeper
           join connector.work w on w.link_id = h.id
           where k.link_id = n.keeper and {FREE_ROW}""",
        connection,
        mapping,
        keys,
        keepers,
    )
    await db.execute(
        f"""with gone as (
               delete from connector.link h using unnest($3::text[], $4::bigint[]) n(app_key, keeper)
               where h.connection = $1 and h.mapping = $2 and h.app_key = n.app_key and h.id <> n.keeper and {FREE_ROW}
               returning h.id, n.keeper)
           {_HAND_ON}""",
        connection,
        mapping,
        keys,
        keepers,
    )


async def give_way(db: Connection, connection: str, half: LinkId, keeper: LinkId) -> None:
    """Deletes the half of a record that another link takes in; its intents become that one's."""
    await db.execute(
        f"with gone as (delete from connector.link where id = $2 returning id, $3::bigint as keeper) {_HAND_ON}",
        connection,
        half,
        keeper,
    )


async def delete(db: Connection, ids: Sequence[LinkId]) -> None:
    """Forgets half-open links that have become pointless."""
    await db.execute("delete from connector.link where id = any($1::bigint[])", list(ids))


async def join(db: Connection, link: LinkId, crm_id: CrmId, now: datetime) -> None:
    """Completes a link by what its open create intent made; the base is what that intent sent.

    One that its record had left is in force again, with what was agreed on since under another mapping of its table.
    """
    await db.execute(
        """update connector.link l set released = false, origin = 'crm', crm_id = $2, committed_at = $3,
               base = (l.base::jsonb || coalesce((
                   select s.base::jsonb from connector.link s
                   join connector.mapping m on m.connection = l.connection and m.mapping = l.mapping
                   join connector.mapping o on o.connection = l.connection and o.mapping = s.mapping
                     and (m.table_schema, m.table_name, m.key_column) = (o.table_schema, o.table_name, o.key_column)
                   where s.connection = l.connection and s.object = l.object and s.crm_id in (l.crm_id, $2)
                     and s.released and s.app_key = l.app_key and s.committed_at > l.committed_at
                   order by s.committed_at desc limit 1), '{}'))::json
           where l.id = $1 and l.released""",
        link,
        crm_id,
        now,
    )
    await db.execute(
        """update connector.link l set crm_id = $2, state = 'linked', committed_at = $3,
               base = coalesce((select i.seen::json from connector.intent i
                                where i.link_id = l.id and i.op = 'create' order by i.id desc limit 1), l.base)
           where l.id = $1 and l.crm_id is null""",
        link,
        crm_id,
        now,
    )


async def follow(
    db: Connection, connection: str, mapping: str, moves: Sequence[tuple[Link, Base]], now: datetime
) -> None:
    """Records come along with their rows to the links that another mapping of the table has for these.

    One that lies apart since `unlink` stays so, until a person pairs it again.
    """
    await db.execute(
        """update connector.link l set crm_id = n.crm_id, origin = n.origin, base = n.base, released = false, cause = null,
               held = '{}', conflicts = '{}', sent = '[]', refused = '{}', version = null, committed_at = $7,
               state = case when l.state in ('unlinked', 'deleted') then l.state else 'linked' end
           from unnest($3::text[], $4::text[], $5::text[], $6::json[]) n(app_key, crm_id, origin, base)
           where l.connection = $1 and l.mapping = $2 and l.app_key = n.app_key and (l.crm_id is null or l.released)""",
        connection,
        mapping,
        [link.app_key for link, _ in moves],
        [link.crm_id for link, _ in moves],
        [link.origin.value for link, _ in moves],
        [dump(base) for _, base in moves],
        now,
    )


async def forget_refused(db: Connection, ids: Sequence[LinkId]) -> None:
    """What the CRM refused may be what it takes by now."""
    await db.execute("update connector.link set refused = '{}' where id = any($1::bigint[])", list(ids))


async def revive(db: Connection, ids: Sequence[LinkId]) -> None:
    """A person pairs tombstones and left-out rows again: their next reconcile is a first sight."""
    await db.execute(
        """update connector.link set state = case when app_key is null or crm_id is null then 'open' else 'linked' end,
               base = case when state in ('unlinked', 'deleted') then '{}'::json else base end
           where id = any($1::bigint[]) and not released
             and state in ('unlinked', 'deleted', 'left_out', 'excluded', 'frozen')""",
        list(ids),
    )
