"""Read-only questions of operators: how much work, what is parked, held, tripped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.store.db import Connection


@dataclass(frozen=True, slots=True)
class Now:
    """Which connection, and when."""

    connection: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WorkCount:
    """So many items of a lane are in a state; `oldest` is the age in seconds of the oldest that is due."""

    lane: str
    state: str
    count: int
    oldest: float | None


LANES = ("manual", "live", "sweep", "fetch_all")


async def work_items(db: Connection, now: Now) -> Sequence[WorkCount]:
    """Work by lane and state; what is claimed counts as running."""
    rows = await db.fetch(
        """select lane, case when claimed_by is not null and state = 'due' then 'running' else state end as shown,
                  count(*) as n,
                  max(extract(epoch from $2 - due_at)) filter (where state in ('due', 'retry') and due_at <= $2) as oldest
           from connector.work where connection = $1 group by 1, 2""",
        now.connection,
        now.at,
    )
    return [WorkCount(LANES[r["lane"]], r["shown"], r["n"], _seconds(r["oldest"])) for r in rows]


async def parked(db: Connection, now: Now) -> Sequence[tuple[str | None, str, int]]:
    """(mapping, cause, records) of what needs a person."""
    rows = await db.fetch(
        """select l.mapping, coalesce(split_part(w.cause, ':', 1), 'unknown') as cause, count(*) as n
           from connector.work w join connector.link l on l.id = w.link_id
           where w.connection = $1 and w.state = 'parked' group by 1, 2""",
        now.connection,
    )
    return [(row["mapping"], row["cause"], row["n"]) for row in rows]


async def waiting(db: Connection, now: Now) -> Sequence[tuple[str | None, str, int]]:
    """(mapping, cause, records) of what waits for something or backs off."""
    rows = await db.fetch(
        """select l.mapping, coalesce(split_part(w.cause, ':', 1), 'unknown') as cause, count(*) as n
           from connector.work w join connector.link l on l.id = w.link_id
           where w.connection = $1 and w.state in ('waiting', 'retry') group by 1, 2 order by 1, 2""",
        now.connection,
    )
    return [(row["mapping"], row["cause"], row["n"]) for row in rows]


async def held_values(db: Connection, now: Now) -> Sequence[tuple[str | None, str, int]]:
    """(mapping, cause, values) that could not be converted or were refused."""
    rows = await db.fetch(
        """select l.mapping, h.value as cause, count(*) as n
           from connector.link l cross join lateral jsonb_each_text(l.held) h
           where l.connection = $1 and l.held <> '{}' group by 1, 2""",
        now.connection,
    )
    return [(row["mapping"], row["cause"], row["n"]) for row in rows]


_STUCK = """
with recursive stuck as (
    select w.link_id from connector.work w where w.connection = $1
      and (w.state in ('parked', 'braked')
           or (w.state = 'waiting'
               and w.cause in ('first_fetch_all', 'parent_unavailable', 'quarantined', 'observe', 'database'))
           or (w.state = 'waiting' and w.cause = 'first_listing' and not exists (
               select 1 from connector.sweep s join connector.link l on l.id = w.link_id
               where s.connection = w.connection and s.object = l.object and s.kind = 'full')))
    union
    select w.link_id from connector.work w join stuck s on w.waiting_for = s.link_id
    where w.connection = $1 and w.state = 'waiting')
"""
"""What needs a person, and what waits for it, at any distance. A first listing is asked for, a later one comes by itself."""


async def unfinished(db: Connection, now: Now) -> Mapping[str, int]:
    """What `wait` waits for: notes not folded, items due or running, waiting (but for a person), backing off, intents."""
    row = await db.fetchrow(
        f"""{_STUCK}
           select (select count(*) from connector.change where connection = $1) as changes,
                  (select count(*) from connector.event where connection = $1) as events,
                  (select count(*) from connector.work w where w.connection = $1 and w.state in ('due', 'retry')) as due,
                  (select count(*) from connector.work w where w.connection = $1 and w.state = 'waiting'
                     and w.link_id not in (select link_id from stuck)) as waiting,
                  (select count(*) from connector.intent i where i.connection = $1
                     and i.link_id not in (select link_id from stuck)) as intents,
                  (select count(*) from connector.request where connection = $1 and state in ('queued', 'running'))
                     as requests""",
        now.connection,
    )
    assert row is not None  # noqa: S101 (an aggregate always answers)
    return {name: int(row[name]) for name in ("changes", "events", "due", "waiting", "intents", "requests")}


async def needs_person(db: Connection, now: Now) -> Mapping[str, int]:
    """What only a person can end, and what waits for that: unfetched mappings count as waiting."""
    row = await db.fetchrow(
        f"""{_STUCK}
            select count(*) filter (where state = 'parked') as parked, count(*) filter (where state = 'braked') as braked,
                   count(*) filter (where state = 'waiting') as waiting
            from connector.work where link_id in (select link_id from stuck)""",
        now.connection,
    )
    assert row is not None  # noqa: S101 (an aggregate always answers)
    held = await db.fetchval(
        "select count(*) from connector.link where connection = $1 and held <> '{}'", now.connection
    )
    aside = len(await quarantined(db, now))
    return {name: int(row[name]) for name in ("parked", "braked", "waiting")} | {
        "held": int(held),
        "quarantined": aside,
    }


async def quarantined(db: Connection, now: Now) -> Sequence[tuple[str, str, str]]:
    """(mapping, line, why) of the lines that are set aside because one side's schema moved."""
    rows = await db.fetch(
        """select m.key as mapping, l.key as line, l.value ->> 'aside' as why
           from connector.connection c, jsonb_each(c.pins -> 'lines') m, jsonb_each(m.value) l
           where c.connection = $1 and l.value ->> 'aside' is not null order by 1, 2""",
        now.connection,
    )
    return [(row["mapping"], row["line"], row["why"]) for row in rows]


