"""Intents: every write to the CRM is on record before it is sent, and stays until its outcome is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
from pydantic_core import from_json

from connector.core.model import Base, CrmId, Json, LinkId
from connector.store.db import Connection, Fence
from connector.store.links import base_json, base_of
from connector.store.notes import dump

IntentId = int


@dataclass(frozen=True, slots=True)
class NewIntent:
    """A write about to be sent; or one that was, as far as anybody knows, at `sent_at`.

    `base` is what sides will have agreed on; `hashes` are the match keys it occupies; `replaced` is by line what the CRM
    showed before.
    """

    link_id: LinkId
    op: str
    object: str
    crm_id: CrmId | None
    fields: Mapping[str, Json]
    base: Base
    hashes: Sequence[bytes] = ()
    replaced: Mapping[str, Json] = field(default_factory=dict)
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A write whose outcome is not on record yet."""

    id: IntentId
    link_id: LinkId
    mapping: str | None
    epoch: int
    op: str
    object: str
    crm_id: CrmId | None
    fields: Mapping[str, Json]
    base: Base
    unknown: bool
    sent_at: datetime
    replaced: Mapping[str, Json] = field(default_factory=dict)


async def open_many(db: Connection, fence: Fence, intents: Sequence[NewIntent], now: datetime) -> Sequence[IntentId]:
    """Puts intents on record, in order; their ids. The time of this commit is when they count as sent."""
    rows = await db.fetch(
        """insert into connector.intent
               (connection, link_id, epoch, op, object, crm_id, fields, seen, hashes, replaced, sent_at, unknown)
           select $1, n.link, $2, n.op, n.object, n.crm_id, n.fields, n.seen,
                  coalesce((select array_agg(decode(h, 'hex')) from jsonb_array_elements_text(n.hashes) h), '{}'),
                  n.replaced, coalesce(n.sent_at, $3), n.sent_at is not null
           from unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[], $10::jsonb[],
                       $11::jsonb[], $12::timestamptz[])
                with ordinality n(link, op, object, crm_id, fields, seen, hashes, replaced, sent_at, position)
           order by n.position
           returning id""",
        fence.connection,
        fence.epoch,
        now,
        [i.link_id for i in intents],
        [i.op for i in intents],
        [i.object for i in intents],
        [i.crm_id for i in intents],
        [dump(dict(i.fields)) for i in intents],
        [base_json(i.base) for i in intents],
        [dump([h.hex() for h in i.hashes]) for i in intents],
        [dump(dict(i.replaced)) for i in intents],
        [i.sent_at for i in intents],
    )
    return [row["id"] for row in rows]


async def close(db: Connection, ids: Sequence[IntentId]) -> None:
    """Ends intents whose outcome is known."""
    await db.execute("delete from connector.intent where id = any($1::bigint[])", list(ids))


async def mark_unknown(db: Connection, ids: Sequence[IntentId]) -> None:
    """Notes that no answer came: only a later read can tell."""
    await db.execute("update connector.intent set unknown = true where id = any($1::bigint[])", list(ids))


async def of_links(db: Connection, links: Sequence[LinkId]) -> Mapping[LinkId, Sequence[Intent]]:
    """Open intents of links, oldest first."""
    rows = await db.fetch(
        """select i.*, l.mapping from connector.intent i join connector.link l on l.id = i.link_id
           where i.link_id = any($1::bigint[]) order by i.id""",
        list(links),
    )
    found: dict[LinkId, list[Intent]] = {}
    for row in rows:
        found.setdefault(LinkId(row["link_id"]), []).append(intent_of(row))
    return found


async def open_creates(db: Connection, connection: str, name: str) -> Sequence[Intent]:
    """All create intents of an object whose record is not known, oldest first."""
    rows = await db.fetch(
        """select i.*, l.mapping from connector.intent i join connector.link l on l.id = i.link_id and l.crm_id is null
           where i.connection = $1 and i.object = $2 and i.op = 'create' order by i.id""",
        connection,
        name,
    )
    return [intent_of(row) for row in rows]


async def named(db: Connection, connection: str, name: str, ids: Collection[IntentId]) -> Mapping[IntentId, LinkId]:
    """The links of those of the create intents whose record is not known."""
    rows = await db.fetch(
        """select i.id, i.link_id from connector.intent i join connector.link l on l.id = i.link_id and l.crm_id is null
           where i.connection = $1 and i.object = $2 and i.op = 'create' and i.id = any($3::bigint[])""",
        connection,
        name,
        list(ids),
    )
    return {row["id"]: LinkId(row["link_id"]) for row in rows}


async def occupied(db: Connection, connection: str, hashes: Sequence[bytes]) -> Mapping[bytes, LinkId]:
    """Match keys that open create intents occupy, with the link each is for."""
    rows = await db.fetch(
        """select h, link_id from connector.intent, unnest(hashes) h
           where connection = $1 and op = 'create' and hashes && $2::bytea[] and h = any($2::bytea[])""",
        connection,
        list(hashes),
    )
    return {bytes(row["h"]): LinkId(row["link_id"]) for row in rows}


def intent_of(row: asyncpg.Record) -> Intent:
    """A row of `connector.intent` as a value."""
    return Intent(
        row["id"],
        LinkId(row["link_id"]),
        row["mapping"],
        row["epoch"],
        row["op"],
        row["object"],
        row["crm_id"],
        from_json(row["fields"]),
        base_of(row["seen"]),
        row["unknown"],
        row["sent_at"],
        from_json(row["replaced"]) if row["replaced"] != "{}" else {},
    )
