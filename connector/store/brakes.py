"""The brake's memory: what was done in the sliding hour, what it stops, what a person allowed.

It is tripped while it stops something; what dissolves because it was undone where it was done un-trips it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.store.db import Connection

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Count:
    """So many records of a mapping had this effect on a side."""

    mapping: str
    side: str
    effect: str
    records: int


async def counts(db: Connection, connection: str, now: datetime) -> Sequence[Count]:
    """What was counted in the last hour."""
    rows = await db.fetch(
        """select mapping, side, effect, sum(records)::int as n from connector.brake_count
           where connection = $1 and at > $2 group by 1, 2, 3""",
        connection,
        now - HOUR,
    )
    return [Count(row["mapping"], row["side"], row["effect"], row["n"]) for row in rows]


async def add(db: Connection, connection: str, found: Sequence[Count], now: datetime) -> None:
    """Counts what is being done; forgets what is older than the hour."""
    await db.executemany(
        "insert into connector.brake_count (connection, mapping, side, effect, at, records) values ($1,$2,$3,$4,$5,$6)",
        [(connection, c.mapping, c.side, c.effect, now, c.records) for c in found],
    )
    await db.execute("delete from connector.brake_count where connection = $1 and at < $2", connection, now - HOUR)


@dataclass(frozen=True, slots=True)
class Tripped:
    """The brake stops this effect on a side of a mapping: on so many records, since then."""

    mapping: str
    side: str
    effect: str
    since: datetime
    records: int


async def tripped(db: Connection, connection: str) -> Sequence[Tripped]:
    """Every tripped brake."""
    rows = await db.fetch(
        """select coalesce(l.mapping, '') as mapping, split_part(split_part(b.word, ' ', 1), '_', 1) as side,
                  split_part(split_part(b.word, ' ', 1), '_', 2) as effect, min(w.braked_at) as since,
                  count(distinct w.link_id)::int as records
           from connector.work w join connector.link l on l.id = w.link_id cross join lateral unnest(w.braked) b(word)
           where w.connection = $1 and w.braked <> '{}' group by 1, 2, 3 order by 1, 2, 3""",
        connection,
    )
    return [Tripped(**row) for row in rows]


async def allowances(db: Connection, connection: str) -> dict[tuple[str, str], int]:
    """(mapping, side) → records beyond the limits that a person confirmed in `fetch-all`."""
    rows = await db.fetch("select mapping, side, allowance from connector.brake where connection = $1", connection)
    return {(row["mapping"], row["side"]): row["allowance"] for row in rows}


async def allow(db: Connection, connection: str, mapping: str, side: str, records: int) -> None:
    """Adds to (or, negative, takes from) what a person confirmed in `fetch-all`."""
    await db.execute(
        """insert into connector.brake as b (connection, mapping, side, allowance) values ($1, $2, $3, greatest($4, 0))
           on conflict (connection, mapping, side) do update set allowance = greatest(b.allowance + $4, 0)""",
        connection,
        mapping,
        side,
        records,
    )


async def release(db: Connection, connection: str, mapping: str | None, now: datetime) -> int:
    """Lets everything that is stopped now go on, and nothing beyond it; the number of records.

    One in other hands, which may be stopped again at this moment, is looked at once more.
    """
    done = await db.execute(
        """update connector.work w set released = w.braked, braked = '{}', braked_at = null, generation = w.generation + 1,
               state = case when w.state = 'braked' then 'due' else w.state end,
               due_at = case when w.state = 'braked' then $3 else w.due_at end,
               cause = case when w.state = 'braked' then null else w.cause end
           from connector.link l
           where l.id = w.link_id and w.connection = $1 and w.braked <> '{}' and ($2::text is null or l.mapping = $2)""",
        connection,
        mapping,
        now,
    )
    return int(done.split()[-1])


async def linked(db: Connection, connection: str) -> dict[str, int]:
    """Mapping → its links with both sides."""
    rows = await db.fetch(
        """select mapping, count(*) as n from connector.link
           where connection = $1 and state = 'linked' and mapping is not null group by mapping""",
        connection,
    )
    return {row["mapping"]: row["n"] for row in rows}
