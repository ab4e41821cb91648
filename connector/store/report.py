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


async def held_values(db: Connection, now: Now) -> Sequence[tuple[str | None, str, int]]:
    """(mapping, cause, values) that could not be converted or were refused."""
    rows = await db.fetch(
        """select l.mapping, h.value as cause, count(*) as n
           from connector.link l cross join lateral jsonb_each_text(l.held) h
           where l.connection = $1 and l.held <> '{}' group by 1, 2""",
        now.connection,
    )
    return [(row["mapping"], row["cause"], row["n"]) for row in rows]


async def tripped(db: Connection, now: Now) -> Sequence[tuple[str, str]]:
    """(mapping, side) of every tripped brake."""
    rows = await db.fetch(
        "select mapping, side from connector.brake where connection = $1 and tripped_at is not null", now.connection
    )
    return [(row["mapping"], row["side"]) for row in rows]


async def unfinished(db: Connection, now: Now) -> Mapping[str, int]:
    """What `wait` waits for: notes not folded, items due or running, waiting (but for a person), backing off, intents."""
    row = await db.fetchrow(
        """with stuck as (
               select w.link_id from connector.work w
               where w.connection = $1 and w.state in ('parked', 'braked'))
           select (select count(*) from connector.change where connection = $1) as changes,
                  (select count(*) from connector.event where connection = $1) as events,
                  (select count(*) from connector.work w where w.connection = $1 and w.state in ('due', 'retry')) as due,
                  (select count(*) from connector.work w where w.connection = $1 and w.state = 'waiting'
                     and (w.waiting_for is null or w.waiting_for not in (select link_id from stuck))) as waiting,
                  (select count(*) from connector.intent where connection = $1) as intents,
                  (select count(*) from connector.request where connection = $1 and state in ('queued', 'running'))
                     as requests""",
        now.connection,
    )
    assert row is not None  # noqa: S101 (an aggregate always answers)
    return {name: int(row[name]) for name in ("changes", "events", "due", "waiting", "intents", "requests")}


async def needs_person(db: Connection, now: Now) -> Mapping[str, int]:
    """What only a person can end."""
    row = await db.fetchrow(
        """select count(*) filter (where state = 'parked') as parked, count(*) filter (where state = 'braked') as braked
           from connector.work where connection = $1""",
        now.connection,
    )
    assert row is not None  # noqa: S101 (an aggregate always answers)
    held = await db.fetchval(
        "select count(*) from connector.link where connection = $1 and held <> '{}'", now.connection
    )
    return {"parked": int(row["parked"]), "braked": int(row["braked"]), "held": int(held)}


def _seconds(value: Any) -> float | None:  # noqa: ANN401
    return float(value) if value is not None else None
