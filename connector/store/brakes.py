"""The brake's memory: what was done in the sliding hour, what is tripped, what a person allowed."""

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


async def trip(db: Connection, connection: str, mapping: str, side: str, now: datetime) -> None:
    """Stops destructive work of a mapping on one side until a person releases it."""
    await db.execute(
        """insert into connector.brake (connection, mapping, side, tripped_at) values ($1, $2, $3, $4)
           on conflict (connection, mapping, side)
           do update set tripped_at = coalesce(connector.brake.tripped_at, excluded.tripped_at)""",
        connection,
        mapping,
        side,
        now,
    )


async def tripped(db: Connection, connection: str) -> Sequence[tuple[str, str, datetime]]:
    """(mapping, side, since) of every tripped brake."""
    rows = await db.fetch(
        """select mapping, side, tripped_at from connector.brake
           where connection = $1 and tripped_at is not null order by 1, 2""",
        connection,
    )
    return [(row["mapping"], row["side"], row["tripped_at"]) for row in rows]


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
    """Lets everything that is stopped now go on, and nothing beyond it; the number of records."""
    done = await db.execute(
        """update connector.work w set state = 'due', due_at = $3, cause = null,
               released = string_to_array(replace(w.cause, 'brake:', ''), ',')
           from connector.link l
           where l.id = w.link_id and w.connection = $1 and w.state = 'braked' and ($2::text is null or l.mapping = $2)""",
        connection,
        mapping,
        now,
    )
    await db.execute(
        """update connector.brake set tripped_at = null
           where connection = $1 and ($2::text is null or mapping = $2) and tripped_at is not null""",
        connection,
        mapping,
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
