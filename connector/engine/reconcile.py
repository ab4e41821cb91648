"""Reconcile: the one path that every cause takes. Observe both sides, plan, apply, new base.

A batch is observed together; what only concerns our database is committed together; every write to the CRM goes its own
way under the limiter and is committed as its answer arrives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from connector.core.errors import ConnectorError
from connector.core.merge import Decision, Parent, Reason, Verdict, is_conflict
from connector.core.model import CrmId, Link, LinkId, LinkState, Record, Side
from connector.core.plan import Effect, InsertRow, Kin, Plan, Step, plan
from connector.core.schema_doubt import doubtful
from connector.core.unseen import overtaken
from connector.engine.apply.admission import open_claimed
from connector.engine.apply.applier import Applier
from connector.engine.apply.putback import (
    braked,
    call_children,
    call_parents,
    deferral,
    lacks,
    retry,
    undone,
    unfinished,
    waiting,
)
from connector.engine.apply.result import Result
from connector.engine.brake import Brake
from connector.engine.context import Context
from connector.engine.observe.adopt import adopt
from connector.engine.observe.case import TAKEN, Case, RecordKeys
from connector.engine.observe.merging import merge
from connector.engine.observe.observer import Observer
from connector.engine.observe.oscillation import find_oscillations
from connector.engine.observe.referring import find_referring
from connector.engine.planning import explained, spared, swept
from connector.engine.planning import planned as planned_cases
from connector.engine.send.resolve import Listing, Resolver, Ruling
from connector.engine.send.sender import Sender
from connector.ports import VersionOrder
from connector.store import notes, work
from connector.store.group_commit import GroupCommit
from connector.store.work import Item, WorkState

log = structlog.get_logger()
STALE_READS = 5
NONE: frozenset[tuple[Side, Effect]] = frozenset()
DESTRUCTIVE = frozenset({Effect.DELETE, Effect.CLEAR, Effect.OVERWRITE})


@dataclass(slots=True)
class Listed:
    """What a page brings: its records, read from `began` on, and the links of those that nobody has stored.

    `confirmed`: a person let what it would destroy go on.
    """

    records: Mapping[CrmId, Record]
    began: datetime
    new: Mapping[LinkId, Link] = field(default_factory=dict)
    elsewhere: Mapping[CrmId, bool] = field(default_factory=dict)
    """Those that another page holds, and whether that was read before."""
    keys: Mapping[CrmId, RecordKeys] = field(default_factory=dict)
    confirmed: bool = False


class Reconciler:
    """Reconciles batches of claimed items of one connection."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.observer, self.resolver, self.brake = Observer(context), Resolver(context), Brake(context)
        self.sender = Sender(context)
        self.applier = Applier(context)
        self.commits: GroupCommit[Sequence[Result], None] = GroupCommit(self.applier.commit, limit=500, weigh=len)

    async def run(self, items: Sequence[Item], listed: Listed | None = None) -> None:
        """Takes every item to its end or back to the queue.

        What a page would send goes through the queue, since a send reads first; what it would destroy waits until the
        sweep is complete, unless a person confirmed it.
        """
        try:
            cases = await self._cases(items, listed)
            ready, rulings = await self._rule(cases)
            await self.observer.situations(ready)
            planned = await self._plan(ready)
        except ConnectorError as error:
            await self._return(items, listed, error)
            return
        await self._dispatch(
            planned, rulings, page=listed is not None, confirmed=listed is not None and listed.confirmed
        )

    async def _cases(self, items: Sequence[Item], listed: Listed | None) -> list[Case]:
        if listed is None:
            return await self.observer.cases(items, {}, None)
        cases = await self.observer.cases(items, listed.records, listed.began, listed.new)
        for case in cases:
            case.known_keys = listed.keys.get(case.link.crm_id or CrmId(""), {})
        return cases

    # --- before planning ---------------------------------------------------------------------------------------------

    async def _rule(self, cases: Sequence[Case]) -> tuple[list[Case], dict[LinkId, Ruling]]:
        """Sends away what cannot be planned now: mappings that are gone or paused, stale reads, unknown outcomes."""
        ready: list[Case] = []
        rulings: dict[LinkId, Ruling] = {}
        early: list[Result] = []
        listings: dict[str, Listing] = {}
        for case in cases:
            result = self._early(case)
            if result is None and case.leftovers:
                ruling = rulings[case.link.id] = await self.resolver.rule(case, listings)
                result = self._ruled(case, ruling)
            if result is None:
                ready.append(case)
            else:
                early.append(result)
        await self._commit(early)
        return ready, rulings

    def _early(self, case: Case) -> Result | None:
        in_doubt = case.mapping is None and bool(case.leftovers)  # what became of it is found out by its mapping
        if in_doubt or case.rules.blocked(case.link.mapping):
            return Result(case, deferral=deferral(case, WorkState.WAITING, "quarantined"))
        if case.mapping is None:
            return Result(case, drop=case.link.half and case.link.state is LinkState.OPEN)
        if case.mapping.observed:
            return Result(case, deferral=deferral(case, WorkState.WAITING, "observe"))
        if case.mapping.name in self.context.gates.paused_mappings:
            return Result(case, deferral=deferral(case, WorkState.WAITING, "paused"))
        if self._is_stale(case):
            due = self.context.clock.now() + timedelta(seconds=min(2 ** case.item.tries("stale_read"), 10))
            return Result(case, deferral=deferral(case, WorkState.RETRY, "stale_read", due))
        return None

    def _is_stale(self, case: Case) -> bool:
        """Something newer than what was read is known, from a webhook or from before: read again, up to five times."""
        if not isinstance(case.crm, Record) or case.item.tries("stale_read") >= STALE_READS:
            return False
        record, told, compare = case.crm, case.item.told, self.context.crm.compare
        before, heard = compare(record.version, case.link.version), compare(record.version, case.item.crm_version)
        lines = case.mapping.lines if heard is VersionOrder.SAME and case.mapping is not None else ()
        return VersionOrder.OLDER in (before, heard) or any(overtaken(line, record, told) for line in lines)

    def _ruled(self, case: Case, ruling: Ruling) -> Result | None:
        if ruling.until is not None:
            waiting = deferral(case, WorkState.WAITING, "unknown_outcome", ruling.until)
            return _told_by(ruling, Result(case, deferral=waiting))
        if ruling.parked is not None:
            parked = deferral(case, WorkState.PARKED, ruling.parked)
            return _told_by(ruling, Result(case, deferral=parked))
        return None

    # --- planning ----------------------------------------------------------------------------------------------------

    async def _plan(self, cases: Sequence[Case]) -> list[tuple[Case, Plan]]:
        planned = await self._calmed(
            await self._dated(await self._folded(await self._follow(await planned_cases(cases))))
        )
        if any(doubtful(found, case.link.base) for case, found in planned):
            self.context.schema_moved.set()
        return [
            (case, self._hold_keys(case, swept(case, explained(self.context, case, found)))) for case, found in planned
        ]

    async def foresee(self, cases: Sequence[Case]) -> list[tuple[Case, Plan]]:
        """The plans of observed cases as they would be carried out now; nothing is held or written."""
        return await self._calmed(await self._dated(await self._follow(await planned_cases(cases))))

    async def _calmed(self, planned: Sequence[tuple[Case, Plan]]) -> list[tuple[Case, Plan]]:
        """Plans again without the writes that would go on with an oscillation."""
        found = await find_oscillations(self.context, planned)
        return [_calm(case, was, found.get(case.link.id)) for case, was in planned]

    async def _folded(self, planned: Sequence[tuple[Case, Plan]]) -> list[tuple[Case, Plan]]:
        """A conflict is settled by times: who has a note that came since he was claimed is planned again with it."""
        conflicts = {c.link.id: c.item.generation for c, found in planned if any(map(is_conflict, found.disputed))}
        if not conflicts:
            return list(planned)
        async with self.context.database.session() as db:
            late = await notes.unfolded(db, self.context.name, conflicts)
        wait = Plan(Step.WAIT, "unfolded", LinkState.OPEN, cause="unfolded")
        return [(case, wait if case.link.id in late else found) for case, found in planned]

    async def _dated(self, planned: Sequence[tuple[Case, Plan]]) -> list[tuple[Case, Plan]]:
        """Where only the record's last change speaks for the CRM, its history tells when the field itself changed.

        It is dear: a page leaves that to the queue, which would ask again for what it sends.
        """
        doubtful = [case for case, found in planned if case.fresh and self._undated(case, found)]
        await self.observer.date(doubtful)
        again = {case.link.id: plan(case.situation) for case in doubtful if case.situation is not None}
        return [(case, again.get(case.link.id, found)) for case, found in planned]

    def _undated(self, case: Case, found: Plan) -> bool:
        """True when the time of the record decides a conflict for the CRM, which the time of the field may turn round."""
        disputed = found.disputed
        if not disputed or case.situation is None or not self.context.capabilities(case.link.object).history:
            return False
        clocks = case.situation.clocks
        return any(
            d.reason in (Reason.CONFLICT_LATER, Reason.CONFLICT_TIE)
            and d.loser is Side.APP
            and not (d.overwrites or d.returns or any(f.key in clocks.crm for f in d.line.fields))
            for d in disputed
        )

    async def _follow(self, planned: Sequence[tuple[Case, Plan]]) -> list[tuple[Case, Plan]]:
        """Reads the other half, or the survivor, where a plan asks for it, and plans again as a pair."""
        adopting = [(case, found.adopt) for case, found in planned if found.step is Step.ADOPT and found.adopt]
        if adopting:
            await adopt(self.observer, adopting)
        moving = [(case, CrmId(found.adopt)) for case, found in planned if found.step is Step.MOVE and found.adopt]
        if moving:
            await merge(self.observer, moving)
        return [(case, self._again(case, found)) for case, found in planned]

    def _again(self, case: Case, found: Plan) -> Plan:
        """The plan of a case that is a pair now. A survivor that is gone was merged on: its own event is waited for."""
        if found.step not in (Step.ADOPT, Step.MOVE) or case.situation is None:
            return found
        lost = found.step is Step.MOVE and not isinstance(case.crm, Record) and case.crm != TAKEN
        if lost and case.item.tries("merge") < STALE_READS:
            return Plan(Step.WAIT, "merge", case.link.state, cause="merge")
        return plan(case.situation)

    def _hold_keys(self, case: Case, found: Plan) -> Plan:
        """Whoever is about to make or take a record holds its match keys, or its id; the others wait."""
        taking = case.adopted is not None or case.moved
        if found.step is Step.PARK or not (taking or (case.link.half and found.step is Step.APPLY)):
            return found
        held = self.context.keys_in_flight
        if any(held.get(hash_, case.link.id) != case.link.id for hash_ in case.hashes):
            return Plan(Step.WAIT, "same_key", case.link.state, cause="same_key")
        held.update(dict.fromkeys(case.hashes, case.link.id))
        return found

    # --- acting ------------------------------------------------------------------------------------------------------

    async def _dispatch(
        self, planned: Sequence[tuple[Case, Plan]], rulings: Mapping[LinkId, Ruling], *, page: bool, confirmed: bool
    ) -> None:
        acting = [one for one in planned if not (confirmed and page and one[1].record is not None)]
        stopped = await self.brake.stopped(acting, confirmed=confirmed)
        planned = [(case, spared(case, found, stopped.get(case.link.id, NONE))) for case, found in planned]
        parents = await call_parents(self.context, planned)
        await call_children(self.context, planned)
        await find_referring(self.context, [case for case, found in planned if found.widowed])
        local: list[Result] = []
        sending: list[tuple[Case, Plan]] = []
        for case, found in planned:
            ruling = rulings.get(case.link.id, Ruling())
            result = self._set_aside(case, found, page=page, confirmed=confirmed)
            if result is None and found.record is not None:
                if not ruling.settled:
                    sending.append((case, found))
                    continue
                result = self._send_later(case)
            local.append(_told_by(ruling, result or self._local(case, found, parents)))
        await all_done(self._commit(local), *(self._send(*one) for one in sending))

    def _set_aside(self, case: Case, found: Plan, *, page: bool, confirmed: bool) -> Result | None:
        if not case.braked.isdisjoint(found.words(found.effects)):
            return undone(case, braked(case))
        if page and (found.record is not None or self._undated(case, found)):
            return self._send_later(case)
        if page and not confirmed and any(effect in DESTRUCTIVE for _, effect in found.effects):
            due = self.context.clock.now() + timedelta(minutes=10)
            return undone(case, deferral(case, WorkState.WAITING, "sweep", due))
        return None

    def _send_later(self, case: Case) -> Result:
        """The send comes through the queue.

        What became of the last one must be on record before: the next owner would look for a record as the first write
        made it, and find it as the second one left it.
        """
        return undone(case, deferral(case, WorkState.DUE, "send", self.context.clock.now()))

    def _local(self, case: Case, found: Plan, parents: Mapping[Parent, LinkId]) -> Result:
        match found.step:
            case Step.DROP:
                return Result(case, found, drop=True)
            case Step.JOIN:
                return Result(case, None, join=found.join)
            case Step.PARK:
                parked = deferral(case, WorkState.PARKED, found.cause or "unknown", parent=found.behind)
                return replace(undone(case, parked), lacks=found.parents)
            case Step.WAIT:
                put_back = undone(case, waiting(self.context, case, found, parents))
                return replace(put_back, lacks=found.parents if lacks(found) else ())
        if found.widowed:
            case.link = replace(case.link, crm_id=None, base={})
        back = waiting(self.context, case, found, parents) if unfinished(found) else None
        back = braked(case) if back is None and case.braked else back
        alive_again = case.link.state.tombstone and not found.state.tombstone
        more = not isinstance(found.row, InsertRow) and any(d.returns or _leaves_parent(d) for d in found.decisions)
        keyless = isinstance(found.row, InsertRow) and case.situation is not None and case.situation.kin is Kin.COPY
        again = alive_again or more or keyless
        return Result(case, found, deferral=back, again=again, lost=found.lost)

    async def _send(self, case: Case, found: Plan) -> None:
        await self._commit([await self.sender.send(case, found)])

    # --- ending ------------------------------------------------------------------------------------------------------

    async def _commit(self, results: Sequence[Result]) -> None:
        if results:
            try:
                await self.commits.submit(results)
            finally:
                for result in results:
                    self.brake.landed(result.case.link.id)
            if log.is_enabled_for(logging.DEBUG):
                for result in results:
                    _say(result)

    async def _return(self, items: Sequence[Item], listed: Listed | None, error: ConnectorError) -> None:
        """The batch could not be read: every item comes back later."""
        self.context.failures.note(error)
        now, new = self.context.clock.now(), listed.new if listed is not None else {}
        async with self.context.change() as db:
            await open_claimed(self.context, db, [(new[i.link_id], i.lane) for i in items if i.link_id in new], now)
            await work.defer(db, [retry(item, error, now) for item in items], now)


