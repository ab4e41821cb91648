"""Watching records that a person has made due, until it is known what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.app.commands import Desk
from connector.core.model import LinkId
from connector.store import records

SETTLES = 60.0
"""Seconds that records are watched."""
LOOK = 0.05


async def settled(desk: Desk, links: Sequence[LinkId]) -> Mapping[str, int]:
    """Records by what became of them, once none of them is due any more, or after a minute."""
    end = desk.clock.monotonic() + SETTLES
    while True:
        async with desk.database.session() as db:
            found = await records.outcomes(db, links)
        if not found.get("due") or desk.clock.monotonic() > end:
            return found
        await desk.clock.sleep(LOOK)
