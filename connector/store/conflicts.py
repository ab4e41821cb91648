"""Conflicts that a person is to settle: what is open, and what he has chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
from pydantic_core import from_json

from connector.core.model import LinkId, OpenConflict, Side
from connector.store.db import Connection
from connector.store.links import conflict_of
from connector.store.notes import dump

Shown = Mapping[str, str]
"""By line: the mark of the values that a person was shown."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A line of a record about which a person is asked. `crm_url` opens the record in the CRM."""

    link: LinkId
    mapping: str | None
    object: str
    app_key: str | None
    crm_id: str | None
    crm_url: str | None
    line: str
    conflict: OpenConflict


async def asked(db: Connection, connection: str, mapping: str | None = None) -> Sequence[Asked]:
    """All open conflicts of pairs in force, of one mapping or all, the oldest first."""
    rows = await db.fetch(
        """select l.id, l.mapping, l.object, l.app_key, l.crm_id, (c.account -> 'pages' ->> l.object) || l.crm_id as url,
                  o.key as line, o.value as conflict
           from connector.link l join connector.connection c using (connection) cross join lateral jsonb_each(l.conflicts) o
           where l.connection = $1 and l.conflicts <> '{}' and l.state = 'linked' and ($2::text is null or l.mapping = $2)
           order by o.value ->> 'since', l.id, o.key""",
        connection,
        mapping,
    )
    return [_asked(row) for row in rows]


def _asked(row: asyncpg.Record) -> Asked:
    head = (row["id"], row["mapping"], row["object"], row["app_key"], row["crm_id"], row["url"])
    return Asked(*head, row["line"], conflict_of(from_json(row["conflict"])))


async def choose(db: Connection, shown: Mapping[LinkId, Shown], keep: Side) -> Mapping[LinkId, Sequence[str]]:
    """Notes the side that a person keeps, of those conflicts that are still as he was shown them; these, by link."""
    rows = await db.fetch(
        "select id, conflicts from connector.link where id = any($1::bigint[]) order by id for update", sorted(shown)
    )
    chosen: dict[LinkId, list[str]] = {}
    after: dict[LinkId, str] = {}
    for row in rows:
        link, held = LinkId(row["id"]), from_json(row["conflicts"])
        same = [line for line, mark in shown[link].items() if line in held and conflict_of(held[line]).mark == mark]
        if same:
            chosen[link] = same
            after[link] = dump(held | {line: held[line] | {"keep": keep} for line in same})
    await db.execute(
        """update connector.link l set conflicts = n.conflicts
           from unnest($1::bigint[], $2::jsonb[]) n(id, conflicts) where l.id = n.id""",
        list(after),
        list(after.values()),
    )
    return chosen
