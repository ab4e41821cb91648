"""Apply: the local write, the new base, the journal entry and the end of the work item, in one transaction.

Many results at a time. Rows are locked without waiting and written only where they still hold what was observed; a row
that moved is planned again. One bad row costs one row. No network call happens here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from connector.core.model import (
    AppKey,
    CrmId,
    Lane,
    Link,
    LinkId,
    LinkState,
    Record,
    Side,
)
from connector.engine.apply.admission import admit, store
from connector.engine.apply.entries import actions, durations, entries, winners
from connector.engine.apply.outcome import changes_link, link_write
from connector.engine.apply.putback import refused
from connector.engine.apply.result import (
    LACKING,
    Batch,
    Held,
    Result,
    changes_standing,
    completed_meanwhile,
    dead_ids,
    grouped,
    happened,
    mapping_name,
    missing_parents,
    moved_along,
    parks,
    record_id,
    row_key,
)
from connector.engine.apply.rows import write_rows
from connector.engine.brake import Place
from connector.engine.context import Context
from connector.engine.slices import in_slices
from connector.store import brakes, intents, journal, link_writes, links, match_keys, references, work
from connector.store.brakes import Count
from connector.store.db import Connection
from connector.store.link_writes import LinkWrite
from connector.store.work import Deferral, WorkState


class Applier:
    """Commits results of one connection."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def commit(self, groups: Sequence[Sequence[Result]]) -> Sequence[None]:
        """Commits the results of all groups; afterwards their match keys are free and metrics know of them."""
        results = [result for group in groups for result in group]
        try:
            async with self.context.change(durable=False) as db:
                batch = Batch(results, self.context.clock.now())
                await self._commit(db, batch)
        finally:
            for result in results:
                self._free_keys(result)
        self._count(batch)
        self.context.pulse.set()
        return [None] * len(groups)

    async def _commit(self, db: Connection, batch: Batch) -> None:
        await admit(self.context, db, batch)
        await self._hold_links(db, batch)
        await write_rows(db, batch)
        undone = [r for r in batch.results if r.case.new and (r.stale or r.refused is not None)]
        await store(self.context, db, undone, batch.now)
        await self._save_links(db, batch)
        await self._settle(db, batch)

    # --- links -------------------------------------------------------------------------------------------------------

    async def _hold_links(self, db: Connection, batch: Batch) -> None:
        """Locks the links. One that was taken in by another meanwhile, or whose other half was, changes nothing."""
        batch.held |= await self._locked(db, [r.case.link.id for r in batch.results if not r.case.new])
        known = batch.held
        batch.results = [result for result in batch.results if result.case.link.id in known]
        for result in batch.results:
            if completed_meanwhile(result, known[result.case.link.id]):
                result.plan, result.again = None, True
            if result.plan is not None and result.plan.held and result.case.rules is not self.context.rules:
                result.again = True  # held by rules that are gone: those in force may let it pass
        pairs = [r for r in batch.results if r.plan is not None and record_id(r) and r.case.link.app_key]
        joining = [
            r for r in pairs if r.case.moved or None in (known[r.case.link.id].app_key, known[r.case.link.id].crm_id)
        ]
        await self._refuse_taken(db, batch, joining)

    async def _locked(self, db: Connection, ids: Sequence[LinkId]) -> Mapping[LinkId, Held]:
        if not ids:
            return {}
        rows = await db.fetch(
            "select id, app_key, crm_id, state, died from connector.link where id = any($1::bigint[]) order by id for update",
            sorted(set(ids)),
        )
        return {LinkId(number): Held(*held) for number, *held in rows}

    async def _refuse_taken(self, db: Connection, batch: Batch, joining: Sequence[Result]) -> None:
        for name, group in grouped(joining, lambda r: r.case.link.object).items():
            found = await links.by_crm(
                db, self.context.name, name, [r.case.link.crm_id for r in group if r.case.link.crm_id]
            )
            for result in group:
                other = found.get(CrmId(str(result.case.link.crm_id)))
                if other is not None and other.app_key is not None and _lives(other, Side.CRM, result, batch):
                    result.plan, result.again = None, True
        for name, group in grouped(joining, lambda r: str(r.case.link.mapping)).items():
            rows = await links.by_app(
                db, self.context.name, name, [r.case.link.app_key for r in group if r.case.link.app_key]
            )
            for result in group:
                mine = rows.get(AppKey(str(result.case.link.app_key)))
                if mine is not None and mine.crm_id is not None and _lives(mine, Side.APP, result, batch):
                    result.plan, result.again = None, True

    async def _save_links(self, db: Connection, batch: Batch) -> None:
        changed = [(r, link_write(r)) async for r in in_slices(batch.results) if changes_link(r)]
        await self._absorb(db, batch, changed)
        stored = [write for result, write in changed if not result.case.new]
        if stored:
            await link_writes.save(db, stored, batch.now)
        await self._store_newcomers(db, batch, [(r, write) for r, write in changed if r.case.new])
        await self._call_referring(db, batch, [result for result, _ in changed])
        await self._hand_over(db, batch, changed)
        await self._pass_on(db, batch, changed)
        await self._join_halves(db, batch)
        await self._drop_and_wake(db, batch, [write.id for _, write in changed])

    async def _store_newcomers(self, db: Connection, batch: Batch, made: Sequence[tuple[Result, LinkWrite]]) -> None:
        for name, group in grouped(made, lambda one: one[0].case.link.object).items():
            await link_writes.insert(db, self.context.name, name, [write for _, write in group], batch.now)

    async def _absorb(self, db: Connection, batch: Batch, changed: Sequence[tuple[Result, LinkWrite]]) -> None:
        """Takes in the other halves of links that become pairs; a key that is new to us has none."""
        records = [(r, w) for r, w in changed if w.crm_id != batch.held[w.id].crm_id]
        for name, group in grouped(records, lambda one: one[0].case.link.object).items():
            taken = {w.crm_id: w.id for _, w in group if w.crm_id is not None and w.app_key is not None}
            await link_writes.absorb(db, self.context.name, name, taken)
        rows = [(r, w) for r, w in changed if r.case.adopted is Side.APP and w.mapping is not None]
        for mapping, group in grouped(rows, lambda one: str(one[1].mapping)).items():
            found = {w.app_key: w.id for _, w in group if w.app_key is not None}
            await link_writes.absorb_app(db, self.context.name, mapping, found)

    async def _drop_and_wake(self, db: Connection, batch: Batch, written: Sequence[LinkId]) -> None:
        dropped = [result.case.link.id for result in batch.results if result.drop]
        if dropped:
            await link_writes.delete(db, dropped)
            for result in batch.results:
                if result.drop and result.case.link.crm_id is not None:
                    self.context.newcomers.take(result.case.link.object, [result.case.link.crm_id])
        joined = [result.join for result in batch.results if result.join is not None]
        told = [r.case.link.id for r in batch.results if parks(r) or r.settled]
        moved = [*written, *dropped, *joined, *told]
        if moved:
            await work.wake(db, moved, batch.now)
        await self._keep_references(db, batch, joined)

    async def _keep_references(self, db: Connection, batch: Batch, joined: Sequence[LinkId]) -> None:
        """Remembers the parents without which records went on, and makes those due whose parent stands otherwise now."""
        told = [r for r in batch.results if (r.plan is not None or r.lacks) and not r.drop]
        held = {r.case.link.id: missing_parents(r) for r in told}
        concerned = {r.case.link.id for r in batch.results if _may_have_lacked(r)}
        changed = {link: parents for link, parents in held.items() if parents or link in concerned}
        overtaken: Sequence[LinkId] = ()
        if changed:
            await references.replace(db, changed)
            seen = {r.case.link.id: r.case.read_at for r in batch.results if held.get(r.case.link.id)}
            overtaken = await references.overtaken(db, self.context.name, seen) if seen else ()
        moved = [r.case.link.id for r in batch.results if changes_standing(r, batch)]
        children = await references.children(db, self.context.name, [*moved, *joined]) if moved or joined else ()
        due = sorted({*children, *overtaken})
        if due:
            await work.mark(db, self.context.name, [work.Mark(child, Lane.LIVE) for child in due], batch.now)

    async def _call_referring(self, db: Connection, batch: Batch, changed: Sequence[Result]) -> None:
        """Has those looked at whose row's parent has another record now: they name the one that it had before."""
        called = sorted({link for result in changed for link in result.case.referring})
        if called:
            await work.mark(db, self.context.name, [work.Mark(link, Lane.LIVE) for link in called], batch.now)

    async def _hand_over(self, db: Connection, batch: Batch, changed: Sequence[tuple[Result, LinkWrite]]) -> None:
        """Records that became another mapping's are halves again, to be taken in by it."""
        heirs = [(r, w) for r, w in changed if r.plan is not None and r.plan.heir is not None]
        left = [(r, w) for r, w in heirs if w.released and not r.case.link.released and w.crm_id is not None]
        for name, group in grouped(left, lambda one: one[0].case.link.object).items():
            ids = [w.crm_id for _, w in group if w.crm_id is not None]
            await link_writes.open_crm(db, self.context.name, name, ids, batch.now)
            halves = await links.by_crm(db, self.context.name, name, ids)
            marks = [work.Mark(half.id, Lane.LIVE) for half in halves.values()]
            await work.mark(db, self.context.name, marks, batch.now)

    async def _pass_on(self, db: Connection, batch: Batch, changed: Sequence[tuple[Result, LinkWrite]]) -> None:
        """Rows that became another mapping's are that one's to see to, with the records that follow them."""
        left = [(r, r.plan) for r, _ in changed if r.plan is not None and r.plan.taker is not None and not r.stale]
        for mapping, group in grouped(left, lambda one: str(one[1].taker)).items():
            keys = [row_key(result) for result, _ in group]
            await link_writes.open_app(
                db, self.context.name, group[0][0].case.link.object, mapping, keys=keys, now=batch.now
            )
            following = [(result.case.link, plan.bequest) for result, plan in group if plan.bequest is not None]
            await link_writes.follow(db, self.context.name, mapping, following, batch.now)
            there = await links.by_app(db, self.context.name, mapping, keys)
            await work.mark(
                db, self.context.name, [work.Mark(link.id, Lane.LIVE) for link in there.values()], batch.now
            )

    async def _join_halves(self, db: Connection, batch: Batch) -> None:
        """A CRM half that one of our creates made: the row's link takes it in, with the base that was sent."""
        for result in batch.results:
            if result.join is not None and isinstance(result.case.crm, Record):
                await link_writes.give_way(db, self.context.name, result.case.link.id, result.join)
                await link_writes.join(db, result.join, result.case.crm.id, batch.now)

    # --- everything else ---------------------------------------------------------------------------------------------

    async def _settle(self, db: Connection, batch: Batch) -> None:
        said = [entry for result in batch.results for entry in entries(result)]
        if said:
            await journal.append(db, self.context.name, said, batch.now)
        settled = [intent for result in batch.results for intent in result.settled]
        if settled:
            await intents.close(db, settled)
        await self._keep_keys(db, batch)
        await self._count_effects(db, batch)
        await self._end_items(db, batch)

    async def _end_items(self, db: Connection, batch: Batch) -> None:
        done, back = [], []
        for result in batch.results:
            deferral = self._deferral(result, batch.now)
            if deferral is not None:
                back.append(deferral)
            elif not (result.drop or result.join is not None or result.case.new):
                done.append((result.case.item.link_id, result.case.item.generation))
        if done:
            await work.finish(db, done, batch.now)
        if back:
            await work.defer(db, back, batch.now)
        joins = [work.Mark(r.join, r.case.item.lane) for r in batch.results if r.join is not None]
        if joins:
            await work.mark(db, self.context.name, joins, batch.now)

    def _deferral(self, result: Result, now: datetime) -> Deferral | None:
        item = result.case.item
        if result.refused is not None:
            return refused(result, result.refused, now)
        if result.stale:
            return Deferral(item.link_id, item.generation, WorkState.DUE, now + result.pause, "row_moved")
        if result.again or moved_along(result):
            return Deferral(item.link_id, item.generation, WorkState.DUE, now, "again")
        if result.deferral is not None and self._opened(result, result.deferral.cause):
            return Deferral(item.link_id, item.generation, WorkState.DUE, now, "again")
        return result.deferral

    def _opened(self, result: Result, cause: str) -> bool:
        """True when the gate that a wait names has opened since it was planned: nobody would call it any more."""
        gates, name = self.context.gates, result.case.mapping.name if result.case.mapping is not None else ""
        match cause:
            case "first_fetch_all":
                return name in gates.fetched
            case "sends_paused" | "database" | "first_look":
                return self._gate(result) != cause
            case "first_listing":
                return self.context.listed(result.case.link.object)
            case "quarantined" | "observe":
                mapping = self.context.rules.bound.mappings.get(name or str(result.case.link.mapping))
                return mapping is not None and not (mapping.observed if cause == "observe" else mapping.incomplete)
            case "paused":
                return name not in gates.paused_mappings
        return False

    def _gate(self, result: Result) -> str | None:
        """What keeps a CRM half from being taken in, or anything else from being sent."""
        half, record = result.case.link.app_key is None, result.case.crm
        if half and isinstance(record, Record):
            return self.context.unplaced(record, self.context.gates.lost)
        return self.context.barred(result.case.link.object)

    async def _keep_keys(self, db: Connection, batch: Batch) -> None:
        """Keeps the match keys of the records that were read, for objects that are also created.

        Of all that were read, since an e-mail that is not the primary one changes no line but is a key. Those of a page
        were kept when the page came.
        """
        for name, group in grouped(batch.results, lambda r: r.case.link.object).items():
            mappings = [m for m in group[0].case.rules.of_object(name) if m.match and m.hears]
            dead = {crm_id for r in group for crm_id in dead_ids(r, batch)}
            seen = [r.case.crm for r in group if isinstance(r.case.crm, Record) and r.case.fresh]
            records = [record for record in seen if record.id not in dead]
            if mappings and dead:
                await match_keys.remove(db, self.context.name, name, sorted(dead))
            if mappings and records:
                keys = {r.id: self.context.record_hashes(mappings, r.fields, r.id) for r in records}
                await match_keys.replace(db, self.context.name, name, keys)

    async def _count_effects(self, db: Connection, batch: Batch) -> None:
        """Counts what has happened, but for what a person had let go on: that is spent instead."""
        counted: Counter[Place] = Counter()
        confirmed: Counter[tuple[str, Side]] = Counter()
        spent: list[LinkId] = []
        for result in batch.results:
            name = result.case.mapping.name if result.case.mapping else ""
            for side, effect in happened(result):
                if (side, effect) in result.case.let_go:
                    spent.append(result.case.item.link_id)
                elif (side, effect) in result.case.confirmed:
                    confirmed[name, side] += 1
                else:
                    counted[name, side, effect] += 1
        if spent:
            await work.spend_release(db, spent)
        for (mapping, side), n in confirmed.items():
            await brakes.allow(db, self.context.name, mapping, side.value, -n)
        if counted:
            counts = [Count(mapping, side.value, effect.value, n) for (mapping, side, effect), n in counted.items()]
            await brakes.add(db, self.context.name, counts, batch.now)

    def _free_keys(self, result: Result) -> None:
        for hash_ in result.case.hashes:
            if self.context.keys_in_flight.get(hash_) == result.case.link.id:
                del self.context.keys_in_flight[hash_]

    def _count(self, batch: Batch) -> None:
        metrics = self.context.metrics
        for name, group in grouped(batch.results, lambda r: mapping_name(r) or "").items():
            label = self.context.label(name)
            for action, n in Counter(action for result in group for action in actions(result)).items():
                metrics.records.labels(label, action).inc(n)
            for winner, n in Counter(winner for result in group for winner in winners(result)).items():
                metrics.conflicts.labels(label, winner.value).inc(n)
            for direction, seconds in durations(group, batch.now).items():
                observe = metrics.sync_seconds.labels(label, direction).observe
                for each in seconds:
                    observe(each)


def _may_have_lacked(result: Result) -> bool:
    """True when parents may be on record that the link of this result missed."""
    link = result.case.link
    return bool(link.held) or result.case.item.cause in LACKING or link.state in (LinkState.EXCLUDED, LinkState.FROZEN)


def _lives(other: Link, side: Side, result: Result, batch: Batch) -> bool:
    """False for the link itself, and for a tombstone whose half of this side may be taken."""
    if other.id == result.case.link.id:
        return False
    return other.widow is not side or other.id in batch.held
