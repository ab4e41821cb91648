"""Aliases: which record was merged into which. Kept for good, for an event of the chain may come late or twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from connector.core.model import CrmId, LinkId
from connector.store.db import Connection


async def add(db: Connection, connection: str, name: str, merges: Mapping[CrmId, CrmId], now: datetime) -> None:
    """Notes loser → survivor."""
    await db.execute(
        """insert into connector.alias (connection, object, loser, survivor, at)
           select $1, $2, n.loser, n.survivor, $5 from unnest($3::text[], $4::text[]) n(loser, survivor)
           where n.loser <> n.survivor order by n.loser
           on conflict (connection, object, loser) do update set survivor = excluded.survivor""",
        connection,
        name,
        list(merges),
        list(merges.values()),
        now,
    )


async def survivors(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> Mapping[CrmId, CrmId]:
    """Where each of the records that were merged is now, at the end of its chain."""
    rows = await db.fetch(
        """with recursive chain (first, last, length) as (
               select loser, survivor, 1 from connector.alias
               where connection = $1 and object = $2 and loser = any($3::text[])
               union all
               select c.first, a.survivor, c.length + 1 from chain c
               join connector.alias a on a.connection = $1 and a.object = $2 and a.loser = c.last
               where c.length < 100)
           select * from (select distinct on (first) first, last from chain order by first, length desc) ends
           where first <> last""",
        connection,
        name,
        list(ids),
    )
    return {CrmId(row["first"]): CrmId(row["last"]) for row in rows}


async def awaited(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> Mapping[CrmId, LinkId]:
    """By record, the link of a row that is about to follow to it."""
    rows = await db.fetch(
        """with recursive before (last, loser) as (
               select survivor, loser from connector.alias
               where connection = $1 and object = $2 and survivor = any($3::text[])
               union
               select b.last, a.loser from before b
               join connector.alias a on a.connection = $1 and a.object = $2 and a.survivor = b.loser)
           select distinct on (b.last) b.last, l.id from before b
           join connector.link l on l.connection = $1 and l.object = $2 and l.crm_id = b.loser
           where l.app_key is not null and not l.released
             and (l.state in ('linked', 'frozen')
                  or (l.died = 'crm' and exists (select 1 from connector.work w where w.link_id = l.id)))
           order by b.last, l.id""",
        connection,
        name,
        list(ids),
    )
    return {CrmId(row["last"]): LinkId(row["id"]) for row in rows}
