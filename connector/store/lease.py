"""Who owns a connection. One row, one epoch that only grows; the epoch fences every state write."""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.store.db import Connection, Fence

TERM = timedelta(seconds=8.5)
"""How long a lease lives without renewal: a dead owner is replaced within this and one attempt's interval.

Longer than a write may take (`ports.WRITE_SECONDS`) and than two renewals are apart, together.
"""


async def acquire(db: Connection, connection: str, owner: str, now: datetime) -> Fence | None:
    """The lease with a new epoch, or None while another owner's has not expired.

    An owner that lost touch with the database takes up its own at once. While a transaction of the last owner is open, as
    when its process was stopped in the middle, nobody gets it and nobody waits: the server ends one that does nothing.
    """
    epoch = await db.fetchval(
        """with free as (select from connector.lease
                         where connection = $1 and (expires_at < $4 or owner = $2) for update skip locked),
           taken as (update connector.lease l set epoch = l.epoch + 1, owner = $2, expires_at = $3 from free
                     where l.connection = $1 returning l.epoch),
           made as (insert into connector.lease as l (connection, epoch, owner, expires_at) values ($1, 1, $2, $3)
                    on conflict do nothing returning l.epoch)
           select epoch from taken union all select epoch from made""",
        connection,
        owner,
        now + TERM,
        now,
    )
    return Fence(connection, epoch) if epoch is not None else None


async def renew(db: Connection, fence: Fence, now: datetime, until: datetime) -> bool:
    """Extends the lease; False when somebody else has it, or the database has forgotten that it ran `until` then."""
    done = await db.execute(
        "update connector.lease set expires_at = $3 where connection = $1 and epoch = $2 and expires_at >= $4",
        fence.connection,
        fence.epoch,
        now + TERM,
        until - TERM,
    )
    return bool(done == "UPDATE 1")


async def went_back(db: Connection, fence: Fence, until: datetime) -> bool:
    """True when the database has forgotten a lease that ran `until` then.

    A standby that takes over may lack the last moments; so much is no restore.
    """
    row = await db.fetchrow("select epoch, expires_at from connector.lease where connection = $1", fence.connection)
    return row is None or (row["epoch"], row["expires_at"]) < (fence.epoch, until - TERM)


async def release(db: Connection, fence: Fence, until: datetime) -> None:
    """Ends the lease at once, so that another owner need not wait; not one that the database has forgotten."""
    await db.execute(
        "update connector.lease set expires_at = 'epoch' where connection = $1 and epoch = $2 and expires_at >= $3",
        fence.connection,
        fence.epoch,
        until - TERM,
    )


async def owned(db: Connection, connection: str, now: datetime) -> bool:
    """True while some process holds the lease."""
    return bool(await db.fetchval("select expires_at > $2 from connector.lease where connection = $1", connection, now))
