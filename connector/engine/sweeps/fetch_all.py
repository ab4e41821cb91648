"""Fetch-all: the first load and full resync. Lists all of an object, matches first, then makes what is missing.

Until a mapping's first fetch-all nothing of it is sent; until an object's first listing is complete nothing of it is
created. Stopped at any point, it resumes where it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from connector.core.model import Lane
from connector.engine.context import Context
from connector.engine.sweeps.sweeper import Sweeper
from connector.store import connections, sweeps, work
from connector.store.sweeps import Sweep

Report = Callable[[Mapping[str, object]], Awaitable[None]]


class FetchAll:
    """Fetch-all of one connection."""

    def __init__(self, context: Context, sweeper: Sweeper) -> None:
        self.context, self.sweeper = context, sweeper

    async def run(self, mappings: Sequence[str], report: Report) -> None:
        """Loads the given mappings (none: all), parents before children."""
        wanted = set(mappings) or set(self.context.rules.bound.mappings)
        for name in self.context.rules.objects:
            names = [m.name for m in self.context.rules.of_object(name) if m.name in wanted]
            if names:
                await report({"object": name, "phase": "listing"})
                await self._list(name)
        for name in self.context.rules.objects:
            names = [m.name for m in self.context.rules.of_object(name) if m.name in wanted]
            if names:
                await report({"object": name, "phase": "rows"})
                await self.sweeper.rows(name, Lane.FETCH_ALL)
                await self._open_gates(names)
        await report({"phase": "sending"})

    async def _list(self, name: str) -> None:
        async with self.context.database.session() as db:
            known = (await sweeps.load(db, self.context.name)).get((name, "fetch_all"))
        now = self.context.clock.now()
        keys = self.context.rules.keyed[name]
        done = Sweep(name, "fetch_all", started_at=now, finished_at=now, keys=keys)
        if self.context.rules.heard(name):
            done = await self.sweeper.full(name, known, kind="fetch_all", lane=Lane.FETCH_ALL)
        async with self.context.change() as db:
            await sweeps.save(db, self.context.name, done)
            await sweeps.save(db, self.context.name, replace(done, kind="full"))
        await self.sweeper.listed(done)

    async def _open_gates(self, names: Sequence[str]) -> None:
        now = self.context.clock.now()
        self.context.gates.fetched.update(names)
        async with self.context.change() as db:
            await connections.set_fetched(db, self.context.name, names, now)
            await work.rearm(db, self.context.name, "first_fetch_all", now)
        self.context.pulse.set()
