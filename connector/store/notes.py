"""Notes that something changed: rows of `change` (capture triggers) and `event` (webhooks), and folding them into work.

Nobody syncs where a note is left. Notes are consumed one by one, never by a high-water mark: transactions commit out of
order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson
from pydantic_core import to_json

from connector.core.model import CrmId, Lane, LinkId
from connector.store.db import Connection, Fence

Kind = Literal["change", "event"]


@dataclass(frozen=True, slots=True)
class Event:
    """A stored webhook delivery. `hint` is the JSON of `ports.Hint`."""

    connection: str
    event_id: str
    object: str
    crm_id: str
    kind: str
    hint: str
    received_at: datetime
    id: int = 0


async def append_events(db: Connection, events: Sequence[Event]) -> None:
    """The one INSERT of the receiver: durable once it returns."""
    await db.execute(
        """insert into connector.event (connection, event_id, object, crm_id, kind, hint, received_at)
           select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::timestamptz[])""",
        [e.connection for e in events],
        [e.event_id for e in events],
        [e.object for e in events],
        [e.crm_id for e in events],
        [e.kind for e in events],
        [e.hint for e in events],
        [e.received_at for e in events],
    )


@dataclass(frozen=True, slots=True)
class Bottom:
    """From where to look: behind which numbers of notes, and at items that became due after this time."""

    changes: int
    events: int
    due: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """What there is to do for a connection: the first notes to fold, whether items are due, requests of people."""

    change: int | None
    event: int | None
    due: bool
    asked: bool


async def waiting(db: Connection, fence: Fence, now: datetime, bottom: Bottom) -> Waiting:
    """One look at everything that is waited for: asked all the time, so by indexes alone."""
    (row,) = await db.fetch(
        """select (select id from connector.change where connection = $1 and id > $4 order by id limit 1) as change,
                  (select id from connector.event where connection = $1 and id > $5 order by id limit 1) as event,
                  (select link_id from connector.work
                   where connection = $1 and state in ('due', 'retry', 'waiting') and due_at <= $3 and due_at > $6
                     and (claimed_by is null or claimed_by < $2)
                   order by lane, due_at limit 1) is not null as due,
                  (select id from connector.request where connection = $1 and state = 'queued' limit 1) is not null as asked""",
        fence.connection,
        fence.epoch,
        now,
        bottom.changes,
        bottom.events,
        bottom.due,
    )
    return Waiting(row["change"], row["event"], row["due"], row["asked"])


async def take_events(db: Connection, connection: str, limit: int, first: int = 0) -> Sequence[Event]:
    """Removes and returns the oldest events from number `first` on; they are folded in the same transaction or come back."""
    rows = await db.fetch(
        """delete from connector.event where id in
             (select id from connector.event where connection = $1 and id >= $3 order by id limit $2
              for update skip locked)
           returning *""",
        connection,
        limit,
        first,
    )
    found = [
        Event(r["connection"], r["event_id"], r["object"], r["crm_id"], r["kind"], r["hint"], r["received_at"], r["id"])
        for r in rows
    ]
    return sorted(found, key=lambda event: event.id)


async def drop_oldest(db: Connection, connection: str, kind: Kind) -> None:
    """Removes the oldest note of a kind: the one that a fold of one takes."""
    await db.execute(
        f"""delete from connector.{kind} where id =
            (select id from connector.{kind} where connection = $1 order by id limit 1)""",
        connection,
    )


async def told(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> frozenset[CrmId]:
    """Which of these records there is something to do for already: an event to fold, or an item."""
    rows = await db.fetch(
        """select n.crm_id from unnest($3::text[]) n(crm_id)
           where exists (select 1 from connector.event e
                         where e.connection = $1 and e.object = $2 and e.crm_id = n.crm_id)
              or exists (select 1 from connector.link l join connector.work w on w.link_id = l.id
                         where l.connection = $1 and l.object = $2 and l.crm_id = n.crm_id)""",
        connection,
        name,
        ids,
    )
    return frozenset(CrmId(row["crm_id"]) for row in rows)


async def unfolded(db: Connection, connection: str, claimed: Mapping[LinkId, int]) -> frozenset[LinkId]:
    """The links about whose row or record there is a note that was not folded when their items were claimed.

    `claimed`: link → generation of its item then.
    """
    rows = await db.fetch(
        """select l.id from unnest($2::bigint[], $3::bigint[]) n(id, generation) join connector.link l on l.id = n.id
           where exists (select 1 from connector.work w where w.link_id = n.id and w.generation <> n.generation)
             or exists (select 1 from connector.change c
                     where c.connection = $1 and c.mapping = l.mapping and l.app_key = any(c.keys))
             or exists (select 1 from connector.event e
                        where e.connection = $1 and e.object = l.object and e.crm_id = l.crm_id)""",
        connection,
        list(claimed),
        list(claimed.values()),
    )
    return frozenset(LinkId(row["id"]) for row in rows)


async def last_change(db: Connection, connection: str) -> int:
    """The number of the newest note of a change, 0 where there is none."""
    return int(await db.fetchval("select coalesce(max(id), 0) from connector.change where connection = $1", connection))


async def unfolded_until(db: Connection, connection: str, last: int) -> bool:
    """True while a note of a change up to this number is not folded."""
    query = "select exists (select from connector.change where connection = $1 and id <= $2)"
    return bool(await db.fetchval(query, connection, last))


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold of changes did: notes consumed and the last of them, work items marked, mappings that were truncated."""

    notes: int
    last: int
    marked: int
    truncated: Sequence[str]


