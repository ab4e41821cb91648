"""Rota: the replicas of one database share the connections evenly. Who owns what, the lease alone decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from connector.core.rota import assigned, to_give
from connector.engine.clock import Clock
from connector.store import lease, replicas
from connector.store.db import AWAY, Database, Fence

log = structlog.get_logger()
LOOK, TRY = 0.4, 0.1
PATIENCE = 0.7
"""Seconds after which a free connection is anybody's: whose turn it is may have stopped."""
REST = 5.0
"""Seconds between two connections that are given away."""
Held = tuple[Fence, datetime]
"""A lease, and until when it ran when it was last renewed."""


class Rota:
    """What one replica takes and gives. Before the first look it may take everything, and gives nothing.

    `database` is for leases only: who owns what must not queue behind the work.
    """

    def __init__(self, database: Database, clock: Clock, owner: str) -> None:
        self.owner = owner
        self.database, self._clock = database, clock
        self._began: datetime | None = None
        self._gave_at = clock.monotonic()
        self._left = False
        self._turns: Mapping[str, str] = {}
        self._free_since: Mapping[str, float] = {}
        self._others: frozenset[str] = frozenset()
        self._giving: str | None = None
        self._given: frozenset[str] = frozenset()

    async def run(self, connections: Sequence[str]) -> None:
        """Looks until cancelled; `connections` are those that this process could work on."""
        while True:
            try:
                await self.look(connections)
            except AWAY as error:
                log.info("rota.database_away", error=type(error).__name__)
            await self._clock.sleep(LOOK)

    async def look(self, connections: Sequence[str]) -> None:
        """Says that we live, and decides anew."""
        if self._left:
            return
        now, moment = self._clock.now(), self._clock.monotonic()
        self._began = self._began or now
        async with self.database.session() as db:
            roll = await replicas.call(db, self.owner, connections, self._began, now)
        mine = {name for name, owner in roll.owners.items() if owner == self.owner}
        free = [name for name in connections if name not in roll.owners]
        self._others = frozenset(roll.owners.keys() - mine)
        self._given &= mine
        self._free_since = {name: self._free_since.get(name, moment) for name in free}
        self._turns = assigned(free, roll.replicas)
        rested = not free and moment - self._gave_at >= REST
        self._giving = to_give(mine.intersection(connections), self.owner, roll.replicas, now) if rested else None

    async def leave(self) -> None:
        """Takes nothing more; the others need not wait for us. Who never said that he lives has nothing to take back."""
        self._left = True
        if self._began is None:
            return
        async with self.database.session() as db:
            await replicas.leave(db, self.owner)

    async def take(self, connection: str, before: Held | None) -> tuple[Fence, bool]:
        """The lease of a connection, once it is free and our turn, and whether the database has forgotten the one `before`."""
        while True:
            taken = await self._try(connection, before) if self.may_take(connection) else None
            if taken is not None:
                log.info("lease.taken", connection=connection, epoch=taken[0].epoch)
                return taken
            await self._clock.sleep(TRY)

    async def _try(self, connection: str, before: Held | None) -> tuple[Fence, bool] | None:
        async with self.database.session() as db:
            forgot = before is not None and await lease.went_back(db, *before)
            fence = await lease.acquire(db, connection, self.owner, self._clock.now())
        return (fence, forgot) if fence is not None else None

    def may_take(self, connection: str) -> bool:
        """True when nobody else has the connection and it is our turn, or whose turn it was did not take it."""
        if self._left or connection in self._others or connection in self._given:
            return False
        since = self._free_since.get(connection)
        late = since is None or self._clock.monotonic() - since >= PATIENCE
        return late or self._turns.get(connection) == self.owner

    def gives(self, connection: str) -> bool:
        """True, once, when the connection shall be left to a replica that owns fewer."""
        if self._giving != connection:
            return False
        self._giving, self._gave_at = None, self._clock.monotonic()
        self._given |= {connection}
        return True
