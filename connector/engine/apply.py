"""Apply: the local write, the new base, the journal entry and the end of the work item, in one transaction.

Many results at a time. Rows are locked without waiting and written only where they still hold what was observed; a row
that moved is planned again. One bad row costs one row. No network call happens here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

import asyncpg

from connector.core.line import BoundMapping, Line
from connector.core.merge import CONFLICTS, Decision, Parent, Verdict
from connector.core.model import (
    ABSENT,
    AppKey,
    Base,
    CrmId,
    Json,
    Lane,
    Link,
    LinkId,
    LinkState,
    Pair,
    Record,
    Row,
    Sent,
    Side,
)
from connector.core.plan import DeleteRow, InsertRow, Plan, Step, UpdateRow
from connector.engine.case import Case
from connector.engine.context import Context
from connector.local import tables
from connector.local.tables import RowRefusedError
from connector.store import brakes, intents, journal, links, match_keys, references, work
from connector.store.brakes import Count
from connector.store.db import Connection
from connector.store.journal import Entry
from connector.store.links import LinkWrite
from connector.store.work import Deferral, WorkState

T = TypeVar("T")
SHORTLY, LATER = timedelta(milliseconds=50), timedelta(seconds=1)
PATIENCE = timedelta(milliseconds=30)
"""How long a statement on the app's tables waits for a lock: far below PostgreSQL's deadlock_timeout."""
MOST_WAITS = 5
"""After so many waits of one commit the rest comes back shortly."""


@dataclass(slots=True)
class Result:
    """What is to be committed of one case. `plan` has no CRM write any more: that has happened, and `sent` says what.

    `deferral` puts the item back instead of ending it; `again` makes it due at once.
    """

    case: Case
    plan: Plan | None = None
    sent: Sequence[Decision] = ()
    sent_action: str | None = None
    settled: Sequence[int] = ()
    deferral: Deferral | None = None
    again: bool = False
    drop: bool = False
    join: LinkId | None = None
    row: Row | None = None
    refused: RowRefusedError | None = None
    stale: bool = False
    """The row moved, or could not be had: it is planned again after `pause`."""
    pause: timedelta = SHORTLY
    restated: bool = False
    """The base changed although nothing was planned (an intent was resolved)."""


@dataclass(slots=True)
class Batch:
    """Results on their way through one commit."""

    results: list[Result]
    now: datetime
    held: Mapping[LinkId, asyncpg.Record] = field(default_factory=dict)
    """The keys of the links as they stood when they were locked."""
    waits: int = 0


class Applier:
    """Commits results of one connection."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def commit(self, results: Sequence[Result]) -> Sequence[None]:
        """Commits all results; afterwards their match keys are free and metrics know of them."""
        batch = Batch(list(results), self.context.clock.now())
        try:
            async with self.context.change() as db:
                await self._commit(db, batch)
        finally:
            for result in results:
                self._free_keys(result)
        self._count(batch)
        self.context.pulse.set()
        return [None] * len(results)

    async def _commit(self, db: Connection, batch: Batch) -> None:
        await self._hold_links(db, batch)
        await self._write_rows(db, batch)
        await self._save_links(db, batch)
        await self._settle(db, batch)

    # --- links -------------------------------------------------------------------------------------------------------

    async def _hold_links(self, db: Connection, batch: Batch) -> None:
        """Locks the links. One that was taken in by another meanwhile, or whose other half was, changes nothing."""
        ids = sorted({result.case.link.id for result in batch.results})
        held = await db.fetch(
            "select id, app_key, crm_id, state from connector.link where id = any($1::bigint[]) order by id for update",
            ids,
        )
        known = batch.held = {LinkId(row["id"]): row for row in held}
        batch.results = [result for result in batch.results if result.case.link.id in known]
        pairs = [r for r in batch.results if r.plan is not None and r.case.link.crm_id and r.case.link.app_key]
        joining = [r for r in pairs if None in (known[r.case.link.id]["app_key"], known[r.case.link.id]["crm_id"])]
        await self._refuse_taken(db, joining)

    async def _refuse_taken(self, db: Connection, joining: Sequence[Result]) -> None:
        for name, group in _grouped(joining, lambda r: r.case.link.object).items():
            found = await links.by_crm(
                db, self.context.name, name, [r.case.link.crm_id for r in group if r.case.link.crm_id]
            )
            for result in group:
                other = found.get(CrmId(str(result.case.link.crm_id)))
                if other is not None and other.id != result.case.link.id and other.app_key is not None:
                    result.plan, result.again = None, True
        for name, group in _grouped(joining, lambda r: str(r.case.link.mapping)).items():
            rows = await links.by_app(
                db, self.context.name, name, [r.case.link.app_key for r in group if r.case.link.app_key]
            )
            for result in group:
                mine = rows.get(AppKey(str(result.case.link.app_key)))
                if mine is not None and mine.id != result.case.link.id and mine.crm_id is not None:
                    result.plan, result.again = None, True

    async def _save_links(self, db: Connection, batch: Batch) -> None:
        changed = [(result, self._link_write(result)) for result in batch.results if self._changed(result)]
        await self._absorb(db, batch, changed)
        if changed:
            await links.save(db, [write for _, write in changed], batch.now)
        await self._join_halves(db, batch)
        await self._drop_and_wake(db, batch, [write.id for _, write in changed])

    async def _absorb(self, db: Connection, batch: Batch, changed: Sequence[tuple[Result, LinkWrite]]) -> None:
        """Takes in the other halves of links that become pairs; a key that is new to us has none."""
        records = [(r, w) for r, w in changed if w.crm_id != batch.held[w.id]["crm_id"]]
        for name, group in _grouped(records, lambda one: one[0].case.link.object).items():
            taken = {w.crm_id: w.id for _, w in group if w.crm_id is not None and w.app_key is not None}
            await links.absorb(db, self.context.name, name, taken)
        rows = [(r, w) for r, w in changed if r.case.adopted is Side.APP and w.mapping is not None]
        for mapping, group in _grouped(rows, lambda one: str(one[1].mapping)).items():
            found = {w.app_key: w.id for _, w in group if w.app_key is not None}
            await links.absorb_app(db, self.context.name, mapping, found)

    async def _drop_and_wake(self, db: Connection, batch: Batch, written: Sequence[LinkId]) -> None:
        dropped = [result.case.link.id for result in batch.results if result.drop]
        if dropped:
            await links.delete(db, dropped)
        joined = [result.join for result in batch.results if result.join is not None]
        moved = [*written, *joined, *(r.case.link.id for r in batch.results if _parks(r))]
        if moved:
            await work.wake(db, moved, batch.now)
        await self._keep_references(db, batch, joined)

    async def _keep_references(self, db: Connection, batch: Batch, joined: Sequence[LinkId]) -> None:
        """Remembers the parents without which records went on, and makes those due whose parent is linked now."""
        held = {r.case.link.id: _missing_parents(r) for r in batch.results if r.plan is not None and not r.drop}
        concerned = {r.case.link.id for r in batch.results if r.case.link.held}
        changed = {link: parents for link, parents in held.items() if parents or link in concerned}
        if changed:
            await references.replace(db, changed)
        new = [r.case.link.id for r in batch.results if _becomes_a_pair(r, batch)]
        children = await references.children(db, self.context.name, [*new, *joined]) if new or joined else ()
        if children:
            await work.mark(db, self.context.name, [work.Mark(child, Lane.LIVE) for child in children], batch.now)

    async def _join_halves(self, db: Connection, batch: Batch) -> None:
        """A CRM half that one of our creates made: the row's link takes it in, with the base that was sent."""
        for result in batch.results:
            if result.join is not None and isinstance(result.case.crm, Record):
                await links.delete(db, [result.case.link.id])
                await links.join(db, result.join, result.case.crm.id, batch.now)

    def _changed(self, result: Result) -> bool:
        if result.drop or result.join is not None:
            return False
        if result.sent or result.restated or result.sent_action is not None:
            return True
        return result.plan is not None and not (
            result.plan.step is Step.DONE and _same_state(result.case.link, result.plan)
        )

    def _link_write(self, result: Result) -> LinkWrite:
        link, plan = result.case.link, result.plan
        done = plan is not None and not result.stale and result.refused is None
        base = self._base(result) if done else link.base
        record = result.case.crm if isinstance(result.case.crm, Record) else None
        state = plan.state if plan is not None and done else link.state
        if link.crm_id is not None and link.app_key is not None and state in (LinkState.OPEN, LinkState.EXCLUDED):
            state = LinkState.LINKED
        return LinkWrite(
            link.id,
            result.case.mapping.name if result.case.mapping is not None and link.app_key is not None else link.mapping,
            link.app_key,
            link.crm_id,
            state,
            base,
            _restorable(result, plan) if plan is not None and done and plan.died is not None else {},
            plan.held if plan is not None else {},
            plan.died if plan is not None and done else None,
            plan.cause if plan is not None and done else None,
            record.version if record is not None else None,
            _still_sent(result, base),
        )

    def _base(self, result: Result) -> Base:
        plan, mapping = result.plan, result.case.mapping
        if plan is None or mapping is None or plan.state.tombstone:
            return result.case.link.base
        if isinstance(plan.row, InsertRow) and result.row is not None:
            return {**inserted_base(plan.decisions, result.row), **constant_base(mapping, result.case.crm)}
        base = dict(result.case.link.base)
        for d in plan.decisions:
            if d.base is not None and d.verdict is Verdict.AGREE:
                base[d.line.name] = d.base
            elif d.base is not None and d.verdict is Verdict.RECEIVE and not d.returns:
                app = d.line.converter.read_app(result.row.columns) if result.row is not None else d.base.app
                base[d.line.name] = Pair(app, d.base.crm, d.base.rule)
        return base

    # --- rows --------------------------------------------------------------------------------------------------------

    async def _write_rows(self, db: Connection, batch: Batch) -> None:
        acting = [r for r in batch.results if r.plan is not None and r.plan.row is not None]
        if not acting:
            return
        await tables.wait_at_most(db, PATIENCE)
        for name, group in _grouped(acting, lambda r: r.case.mapping.name if r.case.mapping else "").items():
            await self._write_all(db, group[0].case.rules.shapes[name], group, batch)
        await tables.wait_at_most(db, None)

    async def _write_all(self, db: Connection, shape: tables.Shape, group: Sequence[Result], batch: Batch) -> None:
        """All at once; when PostgreSQL refuses, one by one, so that a bad row costs only itself.

        What would have to wait for the app (for a row, a unique value, a table that it has not let go of) comes back
        later: while we hold rows nobody may have to wait for us because we wait for him.
        """
        if batch.waits > MOST_WAITS:
            _put_off(group)
            return
        try:
            async with db.transaction():
                written = await self._write_group(db, shape, group)
        except asyncpg.PostgresError as error:
            waited = isinstance(error, asyncpg.LockNotAvailableError)
            batch.waits += waited
            if not waited:
                _raise_unless_refusal(error)
            if len(group) > 1:
                for result in group:
                    await self._write_all(db, shape, [result], batch)
            elif waited:
                _put_off(group, LATER)
            else:
                group[0].refused = tables.refusal(error)
        else:
            for result, row in written:
                result.row = row
                if row is not None and result.case.link.app_key is None:
                    result.case.link = replace(result.case.link, mapping=_name(result), app_key=row.key)

    async def _lock_rows(self, db: Connection, shape: tables.Shape, group: Sequence[Result]) -> None:
        keys = [r.case.link.app_key for r in group if r.case.link.app_key is not None]
        held = await tables.read(db, shape, keys, lock=True) if keys else {}
        for result in group:
            now = held.get(AppKey(str(result.case.link.app_key)))
            result.stale = now is None or result.case.row is None or now.columns != result.case.row.columns

    async def _write_group(
        self, db: Connection, shape: tables.Shape, group: Sequence[Result]
    ) -> Sequence[tuple[Result, Row | None]]:
        """The rows as they are stored, of those that still held what was observed."""
        await self._lock_rows(db, shape, [r for r in group if not isinstance(r.plan and r.plan.row, InsertRow)])
        acting = [(r, r.plan.row) for r in group if r.plan is not None and not r.stale]
        inserts = [(r, action) for r, action in acting if isinstance(action, InsertRow)]
        updates = [(r, action) for r, action in acting if isinstance(action, UpdateRow)]
        deletes = [_key(r) for r, action in acting if isinstance(action, DeleteRow)]
        stored = await tables.insert(db, shape, [action.columns for _, action in inserts])
        written = await tables.update(db, shape, {_key(r): action.columns for r, action in updates}) if updates else {}
        if deletes:
            await tables.delete(db, shape, deletes)
        return [
            *zip((r for r, _ in inserts), stored, strict=True),
            *((r, written.get(_key(r))) for r, _ in updates),
        ]

    # --- everything else ---------------------------------------------------------------------------------------------

    async def _settle(self, db: Connection, batch: Batch) -> None:
        entries = [entry for result in batch.results for entry in self._entries(result)]
        if entries:
            await journal.append(db, self.context.name, entries, batch.now)
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
            elif not result.drop and result.join is None:
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
            cause = f"row_refused:{result.refused.code}:{result.refused.name}".rstrip(":")
            return Deferral(item.link_id, item.generation, WorkState.PARKED, None, cause)
        if result.stale:
            return Deferral(item.link_id, item.generation, WorkState.DUE, now + result.pause, "row_moved")
        if result.again or _moved_along(result):
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
            case "sends_paused":
                return not gates.sends_paused
            case "first_listing":
                return result.case.link.object in gates.listed
            case "paused":
                return name not in gates.paused_mappings
        return False

    async def _keep_keys(self, db: Connection, batch: Batch) -> None:
        """Keeps the match keys of the records that were read, for objects that are also created.

        Of all that were read, since an e-mail that is not the primary one changes no line but is a key. Those of a page
        were kept when the page came.
        """
        for name, group in _grouped(batch.results, lambda r: r.case.link.object).items():
            mappings = [m for m in group[0].case.rules.of_object(name) if m.match and m.hears]
            dead = {crm_id for r in group for crm_id in _dead(r, batch)}
            seen = [r.case.crm for r in group if isinstance(r.case.crm, Record) and r.case.fresh]
            records = [record for record in seen if record.id not in dead]
            if mappings and dead:
                await match_keys.remove(db, self.context.name, name, sorted(dead))
            if mappings and records:
                keys = {record.id: self.record_hashes(mappings, record) for record in records}
                await match_keys.replace(db, self.context.name, name, keys)

    def record_hashes(self, mappings: Iterable[BoundMapping], record: Record) -> Sequence[bytes]:
        """The keyed hashes under which a record can be matched."""
        return self.context.record_hashes(mappings, record.fields, record.id)

    async def _count_effects(self, db: Connection, batch: Batch) -> None:
        found: Counter[tuple[str, str, str]] = Counter()
        for result in batch.results:
            if result.plan is None or result.stale or result.refused is not None or result.case.mapping is None:
                continue
            for (side, effect), n in result.plan.effects.items():
                found[result.case.mapping.name, side.value, effect.value] += n
        if found:
            counts = [Count(mapping, side, effect, n) for (mapping, side, effect), n in found.items()]
            await brakes.add(db, self.context.name, counts, batch.now)

    def _entries(self, result: Result) -> Iterable[Entry]:
        link, plan, cause = result.case.link, result.plan, result.case.item.lane.name.lower()
        name = result.case.mapping.name if result.case.mapping is not None else link.mapping
        head = (link.id, link.object, name, link.app_key, link.crm_id)
        if result.sent_action is not None:
            lines = {d.line.name: _line_entry(d, Side.CRM) for d in result.sent}
            reason = "merge" if result.sent_action == "update" else result.sent_action
            yield Entry(*head, Side.CRM, result.sent_action, cause, reason, lines)
        if plan is None or result.stale or result.refused is not None:
            return
        kept = [d for d in plan.decisions if d.verdict is Verdict.AGREE and d.loser is not None]
        if kept:
            lines = {d.line.name: _line_entry(d, Side.CRM) for d in kept}
            yield Entry(*head, Side.CRM, "overwrite", cause, plan.reason, lines)
        if plan.row is not None:
            received = [d for d in plan.decisions if d.verdict is Verdict.RECEIVE]
            lines = {d.line.name: _line_entry(d, Side.APP) for d in received}
            yield Entry(*head, Side.APP, _row_action(plan), cause, plan.reason, lines)
        elif plan.died is not None or (plan.step is Step.APPLY and plan.state is not link.state and not plan.decisions):
            yield Entry(*head, Side.APP, plan.state.value, cause, plan.reason)

    def _free_keys(self, result: Result) -> None:
        for hash_ in result.case.hashes:
            if self.context.keys_in_flight.get(hash_) == result.case.link.id:
                del self.context.keys_in_flight[hash_]

    def _count(self, batch: Batch) -> None:
        for result in batch.results:
            label = self.context.label(result.case.mapping.name if result.case.mapping else None)
            for action in _actions(result):
                self.context.metrics.records.labels(label, action).inc()
            decisions = [*result.sent, *(result.plan.decisions if result.plan else ())]
            for d in decisions:
                if d.reason in CONFLICTS and d.loser is not None and d.verdict in (Verdict.SEND, Verdict.RECEIVE):
                    self.context.metrics.conflicts.labels(label, d.loser.other.value).inc()
            if result.case.item.noticed_at is not None and (result.sent_action or (result.plan and result.plan.row)):
                seconds = (batch.now - result.case.item.noticed_at).total_seconds()
                direction = "send" if result.sent_action else "receive"
                self.context.metrics.sync_seconds.labels(label, direction).observe(max(seconds, 0.0))


