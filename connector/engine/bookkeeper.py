"""Bookkeeper: notes every second what was spent of the CRM's daily budget, so that a restart goes on from there."""

from __future__ import annotations

from connector.engine.context import Context
from connector.ports import Spending
from connector.store import budgets

EVERY = 1.0


class Bookkeeper:
    """Notes the spending of one connection."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._noted: Spending | None = None

    async def run(self) -> None:
        """Notes until cancelled, and what is spent by then."""
        while True:
            await self.note()
            await self.context.clock.sleep(EVERY)

    async def note(self) -> None:
        """Notes what is not noted yet."""
        spending = self.context.crm.spending()
        if spending is None or spending == self._noted:
            return
        async with self.context.database.transaction(self.context.fence) as db:
            await budgets.save(db, self.context.name, spending, self.context.clock.now())
        self._noted = spending
