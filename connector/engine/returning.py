"""Returning: what a person chose is carried out. Everything that another database may have written is paired again.

Whatever he chose, the numbers that the other one gave are noted: the rows that they name are that one's. For the original
every link that may have been written since is marked: what was agreed on then is still its base, but a value of the app no
longer overwrites what the CRM has of later (`core.merge`), and for a row without a record it is looked among those that the
lost time has made. It sends again once everything is listed anew; a copy never does.
"""

from __future__ import annotations

import structlog

from connector.core.identity import Role
from connector.core.model import Lane, LinkId
from connector.engine.context import Context
from connector.engine.gates import open_gates
from connector.engine.sweeps.sweeper import Sweeper
from connector.store import notes, roles, sweeps

log = structlog.get_logger()
LOOK = 0.25


class Return:
    """Carries out what a person chose, step by step; each may be done again by the next owner."""

    def __init__(self, context: Context, sweeper: Sweeper) -> None:
        self.context, self.sweeper = context, sweeper
        self._noted: int | None = None

    async def run(self) -> None:
        """Waits for a choice until cancelled."""
        while True:
            await self.step()
            await self.context.clock.sleep(LOOK)

    async def step(self) -> None:
        """What is to be done next of a choice."""
        gates = self.context.gates
        if gates.role in (Role.RETURNING, Role.COPY) and gates.lost.opened_at is None:
            await self._begin()
        elif gates.role is Role.RETURNING and await self._listed():
            await self._finish()

    async def _begin(self) -> None:
        """The numbers that another gave are noted; for the original also all that they may have been given for."""
        context, returns = self.context, self.context.gates.role is Role.RETURNING
        if returns:
            if not await self._folded():
                return
            await self._mark()
        async with context.change() as db:
            await roles.begin(db, context.name, context.clock.now())
            if returns:
                await roles.forget_progress(db, context.name)
                context.gates.listed.clear()
        await self._turn()
        log.info("database.chosen", connection=context.name, role=context.gates.role)

    async def _mark(self) -> None:
        """Marks every link that may have been written for. Rows that no note tells of must have links before."""
        context, began = self.context, self.context.clock.now()
        for name in context.rules.objects:
            await self.sweeper.rows(name, Lane.SWEEP)
        after: LinkId | None = LinkId(0)
        while after is not None:
            async with context.change() as db:
                after = await roles.mark_lost(db, context.name, after, began)

    async def _folded(self) -> bool:
        """True once every row is met that was noted when the choice was heard."""
        async with self.context.database.session() as db:
            if self._noted is None:
                self._noted = await notes.last_change(db, self.context.name)
            return not await notes.unfolded_until(db, self.context.name, self._noted)

    async def _turn(self) -> None:
        self.context.gates.turns += 1
        await open_gates(self.context)

    async def _listed(self) -> bool:
        """True once every object that had been listed before is listed anew."""
        async with self.context.database.session() as db:
            known = await sweeps.load(db, self.context.name)
        return all(self.context.listed(name) for name in self.context.rules.objects if (name, "full") in known)

    async def _finish(self) -> None:
        context = self.context
        async with context.change() as db:
            await roles.finish(db, context.name)
            context.known_intent = await roles.last_intent(db)
        self._noted = None
        await self._turn()
        log.info("database.returned", connection=context.name)
