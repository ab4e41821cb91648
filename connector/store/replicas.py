"""Which daemons live, which connections each could work on, and who owns what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.core.rota import Replica
from connector.store.db import LAZY, Connection

ALIVE = timedelta(seconds=5)
"""Who has not been seen for so long takes nothing over: less than a lease, so that none is kept for the dead."""
FORGOTTEN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Roll:
    """The living replicas, and the connections with the owner of each that has one."""

    replicas: Sequence[Replica]
    owners: Mapping[str, str]


_CALL = f"""
with lazy as materialized (select {LAZY}),
me as (insert into connector.replica as r (owner, connections, began_at, seen_at)
       select $1, $2, $3, $4 from lazy
       on conflict (owner) do update set seen_at = excluded.seen_at, connections = excluded.connections),
gone as (delete from connector.replica where seen_at < $6 and owner <> $1)
select owner, connections, began_at, null as connection from connector.replica where seen_at > $5 and owner <> $1
union all select $1, $2, $3, null
union all select owner, null, null, connection from connector.lease where expires_at > $4
"""


async def call(db: Connection, owner: str, connections: Sequence[str], began: datetime, now: datetime) -> Roll:
    """Says that this replica lives; who else does, and who owns what."""
    rows = await db.fetch(_CALL, owner, list(connections), began, now, now - ALIVE, now - FORGOTTEN)
    owners = {row["connection"]: row["owner"] for row in rows if row["connection"] is not None}
    owns = Counter(owners.values())
    living = [
        Replica(r["owner"], frozenset(r["connections"]), r["began_at"], owns[r["owner"]])
        for r in rows
        if r["connection"] is None
    ]
    return Roll(living, owners)


async def leave(db: Connection, owner: str) -> None:
    """This replica takes nothing more."""
    await db.execute("delete from connector.replica where owner = $1", owner)
