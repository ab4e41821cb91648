"""One record as the state knows it: its link with its cause, and the work there is for it. Reads only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.model import LinkId
from connector.store.db import Connection
from connector.store.work import Item, item_of


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the work of a link stands. `blocked_by` is (mapping, app key, CRM id) of the record it waits for."""

    item: Item
    state: str
    cause: str | None
    due_at: datetime
    blocked_by: tuple[str | None, str | None, str | None] | None


@dataclass(frozen=True, slots=True)
class Known:
    """What a link says beside its base. `held`: line → cause of the values that could not move."""

    state: str
    cause: str | None
    held: Mapping[str, str]
    synced_at: datetime | None


async def known(db: Connection, link: LinkId) -> Known | None:
    """The link's own words."""
    row = await db.fetchrow("select state, cause, held, committed_at from connector.link where id = $1", link)
    return Known(row["state"], row["cause"], json.loads(row["held"]), row["committed_at"]) if row is not None else None


async def standing(db: Connection, link: LinkId) -> Standing | None:
    """The link's work; None when there is none."""
    row = await db.fetchrow(
        """select w.*, p.mapping as parent_mapping, p.app_key as parent_key, p.crm_id as parent_id
           from connector.work w left join connector.link p on p.id = w.waiting_for where w.link_id = $1""",
        link,
    )
    if row is None:
        return None
    running = row["claimed_by"] is not None and row["state"] == "due"
    return Standing(
        item_of(row),
        "running" if running else row["state"],
        row["cause"],
        row["due_at"],
        (row["parent_mapping"], row["parent_key"], row["parent_id"]) if row["waiting_for"] is not None else None,
    )


async def outcomes(db: Connection, links: Sequence[LinkId]) -> Mapping[str, int]:
    """Links by what became of their work: done, or the state and cause in which they are."""
    rows = await db.fetch(
        """select case when w.link_id is null then 'done' when w.state = 'due' then 'due'
                       else w.state || coalesce(' (' || w.cause || ')', '') end as outcome, count(*) as n
           from unnest($1::bigint[]) i(id) left join connector.work w on w.link_id = i.id group by 1 order by 1""",
        list(links),
    )
    return {row["outcome"]: row["n"] for row in rows}