def inserted_base(decisions: Iterable[Decision], row: Row) -> Base:
    """After an insert the pair as found is the base: a default that the database put there never overwrites.

    Values that are held or wait for a parent have no base yet.
    """
    return {
        d.line.name: Pair(d.line.converter.read_app(row.columns), d.crm, d.line.rule)
        for d in decisions
        if d.verdict not in (Verdict.HELD, Verdict.WAIT) and d.crm is not ABSENT
    }


def constant_base(mapping: BoundMapping, crm: object) -> Base:
    """`set.crm` of a record that we did not make: as it was found, like every other line of its new row."""
    fields: Mapping[str, Json] = crm.fields if isinstance(crm, Record) else {}
    found = [(line, line.converter.read_crm(fields)) for line in mapping.constants]
    return {line.name: Pair(line.converter.read_app({}), crm, line.rule) for line, crm in found if crm is not ABSENT}


def _moved_along(result: Result) -> bool:
    """True when our write to the row changed what another line sends: a template's text, or by a trigger of the app."""
    plan, before, after, mapping = result.plan, result.case.row, result.row, result.case.mapping
    if plan is None or before is None or after is None or mapping is None or plan.state.tombstone:
        return False
    received = {d.line.name for d in plan.decisions if d.verdict is Verdict.RECEIVE}
    others = (line for line in mapping.lines if line.direction.sends and line.name not in received)
    return any(_differ(line, before, after) for line in others)


