"""Sweeps: what webhooks lost. Recent ones follow the CRM's clock, full ones list everything and then look for what is gone.

A page is an observation like any other: its records are claimed and reconciled. Deletion is never concluded from absence
in a listing; what was not met is read by id, and only positive evidence counts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from connector.core.errors import ConnectorError
from connector.core.line import BoundMapping
from connector.core.model import AppKey, CrmId, Lane, Link, LinkId, LinkState
from connector.engine.context import Context
from connector.engine.reconcile import Reconciler
from connector.engine.sweeps.pages import Pages
from connector.local import tables
from connector.ports import Page
from connector.store import link_writes, links, sweeps, work
from connector.store.sweeps import Sweep
from connector.store.work import Mark

log = structlog.get_logger()
OVERLAP = timedelta(seconds=2)
FIRST_LOOK = timedelta(minutes=5)
ROWS = 1000
AT_ONCE = 5


class Sweeper:
    """Sweeps of one connection."""

    def __init__(self, context: Context, reconciler: Reconciler) -> None:
        self.context, self.reconciler, self.pages = context, reconciler, Pages(context, reconciler)

    async def recent(self, name: str, sweep: Sweep | None) -> None:
        """Reconciles what changed since the last recent sweep, with an overlap of two seconds."""
        began = self.context.clock.now()
        crm_now = began + timedelta(seconds=self.context.clock_offset)
        since = sweep.since if sweep is not None and sweep.since is not None else crm_now - FIRST_LOOK
        latest, cursor, seen, urgent = since, None, 0, self._urgent(name)
        untold: list[datetime] = []
        while True:
            read_at = self.context.clock.now()
            page = await self.context.crm.changed(name, since - OVERLAP, cursor, lane=Lane.SWEEP, past_reserve=urgent)
            latest = max([latest, *(r.modified_at for r in page.records if r.modified_at is not None)])
            worked = await self.pages.work_on(name, page.records, read_at, Lane.SWEEP)
            seen += worked.claimed
            untold += worked.untold
            await self._gone(name, page.deleted)
            cursor = page.cursor
            if cursor is None:
                break
        done = Sweep(name, "recent", latest, None, began, self.context.clock.now(), seen)
        await self._complete(done)
        await self.looked(name)
        if untold:
            self.context.metrics.sweep_found.labels(self.context.name, name).inc(len(untold))
            self.context.hearing.missed(untold, self.context.clock.now())

    def _urgent(self, name: str) -> bool:
        """True where a recent sweep is live work: without webhooks, and before the first look. A copy's never is."""
        gates = self.context.gates
        return not gates.role.aside and (not self.context.pushed or name not in gates.looked)

    async def looked(self, name: str) -> None:
        """What changed while nobody was here is seen, or not for us to see: what waited for that may go on."""
        if name in self.context.gates.looked:
            return
        self.context.gates.looked.add(name)
        async with self.context.change() as db:
            await work.rearm(db, self.context.name, "first_look", self.context.clock.now())
        self.context.pulse.set()

    async def full(self, name: str, sweep: Sweep | None, *, kind: str = "full", lane: Lane = Lane.SWEEP) -> Sweep:
        """Lists every record, then asks by id for those that were not met. Resumes where a former owner stopped."""
        now = self.context.clock.now()
        state = sweep if sweep is not None and sweep.cursor is not None else self._new(name, kind, now)
        if state.cursor is None:
            async with self.context.change() as db:
                await sweeps.forget_seen(db, self.context.name, name)
        state = await self._work_through(state, lane)
        await self._look_for_unseen(name, state.started_at or now, lane)
        done = replace(state, finished_at=self.context.clock.now())
        await self._complete(done)
        return done

    def _new(self, name: str, kind: str, now: datetime) -> Sweep:
        return Sweep(name, kind, started_at=now, keys=self.context.rules.keyed.get(name))

    async def listed(self, sweep: Sweep) -> None:
        """What waited for the listing may be made, if it has kept the keys by which records are matched now."""
        if sweep.keys is None or sweep.keys != self.context.rules.keyed.get(sweep.object):
            return
        if not self.context.gates.in_force(sweep.started_at):
            return
        async with self.context.change() as db:
            await work.rearm(db, self.context.name, "first_listing", self.context.clock.now())
        self.context.gates.listed[sweep.object] = sweep.keys
        self.context.pulse.set()

    async def _work_through(self, state: Sweep, lane: Lane) -> Sweep:
        """Reconciles all pages, some at a time: one is planned while another is written.

        How far the sweep came is kept in the order of the pages; no page waits for that.
        """
        slots = asyncio.Semaphore(AT_ONCE)
        tasks: list[asyncio.Task[int] | asyncio.Task[Sweep]] = []
        reached: deque[asyncio.Task[Sweep]] = deque()
        try:
            async for page, read_at in self._pages(state.object, state.cursor, lane):
                await slots.acquire()
                while reached and reached[0].done():
                    state = reached.popleft().result()
                work_ = asyncio.create_task(self._work_on(state.object, page, read_at, lane, slots))
                before = reached[-1] if reached else None
                reached.append(asyncio.create_task(self._finish_page(before or state, page, work_)))
                tasks = [*(task for task in tasks if not task.done()), work_, reached[-1]]
            for task in reached:
                state = await task
        except ConnectorError:
            await asyncio.gather(*tasks, return_exceptions=True)  # what they have claimed would be nobody's
            raise
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return state

    async def _work_on(self, name: str, page: Page, read_at: datetime, lane: Lane, slots: asyncio.Semaphore) -> int:
        try:
            worked = await self.pages.work_on(name, page.records, read_at, lane, confirmed=lane is Lane.FETCH_ALL)
            return worked.claimed
        finally:
            slots.release()

    async def _finish_page(self, before: Sweep | asyncio.Task[Sweep], page: Page, working: asyncio.Task[int]) -> Sweep:
        state = before if isinstance(before, Sweep) else await before
        found, seen = await working, state.seen
        state = replace(state, cursor=page.cursor, seen=seen + len(page.records))
        async with self.context.database.transaction(self.context.fence, durable=False) as db:
            if found and state.seen.bit_length() > seen.bit_length():
                await sweeps.tell_planner(db)
            await sweeps.note_seen(db, self.context.name, state.object, [record.id for record in page.records])
            await sweeps.save(db, self.context.name, state)
        return state

    async def _pages(self, name: str, cursor: str | None, lane: Lane) -> AsyncIterator[tuple[Page, datetime]]:
        """The pages of a listing and when each read began; the next one is under way while one is worked on."""
        coming = asyncio.create_task(self._read_page(name, cursor, lane))
        try:
            while True:
                page, read_at = await coming
                if page.cursor is not None:
                    coming = asyncio.create_task(self._read_page(name, page.cursor, lane))
                yield page, read_at
                if page.cursor is None:
                    return
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _read_page(self, name: str, cursor: str | None, lane: Lane) -> tuple[Page, datetime]:
        began = self.context.clock.now()
        return await self.context.crm.listing(name, cursor, lane=lane), began

    async def _gone(self, name: str, ids: Sequence[CrmId]) -> None:
        """Records that the CRM itself lists as deleted."""
        if not ids:
            return
        async with self.context.change() as db:
            self.context.newcomers.lose(name, ids, self.context.clock.now())
            known = await links.by_crm(db, self.context.name, name, ids)
            living = [link for link in known.values() if not (link.state.tombstone or _never_met(link))]
            marks = [Mark(link.id, Lane.SWEEP, evidence=True) for link in living]
            if marks:
                await work.mark(db, self.context.name, marks, self.context.clock.now())

    async def _look_for_unseen(self, name: str, since: datetime, lane: Lane) -> None:
        """Asks by id for what was not met; for a part of it where it did not answer before, since each is a call."""
        async with self.context.change() as db:
            await work.look_again_at_some(db, self.context.name, name, ROWS, self.context.clock.now())
        after = LinkId(0)
        while True:
            async with self.context.change() as db:
                ids = await sweeps.unseen(db, self.context.name, name, since, after=after, limit=ROWS)
                if ids:
                    await work.ensure(db, self.context.name, ids, lane, self.context.clock.now())
            if len(ids) < ROWS:
                return
            after = ids[-1]

    # --- the app's side ----------------------------------------------------------------------------------------------

    async def rows(self, name: str, lane: Lane) -> None:
        """Finds rows without a link and links without a row, for the mappings of an object."""
        rules = self.context.rules
        for mapping in rules.of_object(name):
            await self._rows_without_link(mapping, rules.shapes[mapping.name], lane)
            await self._links_without_row(mapping.name, rules.shapes[mapping.name], lane)

    async def _rows_without_link(self, bound: BoundMapping, shape: tables.Shape, lane: Lane) -> None:
        mapping = bound.name
        if not (bound.direction.sends or (bound.direction.receives and bound.match)):
            return
        after: AppKey | None = None
        while True:
            async with self.context.change() as db:
                keys = await tables.keys(db, shape, after, ROWS)
                known = await links.known_rows(db, self.context.name, mapping, keys)
                fresh = [key for key in keys if key not in known]
                now = self.context.clock.now()
                if fresh:
                    await link_writes.open_app(db, self.context.name, bound.object, mapping, keys=fresh, now=now)
                    opened = await links.by_app(db, self.context.name, mapping, fresh)
                    await work.ensure(db, self.context.name, [link.id for link in opened.values()], lane, now)
            if len(keys) < ROWS:
                return
            after = keys[-1]

    async def _links_without_row(self, mapping: str, shape: tables.Shape, lane: Lane) -> None:
        after: AppKey | None = None
        while True:
            async with self.context.change() as db:
                found = await sweeps.linked_rows(db, self.context.name, mapping, after, ROWS)
                there = await tables.existing(db, shape, [key for _, key in found]) if found else frozenset()
                lost = [link for link, key in found if key not in there]
                if lost:
                    await work.ensure(db, self.context.name, lost, lane, self.context.clock.now())
            if len(found) < ROWS:
                return
            after = found[-1][1]

    async def _complete(self, sweep: Sweep) -> None:
        """Keeps how far it came; what its pages would have destroyed may go on now."""
        async with self.context.change() as db:
            await sweeps.save(db, self.context.name, sweep)
            await work.rearm(db, self.context.name, "sweep", self.context.clock.now(), name=sweep.object)
        self.context.pulse.set()


def _never_met(link: Link) -> bool:
    """True for a record that was gone when it was first read: nothing of it is here that its deletion could concern."""
    return link.half and link.state is LinkState.EXCLUDED and link.version is None