def _told_by(ruling: Ruling, result: Result) -> Result:
    """The result with what is known by now of writes whose answer never came."""
    settled = ruling.settled
    return replace(result, settled=settled, applied=ruling.applied, restated=bool(settled))


async def all_done(*work_: Awaitable[None]) -> None:
    """Waits for all of them, whatever becomes of one; then raises the first error. Nothing goes on unseen."""
    for outcome in await asyncio.gather(*work_, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _calm(case: Case, found: Plan, lines: frozenset[str] | None) -> tuple[Case, Plan]:
    if not lines or case.situation is None:
        return case, found
    case.situation = replace(case.situation, oscillating=lines)
    return case, plan(case.situation)


def _leaves_parent(d: Decision) -> bool:
    """The reference is cleared because its new parent is gone: what is left to say is said in the next pass."""
    return d.reason is Reason.PARENT_GONE and d.verdict is not Verdict.HELD


def _say(result: Result) -> None:
    """One line per reconciled record: outcome and reasons, no values."""
    case, found = result.case, result.plan
    cause = result.deferral.cause if result.deferral is not None else None
    log.debug(
        "record.reconciled",
        mapping=case.mapping.name if case.mapping is not None else None,
        link=case.link.id,
        lane=case.item.lane,
        outcome=result.sent_action or (found.reason if found is not None else "deferred"),
        cause=cause,
        reasons=sorted({d.reason for d in found.decisions}) if found is not None else None,
    )