def _differ(line: Line, before: Row, after: Row) -> bool:
    read = line.converter.read_app
    return not line.converter.same_app(read(before.columns), read(after.columns))


def _restorable(result: Result, plan: Plan) -> Mapping[str, str | None]:
    """What `deletes.set` wrote, as the row spells it: it is compared with the row when the record lives again."""
    held = result.row.columns if result.row is not None else plan.restore
    return {column: held.get(column) for column in plan.restore}


def _still_sent(result: Result, base: Base) -> Mapping[str, Sent]:
    """Our last writes that the base still shows, but for those whose echo has told."""
    told = result.case.situation.unseen if result.case.situation is not None and not result.sent_action else {}
    return {
        name: sent
        for name, sent in result.case.link.sent.items()
        if name in base and base[name].crm == sent.sent and name not in told
    }


def _same_state(link: Link, plan: Plan) -> bool:
    return plan.state is link.state and not plan.held


def _dead(result: Result, batch: Batch) -> Iterable[CrmId]:
    """The ids that no record can be found under any more: deleted, or merged into another."""
    before, link = batch.held[result.case.link.id]["crm_id"], result.case.link
    if before is not None and link.crm_id is not None and before != link.crm_id:
        yield CrmId(before)
    died = result.drop or (result.plan is not None and result.plan.died is Side.CRM)
    if link.crm_id is not None and died and not isinstance(result.case.crm, Record):
        yield link.crm_id
    if link.crm_id is not None and result.sent_action == "delete":
        yield link.crm_id