async def fold_changes(db: Connection, connection: str, now: datetime, limit: int, first: int = 0) -> Folded:
    """Turns capture notes from number `first` on into half-open links and work, in the database whatever their number.

    `now` is the daemon's clock at this moment: the database's own, which dated the notes, may go otherwise.
    """
    taken = await db.fetch(
        """select id, op::text as op, mapping from connector.change
           where connection = $1 and id >= $3 order by id limit $2 for update skip locked""",
        connection,
        limit,
        first,
    )
    if not taken:
        return Folded(0, 0, 0, ())
    ids = [r["id"] for r in taken]
    await db.execute(_OPEN_LINKS, ids, now)
    await db.execute(_REOPEN_LEFT_OUT, ids)
    marked = await db.execute(_MARK, ids, now, int(Lane.LIVE))
    await db.execute("delete from connector.change where id = any($1::bigint[])", ids)
    return Folded(len(ids), ids[-1], int(marked.split()[-1]), sorted({r["mapping"] for r in taken if r["op"] == "T"}))


_OPEN_LINKS = """
insert into connector.link (connection, object, mapping, app_key, origin, first_seen_at)
select distinct c.connection, m.object, c.mapping, k.key, 'app', $2::timestamptz
from connector.change c
join connector.mapping m using (connection, mapping)
cross join lateral unnest(c.keys) k(key)
where c.id = any($1::bigint[]) and c.op <> 'D' and k.key is not null
order by 4
on conflict (connection, mapping, app_key) where app_key is not null do nothing
"""

_REOPEN_LEFT_OUT = """
update connector.link l set state = 'open'
from connector.change c cross join lateral unnest(c.keys) k(key)
where c.id = any($1::bigint[]) and l.connection = c.connection and l.mapping = c.mapping and l.app_key = k.key
  and l.state = 'left_out'
"""

_MARK = """
with skew as materialized (select $2::timestamptz - clock_timestamp() as ours),
note as (
    select c.connection, c.mapping, c.keys, c.at + skew.ours as at,
           (select coalesce(jsonb_object_agg(n.name, c.at + skew.ours), '{}')
            from connector.capture p, unnest(p.columns) with ordinality n(name, bit)
            where p.id = c.capture and (c.columns >> least(n.bit - 1, 62)::int) & 1 = 1) as changed
    from connector.change c cross join skew where c.id = any($1::bigint[]) and c.op <> 'T' order by c.id
)
insert into connector.work as w (link_id, connection, lane, due_at, noticed_at, app_at, app_changed)
select l.id, l.connection, $3, $2, min(note.at), max(note.at), connector.jsonb_merge(note.changed order by note.at)
from note cross join lateral unnest(note.keys) k(key)
join connector.link l on l.connection = note.connection and l.mapping = note.mapping and l.app_key = k.key
where l.state <> 'left_out'
group by l.id, l.connection
order by l.id
on conflict (link_id) do update set
    generation = w.generation + 1,
    lane = least(w.lane, excluded.lane),
    state = case when w.state = 'retry' then w.state else 'due' end,
    due_at = case when w.state = 'retry' then w.due_at else excluded.due_at end,
    noticed_at = least(w.noticed_at, excluded.noticed_at),
    app_at = greatest(w.app_at, excluded.app_at),
    app_changed = w.app_changed || excluded.app_changed
"""


def dump(value: object) -> str:
    """JSON text for a jsonb parameter. The fast encoder knows no integers beyond 64 bits."""
    try:
        return orjson.dumps(value, default=_listed).decode()
    except orjson.JSONEncodeError:
        return to_json(value).decode()


def _listed(value: object) -> object:
    """A pair is a named tuple."""
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(type(value).__name__)
