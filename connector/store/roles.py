"""What this database is to a connection, and what it has lost: where it stood, who doubts it, numbers it did not give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from connector.core.identity import Doubt, Lost, Place, Role
from connector.core.model import LinkId
from connector.store.db import Connection

SLICE = 10_000


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a connection stands. `place` None: never noted yet."""

    role: Role
    doubt: Doubt | None
    place: Place | None
    highest_seen: int
    lost: Lost


async def load(db: Connection, connection: str) -> Stand:
    """Where the connection stands."""
    row = await db.fetchrow(
        "select role, doubt, place, highest_seen from connector.connection where connection = $1", connection
    )
    if row is None:
        raise LookupError(connection)
    ranges = await db.fetch(
        "select after, until, at from connector.restore where connection = $1 order by after", connection
    )
    return Stand(
        Role(row["role"]),
        Doubt(row["doubt"]) if row["doubt"] is not None else None,
        Place.parse(row["place"]) if row["place"] is not None else None,
        row["highest_seen"],
        Lost([(r["after"], r["until"]) for r in ranges], next((r["at"] for r in ranges if r["until"] is None), None)),
    )


async def here(db: Connection) -> Place:
    """Which database the session works in."""
    try:
        async with db.transaction():
            system = await db.fetchval("select system_identifier::text from pg_control_system()")
    except (asyncpg.SyntaxOrAccessError, asyncpg.FeatureNotSupportedError):  # some managed services let nobody ask
        system = None
    row = await db.fetchrow(
        """select d.oid::bigint as database, 'connector.connection'::regclass::oid::bigint as table
           from pg_database d where d.datname = current_database()"""
    )
    assert row is not None  # noqa: S101 (the database that we are in)
    return Place(system, row["database"], row["table"])


async def last_intent(db: Connection) -> int:
    """The highest number that this database has given to an intent."""
    return int(await db.fetchval("select coalesce(pg_sequence_last_value('connector.intent_id_seq'), 0)"))


async def note_place(db: Connection, connection: str, place: Place) -> None:
    """Keeps which database this is."""
    await db.execute("update connector.connection set place = $2 where connection = $1", connection, str(place))


async def doubt(db: Connection, connection: str, why: Doubt, now: datetime) -> None:
    """Nothing is sent from now on, until a person has chosen; what was found first stays the reason."""
    await db.execute(
        """update connector.connection set role = 'in_doubt', doubt = $2, doubted_at = $3
           where connection = $1 and role not in ('in_doubt', 'copy')""",
        connection,
        why.value,
        now,
    )


async def fresh(db: Connection, connection: str) -> bool:
    """True while no mapping had its first fetch-all: nothing was ever sent."""
    query = "select not exists (select from connector.mapping where connection = $1 and fetched_all_at is not null)"
    return bool(await db.fetchval(query, connection))


async def skip(db: Connection, connection: str, number: int, now: datetime) -> None:
    """Numbers up to this one were another's; ours go on beyond it."""
    await db.execute(
        "insert into connector.restore (connection, after, until, at) values ($1, $2, $3, $4)",
        connection,
        await last_intent(db),
        number,
        now,
    )
    await db.execute("select setval('connector.intent_id_seq', $1)", number)


async def note_seen(db: Connection, connection: str, number: int) -> None:
    """Keeps the highest intent of the CRM's identities that this database did not give."""
    await db.execute(
        "update connector.connection set highest_seen = greatest(highest_seen, $2) where connection = $1",
        connection,
        number,
    )


async def choose(db: Connection, connection: str, role: Role, place: Place) -> None:
    """What a person said: this is a copy, or the original (which is `returning` first)."""
    await db.execute(
        "update connector.connection set role = $2, doubt = null, place = $3 where connection = $1",
        connection,
        role.value,
        str(place),
    )
    await db.execute(
        "delete from connector.restore where connection = $1 and until is null", connection
    )  # to be taken up anew


async def begin(db: Connection, connection: str, now: datetime) -> None:
    """From now on numbers beyond those that this database gave are another's."""
    await db.execute(
        "insert into connector.restore (connection, after, at) values ($1, $2, $3)",
        connection,
        await last_intent(db),
        now,
    )


async def forget_progress(db: Connection, connection: str) -> None:
    """Everything is to be listed anew, and what a person allowed once is not allowed once more."""
    await db.execute("update connector.brake set allowance = 0 where connection = $1", connection)
    await db.execute(
        """update connector.sweep set cursor = null, keys = null, finished_at = null, due_at = null
           where connection = $1 and kind <> 'recent'""",
        connection,
    )


async def mark_lost(db: Connection, connection: str, after: LinkId, now: datetime) -> LinkId | None:
    """Marks the next links behind `after`; the last of them, None at the end.

    A half may have got its record at any time since it was first noticed, but not one that was noticed when the database
    was in doubt already. Of a row that nobody ever noticed, nobody knows since when it is there.
    """
    last: int | None = await db.fetchval(
        """with next as (select id from connector.link where connection = $1 and id > $2 order by id limit $4),
           found as (
               select l.id, l.crm_id, case when l.crm_id is null and l.first_seen_at >= $3 and w.app_at is null
                                           then 'epoch' else least(l.first_seen_at, w.noticed_at) end as since
               from next join connector.link l using (id) left join connector.work w on w.link_id = l.id
               where l.state in ('open', 'linked', 'frozen', 'excluded', 'left_out') and l.app_key is not null
                 and not l.released),
           marked as (
               update connector.link l set lost_since = f.since
               from found f join connector.connection c on c.connection = $1
               where l.id = f.id and (f.crm_id is not null or f.since <= coalesce(c.doubted_at, 'infinity')))
           select max(id) from next""",
        connection,
        after,
        now,
        SLICE,
    )
    return LinkId(last) if last is not None else None


async def finish(db: Connection, connection: str) -> None:
    """Everything is listed: the numbers of intents go on beyond those that the CRM has shown."""
    seen = await db.fetchval("select highest_seen from connector.connection where connection = $1", connection)
    top = max(int(seen), await last_intent(db))
    if top > 0:
        await db.execute("select setval('connector.intent_id_seq', $1)", top)
    await db.execute("update connector.restore set until = $2 where connection = $1 and until is null", connection, top)
    await db.execute(
        "update connector.connection set role = 'original', doubted_at = null where connection = $1", connection
    )


async def marked(db: Connection, connection: str) -> int:
    """How many links are not paired again yet."""
    return int(
        await db.fetchval(
            "select count(*) from connector.link where connection = $1 and lost_since is not null", connection
        )
    )


async def ranges(db: Connection, connection: str) -> Sequence[tuple[int, int | None, datetime]]:
    """(after, until, at) of every restore and copy, the oldest first."""
    rows = await db.fetch(
        "select after, until, at from connector.restore where connection = $1 order by at", connection
    )
    return [(row["after"], row["until"], row["at"]) for row in rows]