async def loading(db: Connection, now: Now) -> int:
    """What a fetch-all that ended at `now` left to do: its own items and older ones.

    But for those that need a person, be it that he resumes what he has paused.
    """
    return int(
        await db.fetchval(
            f"""{_STUCK}
                select count(*) from connector.work
                where connection = $1 and (lane = $2 or noticed_at <= $3) and link_id not in (select link_id from stuck)
                  and not (state = 'waiting' and cause in ('paused', 'sends_paused'))""",
            now.connection,
            LANES.index("fetch_all"),
            now.at,
        )
    )


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """One connection for an operator's eyes. `owner` is the process that has it in hand, None when nobody has."""

    connection: str
    crm: str
    state: str
    reason: str | None
    advice: str | None
    paused: bool
    sends_paused: bool
    owner: str | None
    company: str | None
    user: str | None
    url: str | None
    directory: str | None
    applied_at: datetime | None
    webhook_at: datetime | None
    webhook_trouble: str | None


async def connection_states(db: Connection, at: datetime) -> Sequence[ConnectionState]:
    """All connections by name."""
    rows = await db.fetch(
        """select c.connection, c.crm, c.state, c.reason, c.advice, c.paused, c.sends_paused,
                  case when l.expires_at > $1 then l.owner end as owner, c.account ->> 'company' as company,
                  c.account ->> 'user' as user, c.account ->> 'url' as url, s.directory, s.applied_at,
                  c.last_webhook_at as webhook_at, c.webhook_trouble
           from connector.connection c left join connector.lease l using (connection)
           left join connector.set s using (connection) order by c.connection""",
        at,
    )
    return [ConnectionState(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class MappingState:
    """One mapping with its links; the frozen ones left its filter. `fetched_all_at` None: it only receives until then.

    `blocked`: why nothing of it is worked on for now. `left_at`: since when it is not in the set any more.
    """

    mapping: str
    object: str
    table: str
    linked: int
    links: int
    frozen: int
    fetched_all_at: datetime | None
    paused: bool
    blocked: str | None
    left_at: datetime | None


async def mapping_states(db: Connection, now: Now) -> Sequence[MappingState]:
    """The mappings of a connection with the numbers of their links."""
    rows = await db.fetch(
        """select m.mapping, m.object, m.table_schema || '.' || m.table_name as table,
                  count(l.id) filter (where l.state = 'linked') as linked, count(l.id) as links,
                  count(l.id) filter (where l.state = 'frozen') as frozen, m.fetched_all_at, m.paused, m.blocked,
                  m.left_at
           from connector.mapping m
           left join connector.link l on l.connection = m.connection and l.mapping = m.mapping
           where m.connection = $1 group by m.connection, m.mapping order by m.mapping""",
        now.connection,
    )
    return [MappingState(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Braked:
    """So many records of a mapping for which the brake stops an effect on a side, in one line where it is a line's.

    `links`, `keys`, `crm_ids`: of the first ten; a half has only one of the last two, and a text that is a key is not told.
    """

    mapping: str | None
    object: str
    side: str
    effect: str
    line: str | None
    records: int
    since: datetime
    links: Sequence[int]
    keys: Sequence[str]
    crm_ids: Sequence[str]


async def braked(db: Connection, now: Now) -> Sequence[Braked]:
    """What the brake stops; a record that is stopped in two lines is in both counts."""
    rows = await db.fetch(
        """select l.mapping, l.object, split_part(b.what, '_', 1) as side, split_part(b.what, '_', 2) as effect, b.line,
                  count(*)::int as records, min(w.braked_at) as since, (array_agg(l.id order by l.id))[1:10] as links,
                  (array_agg(l.app_key order by l.id) filter (where l.app_key ~ '^[0-9a-f-]{1,36}$'))[1:10] as keys,
                  (array_agg(l.crm_id order by l.id) filter (where l.crm_id is not null))[1:10] as crm_ids
           from connector.work w join connector.link l on l.id = w.link_id
           cross join lateral (select split_part(word, ' ', 1) as what, substr(word, strpos(word || ' ', ' ') + 1) as line
                               from unnest(w.braked) word) b
           where w.connection = $1 and w.braked <> '{}' group by 1, 2, 3, 4, 5 order by 1, 3, 4, 5""",
        now.connection,
    )
    names = ("mapping", "object", "side", "effect", "records", "since", "links")
    return [
        Braked(
            **{name: r[name] for name in names},
            line=r["line"] or None,
            keys=r["keys"] or (),
            crm_ids=r["crm_ids"] or (),
        )
        for r in rows
    ]


def _seconds(value: Any) -> float | None:  # noqa: ANN401
    return float(value) if value is not None else None
