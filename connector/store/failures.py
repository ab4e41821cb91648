"""Parked records: what needs a person, one by one or by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.model import LinkId
from connector.store.db import Connection


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that waits for a person. `cause` is the code, with what it names."""

    link: LinkId
    mapping: str | None
    object: str
    app_key: str | None
    crm_id: str | None
    cause: str
    since: datetime
    attempts: int


async def parked(
    db: Connection, connection: str, cause: str | None = None, links: Sequence[int] | None = None
) -> Sequence[Parked]:
    """The parked records of a connection: those of a cause (all of it or its first word), among `links`, or all."""
    rows = await db.fetch(
        """select l.id, l.mapping, l.object, l.app_key, l.crm_id, coalesce(w.cause, 'unknown') as cause, w.noticed_at,
                  w.attempt
           from connector.work w join connector.link l on l.id = w.link_id
           where w.connection = $1 and w.state = 'parked' and ($3::bigint[] is null or l.id = any($3::bigint[]))
             and ($2::text is null or coalesce(w.cause, 'unknown') = $2 or split_part(w.cause, ':', 1) = $2)
           order by l.id""",
        connection,
        cause,
        list(links) if links is not None else None,
    )
    names = ("id", "mapping", "object", "app_key", "crm_id", "cause", "noticed_at", "attempt")
    return [Parked(*(row[name] for name in names)) for row in rows]
