"""Explain: what is known of one record and what would be done about it, by the observer and plan that everything uses.

Nothing is written. What is returned holds the record's values: it is for the person who asked, never for a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import asyncpg

from connector.core import advice
from connector.core.brake import said
from connector.core.errors import ConnectorError
from connector.core.identity import Role
from connector.core.line import BoundMapping, Line
from connector.core.merge import Decision
from connector.core.model import (
    ABSENT,
    AppKey,
    Clocks,
    CrmId,
    Lane,
    Link,
    LinkId,
    LinkState,
    NotVisible,
    OpenConflict,
    Record,
    Side,
)
from connector.core.plan import Kin, Plan, Step
from connector.engine.apply.putback import blocked_send, unsent
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.engine.reconcile import Reconciler
from connector.engine.sweeps.preview import app_half, crm_half
from connector.local import tables
from connector.store import links, records
from connector.store.db import Connection
from connector.store.records import Known, Standing
from connector.store.work import Item

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Found:
    """One record as the state knows it."""

    link: Link
    known: Known | None
    standing: Standing | None


class Explainer:
    """Explains records of one connection."""

    def __init__(self, context: Context, reconciler: Reconciler) -> None:
        self.context, self.reconciler = context, reconciler

    async def find(self, args: Mapping[str, str]) -> Found:
        """The record that `mapping` with `key` or `crm` names; ConnectorError where there can be none."""
        mapping = mapping_of(self.context, args)
        async with self.context.database.session() as db:
            if args.get("crm") is not None:
                link = await self._by_crm(db, mapping, CrmId(args["crm"]))
            else:
                link = await self._by_key(db, mapping, args["key"])
            return Found(link, await records.known(db, link.id), await records.standing(db, link.id))

    async def _by_crm(self, db: Connection, mapping: BoundMapping, crm_id: CrmId) -> Link:
        found = await links.by_crm(db, self.context.name, mapping.object, [crm_id])
        return found.get(crm_id) or crm_half(mapping.object, crm_id)

    async def _by_key(self, db: Connection, mapping: BoundMapping, text: str) -> Link:
        """A key may be spelt as PostgreSQL reads it; a row that is gone still has its link."""
        try:
            rows = await tables.read(db, self.context.rules.shapes[mapping.name], [AppKey(text)])
        except asyncpg.DataError as error:
            kind = mapping.table.columns[mapping.key].type
            raise ConnectorError(f"{mapping.name}: that is no key of type {kind}") from error
        key = next(iter(rows), AppKey(text))
        link = (await links.by_app(db, self.context.name, mapping.name, [key])).get(key)
        if link is None and not rows:
            raise ConnectorError(f"{mapping.name}: no row of {mapping.table.schema}.{mapping.table.name} has that key")
        return link or app_half(mapping, key)

    async def explain(self, args: Mapping[str, str], *, paired_again: bool = False) -> Json:
        """Everything about the record and its plan. `paired_again`: as if a person had asked to pair a tombstone."""
        found = await self.find(args)
        link = revived(found.link) if paired_again else found.link
        case = Case(_item(found), link, self.context.rules, self.context.clock.now())
        await self.reconciler.observer.complete([case], {}, None)
        if found.known is None and isinstance(case.crm, NotVisible):
            raise ConnectorError(f"the CRM shows no {link.object} {link.crm_id}")
        case.mapping = case.mapping or mapping_of(self.context, args)
        await self.reconciler.observer.situations([case])
        ((case, planned),) = await self.reconciler.foresee([case])
        return self._told(found, case, planned)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _told(self, found: Found, case: Case, planned: Plan) -> Json:
        mapping, link = case.mapping, case.link
        blocks = list(self._blocks(found, case, planned))
        assert mapping is not None and case.situation is not None  # noqa: S101, PT018 (explain gave it both)
        clocks = case.situation.clocks
        return {
            "connection": self.context.name,
            "mapping": mapping.name,
            "object": mapping.object,
            "table": f"{mapping.table.schema}.{mapping.table.name}",
            "app_key": link.app_key,
            "crm_id": link.crm_id,
            "crm_url": self.context.crm.link_url(mapping.object, link.crm_id) if link.crm_id is not None else None,
            "row": "found" if case.row is not None else ("none" if link.app_key is None else "gone"),
            "record": _seen(case),
            "link": _link(found),
            "work": _work(found.standing),
            "clocks": {"app": _iso(clocks.app_record), "crm": _iso(clocks.crm_record), "band_seconds": clocks.band},
            "plan": self._plan(case, planned),
            "blocks": blocks,
            "advice": [advice.for_block(block) for block in blocks],
            "lines": [_line(line, case, _decision(planned, line), clocks) for line in mapping.every_line],
        }

    def _plan(self, case: Case, planned: Plan) -> Json:
        cause = blocked_send(self.context, case) if unsent(planned) else planned.cause
        return {
            "step": planned.step.value,
            "reason": planned.reason,
            "cause": cause,
            "state": planned.state.value,
            "adopts": case.adopted.value if case.adopted is not None else None,
            "row": _action(planned.row),
            "record": _action(planned.record),
            "counts_for_brake": sorted(f"{side.value}_{effect.value}" for side, effect in planned.effects),
        }

    def _blocks(self, found: Found, case: Case, planned: Plan) -> Iterable[str]:
        """Why nothing happens, or not all, in the order in which it would have to be cleared."""
        name = case.mapping.name if case.mapping is not None else ""
        yield from self._stopped(case, name)
        if found.link.released and found.known is not None:
            yield f"its CRM record is another mapping's now: {found.known.cause}"
        if unsent(planned):
            yield f"nothing is sent: {blocked_send(self.context, case)}"
        else:
            yield from _planned(planned)
        if planned.cause in ("ambiguous", "duplicate"):
            yield from _candidates(case)
        for parent in planned.parents:
            yield f"waits for {parent.mapping} {parent.key} ({'row' if parent.side is Side.APP else 'CRM id'})"
        if found.standing is not None:
            yield from _put_off(found.standing)
        if case.situation is not None and case.situation.kin is Kin.COPY and not case.situation.mapping.direction.sends:
            yield "the record is a copy: it keeps the key of the one it was copied from, for the mapping only receives"
        yield from self._aside(name)
        for line, cause in planned.held.items():
            yield f"held value {line}: {cause}"
        refused = found.known.held if found.known is not None else {}
        for line in refused.keys() - planned.held.keys():
            yield f"held value {line}: {refused[line]}, when it was last tried"

    def _stopped(self, case: Case, name: str) -> Iterable[str]:
        gates = self.context.gates
        if gates.held is not None:
            yield f"the connection is held: {gates.held}"
        if gates.paused or name in gates.paused_mappings:
            yield f"the {'connection' if gates.paused else 'mapping'} is paused"
        if gates.role is not Role.ORIGINAL:
            yield f"the database is {gates.role.value.replace('_', ' ')}: see `connector database show`"
        if case.mapping is not None and case.mapping.observed:
            yield "the mapping only observes (rollout: observe)"

    def _aside(self, name: str) -> Iterable[str]:
        aside = self.context.rules.bound.pins.aside
        return (f"quarantined {line}: {why}" for (mapping, line), why in aside.items() if mapping == name)


def _planned(planned: Plan) -> Iterable[str]:
    """Why the plan does nothing."""
    if planned.step in (Step.WAIT, Step.PARK):
        yield f"{planned.step.value}: {planned.cause}"
    elif planned.state is LinkState.EXCLUDED or planned.reason == "frozen":
        yield f"{planned.state.value}: {planned.cause}"


def _put_off(standing: Standing) -> Iterable[str]:
    """Why its work item is not done."""
    if standing.state in ("parked", "retry"):
        yield f"{standing.state}: {standing.cause}"
    for word in sorted(standing.item.braked):
        yield f"the brake stops: {said(word)}; see: connector brake show"


def mapping_of(context: Context, args: Mapping[str, str]) -> BoundMapping:
    """The mapping that a request names."""
    mapping = context.rules.bound.mappings.get(args["mapping"])
    if context.rules.blocked(args["mapping"]):
        raise ConnectorError(f"nothing of {args['mapping']} is worked on for now", "`connector status` says why")
    if mapping is None:
        raise ConnectorError(f"no mapping {args['mapping']}", "see `connector status` for their names")
    return mapping


def revived(link: Link) -> Link:
    """The link as `link_writes.revive` leaves it: a tombstone is seen for the first time again."""
    apart = (LinkState.UNLINKED, LinkState.DELETED, LinkState.LEFT_OUT, LinkState.EXCLUDED, LinkState.FROZEN)
    if link.state not in apart or link.released:
        return link
    state = LinkState.OPEN if link.half else LinkState.LINKED
    return replace(link, state=state, base={} if link.state.tombstone else link.base)


def _candidates(case: Case) -> Iterable[str]:
    """Whom a half could be paired with, or is taken for, by its match keys."""
    other = case.link.object if case.link.app_key is not None else "row"
    for one in case.situation.candidates if case.situation is not None else ():
        yield f"{other} {one.key} has an equal match key" + (" and belongs to another pair" if one.linked else "")


def _item(found: Found) -> Item:
    return found.standing.item if found.standing is not None else Item(LinkId(found.link.id), Lane.MANUAL, 0)


def _seen(case: Case) -> str:
    if case.crm is None:
        return "none"
    return "found" if isinstance(case.crm, Record) else type(case.crm).__name__.lower()


def _link(found: Found) -> Json | None:
    if found.known is None:
        return None
    return {
        "id": found.link.id,
        "state": found.known.state,
        "cause": found.known.cause,
        "origin": found.link.origin.value,
        "synced_at": _iso(found.known.synced_at),
        "held": dict(found.known.held),
    }


def _work(standing: Standing | None) -> Json | None:
    if standing is None:
        return None
    names = ("mapping", "app_key", "crm_id")
    return {
        "state": standing.state,
        "cause": standing.cause,
        "lane": standing.item.lane.name.lower(),
        "attempt": standing.item.attempt,
        "due_at": _iso(standing.due_at),
        "noticed_at": _iso(standing.item.noticed_at),
        "waiting_for": dict(zip(names, standing.blocked_by, strict=True)) if standing.blocked_by else None,
    }


def _action(action: object | None) -> Json | None:
    if action is None:
        return None
    values = asdict(action)  # type: ignore[call-overload]  # every action is a dataclass
    return {"action": type(action).__name__, "values": values.get("columns") or values.get("fields") or {}}


def _decision(planned: Plan, line: Line) -> Decision | None:
    return next((decision for decision in planned.decisions if decision.line.name == line.name), None)


def _line(line: Line, case: Case, decision: Decision | None, clocks: Clocks) -> Json:
    """One line: its rule, its values on both sides and in the base, and the decision where there is one."""
    pair = case.link.base.get(line.name)
    told: dict[str, object] = {
        "line": line.name,
        "direction": line.direction.value,
        "conflict": line.conflict.value,
        "link": line.link,
        "base": {"app": pair.app, "crm": pair.crm, "valid": pair.rule == line.rule} if pair is not None else None,
        "app": line.converter.read_app(case.row.columns) if case.row is not None else None,
        "clocks": _line_clocks(line, clocks),
        "decision": decision.verdict.value if decision is not None else None,
        "reason": decision.reason.value if decision is not None else None,
        "cause": decision.cause if decision is not None else None,
        "asked": _asked(case.link.conflicts.get(line.name)),
        "becomes": _becomes(decision),
    }
    held = line.converter.read_crm(case.crm.fields) if isinstance(case.crm, Record) else None
    return told | ({} if held is ABSENT else {"crm": held})


def _line_clocks(line: Line, clocks: Clocks) -> Json:
    app = [clocks.app[name] for name in line.columns if name in clocks.app]
    crm = [clocks.crm[field.key] for field in line.fields if field.key in clocks.crm]
    return {"app": _iso(max(app, default=None)), "crm": _iso(max(crm, default=None))}


def _asked(conflict: OpenConflict | None) -> Json | None:
    """Of a conflict that a person is to settle: what he is shown."""
    if conflict is None:
        return None
    return {
        "since": _iso(conflict.since),
        "app": conflict.app,
        "crm": conflict.crm,
        "overwritten": conflict.overwritten,
        "keep": conflict.keep,
    }


def _becomes(decision: Decision | None) -> Json | None:
    """What both sides will agree on."""
    if decision is None or decision.base is None:
        return None
    return {"app": decision.base.app, "crm": decision.base.crm}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
