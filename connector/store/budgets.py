"""What each connection has spent of its CRM's daily budget."""

from __future__ import annotations

from datetime import datetime

from connector.ports import Spending
from connector.store.db import Connection


async def load(db: Connection, connection: str) -> Spending | None:
    """What was spent when it was last noted; None before anything was."""
    row = await db.fetchrow(
        "select day, spent, daily, remaining from connector.budget where connection = $1", connection
    )
    return Spending(row["day"], row["spent"], row["daily"], row["remaining"]) if row is not None else None


async def save(db: Connection, connection: str, spending: Spending, now: datetime) -> None:
    """Notes what is spent until now."""
    await db.execute(
        """insert into connector.budget (connection, day, spent, daily, remaining, at) values ($1, $2, $3, $4, $5, $6)
           on conflict (connection) do update set day = excluded.day, spent = excluded.spent, daily = excluded.daily,
               remaining = excluded.remaining, at = excluded.at""",
        connection,
        spending.day,
        spending.spent,
        spending.limit,
        spending.remaining,
        now,
    )
