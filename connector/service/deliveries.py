"""Webhook deliveries on their way into the database: many share one INSERT, a bad one fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from enum import StrEnum

import asyncpg

from connector.service.bodies import Limits
from connector.store.db import AWAY, UNSTORABLE, Connection, Database
from connector.store.group_commit import GroupCommit
from connector.store.notes import Event, append_events

Delivery = Sequence[Event]

PASSING = (*AWAY, asyncpg.PostgresError)
"""Anything else that a database says no with: away, starting, full, demoted to a replica."""
PORTION = 8 << 20


class Fate(StrEnum):
    """What became of a delivery."""

    STORED = "stored"
    UNSTORABLE = "unstorable"
    AWAY = "away"


class Deliveries:
    """Appends events. A delivery may be stored twice after a failure: events are hints, one too many does nothing."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database, self._limits = database, limits
        self._commit: GroupCommit[Delivery, Fate] = GroupCommit(self._append)
        self._writing: set[asyncio.Task[Sequence[Fate]]] = set()

    async def store(self, delivery: Delivery) -> Fate:
        """STORED once durable; AWAY when the database did not return within the hold."""
        try:
            async with asyncio.timeout(self._limits.hold_seconds):
                return await self._submit(delivery)
        except TimeoutError:
            return Fate.AWAY

    async def close(self) -> None:
        """Returns when every delivery taken on is answered."""
        await self._commit.close()

    async def _submit(self, delivery: Delivery) -> Fate:
        while True:
            try:
                return await self._commit.submit(delivery)
            except PASSING:
                await asyncio.sleep(self._limits.retry_seconds)

    async def _append(self, batch: Sequence[Delivery]) -> Sequence[Fate]:
        """Writes in a task of its own: a session that hangs cannot be left in time, but it can be left behind."""
        writing = asyncio.create_task(self._write(batch), name="deliveries")
        self._writing.add(writing)
        writing.add_done_callback(self._wrote)
        try:
            await asyncio.wait({writing}, timeout=self._limits.hold_seconds)
            if not writing.done():
                raise TimeoutError
            return writing.result()
        finally:
            writing.cancel()

    def _wrote(self, writing: asyncio.Task[Sequence[Fate]]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled():
            writing.exception()  # one left behind may fail with nobody listening

    async def _write(self, batch: Sequence[Delivery]) -> Sequence[Fate]:
        async with self._database.session() as db:
            return [fate for portion in _portions(batch) for fate in await _append_portion(db, portion)]


async def _append_portion(db: Connection, portion: Sequence[Delivery]) -> Sequence[Fate]:
    try:
        await append_events(db, [event for delivery in portion for event in delivery])
    except UNSTORABLE:
        if len(portion) == 1:
            return [Fate.UNSTORABLE]
        return [fate for delivery in portion for fate in await _append_portion(db, [delivery])]
    return [Fate.STORED] * len(portion)


def _portions(batch: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    """The batch cut where one statement would become too long for comfort."""
    portion: list[Delivery] = []
    size = 0
    for delivery in batch:
        portion.append(delivery)
        size += sum(len(event.hint) for event in delivery)
        if size >= PORTION:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
