"""Held references: which links went on without a parent, and who they are once that parent is linked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from connector.core.merge import Parent
from connector.core.model import LinkId
from connector.store.db import Connection


async def replace(db: Connection, held: Mapping[LinkId, Iterable[Parent]]) -> None:
    """Makes the given links miss exactly these parents."""
    rows = sorted({(link, p.mapping, p.side.value, p.key) for link, parents in held.items() for p in parents})
    await db.execute("delete from connector.reference where link_id = any($1::bigint[])", sorted(held))
    await db.executemany("insert into connector.reference (link_id, mapping, side, key) values ($1, $2, $3, $4)", rows)


async def children(db: Connection, connection: str, parents: Sequence[LinkId]) -> Sequence[LinkId]:
    """The links of the connection that went on without one of these."""
    rows = await db.fetch(
        """select distinct r.link_id from connector.link l
           join connector.reference r on r.mapping = l.mapping
             and ((r.side = 'app' and r.key = l.app_key) or (r.side = 'crm' and r.key = l.crm_id))
           join connector.link c on c.id = r.link_id and c.connection = l.connection
           where l.id = any($1::bigint[]) and l.connection = $2 order by 1""",
        list(parents),
        connection,
    )
    return [LinkId(row["link_id"]) for row in rows]


async def overtaken(db: Connection, connection: str, seen: Mapping[LinkId, datetime]) -> Sequence[LinkId]:
    """Which of these links miss a parent whose own link was committed since they looked at it.

    Not each other: of links that refer in a circle none would ever come to rest.
    """
    rows = await db.fetch(
        """select distinct r.link_id from unnest($2::bigint[], $3::timestamptz[]) n(id, seen)
           join connector.reference r on r.link_id = n.id
           join connector.link l on l.connection = $1 and l.mapping = r.mapping
             and ((r.side = 'app' and r.key = l.app_key) or (r.side = 'crm' and r.key = l.crm_id))
           where l.committed_at >= n.seen and l.id <> all($2::bigint[]) order by 1""",
        connection,
        list(seen),
        list(seen.values()),
    )
    return [LinkId(row["link_id"]) for row in rows]
