"""The journal: what was applied, old and new, why, and whose value gave way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydantic_core import from_json

from connector.core.merge import Reason
from connector.core.model import AppKey, CrmId, Json, LinkId, Side
from connector.core.oscillation import Past
from connector.store.db import Connection
from connector.store.notes import dump

RELEASE: Final = "release"
"""The action of a person who lets an oscillation go on."""
PARTITION_LOCK: Final = 0x6A6F7572


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
    """Makes the partitions of this month and the next, unless another owner is at it or such rows are in the default one.

    asyncpg.LockNotAvailableError when the journal is in use for longer than a second: the default one takes its rows.
    """
    if not await db.fetchval("select pg_try_advisory_xact_lock($1)", PARTITION_LOCK):
        return
    await db.execute("set local lock_timeout = '1s'")
    for months in (0, 1):
        begins, ends = _month(now, months), _month(now, months + 1)
        name = f"journal_{begins:%Y_%m}"
        there = await db.fetchval(
            """select to_regclass($1) is not null
                   or exists (select from connector.journal_default where at >= $2 and at < $3)""",
            f"connector.{name}",
            begins,
            ends,
        )
        if not there:
            await db.execute(
                f"create table connector.{name} partition of connector.journal "
                f"for values from ('{begins:%Y-%m-%d}') to ('{ends:%Y-%m-%d}')"
            )


def _month(now: datetime, later: int) -> datetime:
    """The beginning of a month, so many months later."""
    year, month = divmod(now.year * 12 + now.month - 1 + later, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)
