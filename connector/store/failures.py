"""Parked records, and those of which a line is held for oscillating: what a person lets go on, one by one or by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.merge import OSCILLATION
from connector.core.model import LinkId
from connector.store.db import Connection


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that waits for a person, or lines of it. `cause` is the code, with what it names."""

    link: LinkId
    mapping: str | None
    object: str
    app_key: str | None
    crm_id: str | None
    cause: str
    since: datetime
    attempts: int
    lines: Sequence[str] = ()
    """Those that are held for oscillating; none of a parked record."""


async def parked(
    db: Connection, connection: str, cause: str | None = None, links: Sequence[int] | None = None
) -> Sequence[Parked]:
    """Those of a connection: of a cause (all of it or its first word), among `links`, or all."""
    rows = await db.fetch(
        """select * from (
               select l.id, l.mapping, l.object, l.app_key, l.crm_id, coalesce(w.cause, 'unknown') as cause, w.noticed_at,
                      w.attempt, '{}'::text[] as lines
               from connector.work w join connector.link l on l.id = w.link_id
               where w.connection = $1 and w.state = 'parked'
               union all
               select l.id, l.mapping, l.object, l.app_key, l.crm_id, $4 || ':' || string_agg(h.key, ',' order by h.key),
                      l.committed_at, 0, array_agg(h.key order by h.key)
               from connector.link l cross join lateral jsonb_each_text(l.held) h
               where l.connection = $1 and l.held <> '{}' and h.value = $4 group by l.id) p
           where ($3::bigint[] is null or id = any($3::bigint[]))
             and ($2::text is null or cause = $2 or split_part(cause, ':', 1) = $2)
           order by id, cause""",
        connection,
        cause,
        list(links) if links is not None else None,
        OSCILLATION,
    )
    names = ("id", "mapping", "object", "app_key", "crm_id", "cause", "noticed_at", "attempt", "lines")
    return [Parked(*(row[name] for name in names)) for row in rows]


async def release(db: Connection, links: Sequence[LinkId]) -> None:
    """Lines that are held for oscillating may be written again."""
    await db.execute(
        """update connector.link l
           set held = (select coalesce(jsonb_object_agg(h.key, h.value), '{}') from jsonb_each(l.held) h
                       where h.value <> to_jsonb($2::text))
           where l.id = any($1::bigint[])""",
        list(links),
        OSCILLATION,
    )
