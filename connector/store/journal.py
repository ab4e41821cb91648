"""The journal: what was applied, old and new, why, and whose value gave way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic_core import from_json

from connector.core.merge import Reason
from connector.core.model import AppKey, CrmId, Json, LinkId, Side
from connector.core.oscillation import Past
from connector.store.db import Connection
from connector.store.notes import dump

RELEASE: Final = "release"
"""The action of a person who lets an oscillation go on."""


@dataclass(slots=True)
class Entry:
    """One write to one side of one record. `lines`: line → {old, new, reason, loser?}."""

    link_id: LinkId
    object: str
    mapping: str | None
    app_key: AppKey | None
    crm_id: CrmId | None
    side: Side
    action: str
    cause: str
    reason: str
    lines: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)


async def append(db: Connection, connection: str, entries: Sequence[Entry], now: datetime) -> None:
    """Adds entries."""
    await db.execute(
        """insert into connector.journal
               (connection, at, link_id, object, mapping, app_key, crm_id, side, action, cause, reason, lines)
           select $1, $2, n.* from json_to_recordset($3::json) n(link_id bigint, object text, mapping text, app_key text,
                crm_id text, side text, action text, cause text, reason text, lines json)""",
        connection,
        now,
        dump(entries),
    )


async def writes(
    db: Connection, connection: str, rows: Sequence[tuple[str, str]], since: datetime
) -> Mapping[tuple[LinkId, str], Sequence[Past]]:
    """By link and line: what was written to rows (mapping, key) and their records, oldest first.

    Not what was written before a person let an oscillation go on.
    """
    found: dict[tuple[LinkId, str], list[Past]] = {}
    entries = await db.fetch(
        """select j.link_id, j.side, j.action, j.lines
           from unnest($2::text[], $3::text[]) n(mapping, app_key)
           join connector.journal j on j.connection = $1 and j.mapping = n.mapping and j.app_key = n.app_key
           where j.at >= $4 and j.action in ('update', $5) order by j.id""",
        connection,
        [mapping for mapping, _ in rows],
        [key for _, key in rows],
        since,
        RELEASE,
    )
    for entry in entries:
        for line, one in from_json(entry["lines"]).items():
            past = found.setdefault((LinkId(entry["link_id"]), line), [])
            if entry["action"] == RELEASE:
                past.clear()
            else:
                past.append(Past(Side(entry["side"]), one["old"], one["new"], one["reason"] == Reason.DRIFT_UNDONE))
    return found


async def make_partitions(db: Connection, now: datetime) -> None:
    """Makes the partitions of this month and the next, unless the default partition already holds such rows."""
    for months in (0, 1):
        year, month = divmod(now.year * 12 + now.month - 1 + months, 12)
        end_year, end_month = divmod(now.year * 12 + now.month + months, 12)
        name = f"journal_{year:04d}_{month + 1:02d}"
        if not await db.fetchval("select to_regclass($1) is not null", f"connector.{name}"):
            await db.execute(
                f"create table connector.{name} partition of connector.journal "
                f"for values from ('{year:04d}-{month + 1:02d}-01') to ('{end_year:04d}-{end_month + 1:02d}-01')"
            )