def _put_off(group: Iterable[Result], pause: timedelta = SHORTLY) -> None:
    for result in group:
        result.stale, result.pause = True, pause


def _missing_parents(result: Result) -> set[Parent]:
    plan = result.plan
    return {d.parent for d in plan.decisions if d.verdict is Verdict.HELD and d.parent} if plan is not None else set()


def _becomes_a_pair(result: Result, batch: Batch) -> bool:
    link, before = result.case.link, batch.held[result.case.link.id]
    whole = result.plan is not None and link.app_key is not None and link.crm_id is not None
    return whole and (None in (before["app_key"], before["crm_id"]) or before["state"] != LinkState.LINKED)


def _parks(result: Result) -> bool:
    return result.refused is not None or (result.deferral is not None and result.deferral.state is WorkState.PARKED)


def _actions(result: Result) -> Iterable[str]:
    if result.sent_action is not None:
        yield f"crm_{result.sent_action}"
    if result.plan is not None and result.plan.row is not None and not result.stale and result.refused is None:
        yield f"app_{_row_action(result.plan)}"
    if _parks(result):
        yield "park"


def _row_action(plan: Plan) -> str:
    if isinstance(plan.row, InsertRow):
        return "insert"
    return "delete" if isinstance(plan.row, DeleteRow) else "update"


def _line_entry(d: Decision, side: Side) -> Mapping[str, Json]:
    crm = None if d.crm is ABSENT else d.crm
    old, new = (d.app, d.base.app if d.base else None) if side is Side.APP else (crm, d.base.crm if d.base else None)
    entry: dict[str, Json] = {"old": old, "new": new, "reason": d.reason.value}
    if d.loser is not None and d.reason in CONFLICTS:
        entry["loser"] = {"side": d.loser.value, "value": d.app if d.loser is Side.APP else crm}
    return entry


def _grouped(items: Iterable[T], key: Callable[[T], str]) -> Mapping[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _key(result: Result) -> AppKey:
    return AppKey(str(result.case.link.app_key))


def _name(result: Result) -> str | None:
    return result.case.mapping.name if result.case.mapping is not None else None


def _raise_unless_refusal(error: asyncpg.PostgresError) -> None:
    """Data, constraint and privilege errors are the row's; anything else is the database's."""
    if str(getattr(error, "sqlstate", ""))[:2] not in {"22", "23", "42", "P0"}:
        raise error
