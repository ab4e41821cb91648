"""What to do about one record: pure, total, and explaining itself.

A `Situation` is everything that was observed; a `Plan` is data. The worker, `sync`, `explain` and a dry run use this same
function. It never looks anything up: what it would need to know next, it asks for as its `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from connector.core.convert.columns import spelled
from connector.core.filter import crm_reader, failing
from connector.core.line import BoundMapping, Line, Refs
from connector.core.mapping import Condition, DeletePolicy, Direction, Keyword, OnLeave, SetValue
from connector.core.merge import Decision, Grounds, Inputs, Parent, Reason, Verdict, after_the_fact, decide, empty
from connector.core.model import (
    ABSENT,
    Clocks,
    CrmValue,
    Gone,
    Json,
    Link,
    LinkId,
    LinkState,
    Moved,
    NotVisible,
    Observed,
    Record,
    Row,
    Side,
)
from connector.core.schema import Metadata

MERGE_UNSENT: Final = "merge_unsent"
"""Parked: two rows came to stand for one record, and both hold edits that the CRM has not got."""


class Step(StrEnum):
    """What the engine does with a plan.

    done: keep the state, nothing to write · apply: write · adopt: read the other half, then plan again as a pair ·
    join: this CRM half is what an open intent made · wait · park: a person is needed · drop: the row is gone.
    """

    DONE = "done"
    APPLY = "apply"
    ADOPT = "adopt"
    JOIN = "join"
    MOVE = "move"
    WAIT = "wait"
    PARK = "park"
    DROP = "drop"


class Kin(StrEnum):
    """What a record is that carries the key of a row which is linked to another record.

    copy: a person duplicated that record · twin: an earlier create of ours for that row, late or restored.
    """

    COPY = "copy"
    TWIN = "twin"


class Effect(StrEnum):
    """What the brake counts."""

    CREATE = "create"
    DELETE = "delete"
    CLEAR = "clear"
    OVERWRITE = "overwrite"


@dataclass(slots=True)
class InsertRow:
    """A new row for a CRM record."""

    columns: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """New values for some columns of a row whose mapped columns still hold what was observed."""

    columns: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class DeleteRow:
    """The row goes, as `deletes.receive` says."""


@dataclass(frozen=True, slots=True)
class CreateRecord:
    """A new CRM record for a row."""

    fields: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """New values for some fields of a CRM record. `rekey`: it gets the key of its own row in the place of another's."""

    fields: Mapping[str, Json]
    rekey: bool = False


@dataclass(frozen=True, slots=True)
class DeleteRecord:
    """The CRM record goes, as `deletes.send` says."""


RowAction = InsertRow | UpdateRow | DeleteRow
RecordAction = CreateRecord | UpdateRecord | DeleteRecord


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record or row of the other side with an equal match key. `linked`: it already belongs to another link."""

    key: str
    linked: bool


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the connection already knows.

    Nothing is sent before a mapping's first fetch-all, and nothing is created
    before the object's first listing is complete.
    """

    sends: bool = True
    listed: bool = True


@dataclass(slots=True)
class Situation:
    """Everything observed about one link.

    `row` None: the app has no such row (when `link.app_key` is known). `crm` None: the CRM side was not looked at,
    because the link has no CRM id.
    """

    mapping: BoundMapping
    link: Link
    row: Row | None
    crm: Observed | None
    metadata: Metadata
    now: datetime
    clocks: Clocks = field(default_factory=Clocks)
    refs: Refs = field(default_factory=Refs)
    unreachable: frozenset[Parent] = frozenset()
    dead: frozenset[Parent] = frozenset()
    candidates: tuple[Candidate, ...] = ()
    rivals: bool = False
    """Another link is creating a record with an equal match key right now."""
    peers: bool = False
    """Another row or record of the same side has an equal match key and no partner either: any pair would be a guess."""
    intent_link: LinkId | None = None
    """The link whose open create intent made this CRM half (by identity or fingerprint)."""
    intents_pending: bool = False
    """Open create intents that may have made this CRM half, and nobody can tell yet."""
    linked_in: Callable[[str, Json], bool] = lambda _mapping, _value: False
    ready: Readiness = field(default_factory=Readiness)
    unseen: Mapping[str, Json] = field(default_factory=dict)
    """By line: a value of the CRM that our last write put away before anybody had seen it."""
    kin: Kin | None = None
    merging: bool = False
    """Another record was merged into this CRM half, and the link of its row will follow."""
    contested: bool = False
    """The record was merged into one whose row holds unsent edits, and nobody has settled it."""
    evidence: bool = False
    """A delete event was received for the CRM record."""
    heir: str | None = None
    """The other mapping whose record this one is now that it does not pass the filter of its own."""
    left_behind: Sequence[Link] = ()
    """The links of this table that the CRM half had left for other mappings, the newest first."""


@dataclass(slots=True)
class Plan:
    """What happens. `state` is the link's state once it has happened; `cause` names a wait, park or exclusion."""

    step: Step
    reason: str
    state: LinkState
    decisions: tuple[Decision, ...] = ()
    row: RowAction | None = None
    record: RecordAction | None = None
    cause: str | None = None
    parents: tuple[Parent, ...] = ()
    adopt: str | None = None
    join: LinkId | None = None
    died: Side | None = None
    restore: Mapping[str, str | None] = field(default_factory=dict)
    heir: str | None = None
    """The mapping to which the record goes; the link only remembers it from now on."""
    deferred_sends: bool = False
    """Sends exist but wait for the mapping's first fetch-all."""

    @property
    def effects(self) -> frozenset[tuple[Side, Effect]]:
        """What the brake counts in this plan, at most one of each kind on a side: it counts records."""
        found: set[tuple[Side, Effect]] = set()
        if isinstance(self.row, DeleteRow) or self.restore:
            found.add((Side.APP, Effect.DELETE))
        if isinstance(self.row, UpdateRow):
            found.update(_line_effects(self.decisions, Verdict.RECEIVE, Side.APP))
        if isinstance(self.record, DeleteRecord):
            found.add((Side.CRM, Effect.DELETE))
        if isinstance(self.record, CreateRecord):
            found.add((Side.CRM, Effect.CREATE))
        if isinstance(self.record, UpdateRecord):
            found.update(_line_effects(self.decisions, Verdict.SEND, Side.CRM))
        return frozenset(found)

    @property
    def held(self) -> dict[str, str]:
        """Line → cause of the values that could not move."""
        return {d.line.name: d.cause for d in self.decisions if d.verdict is Verdict.HELD and d.cause is not None}

    def sends(self) -> tuple[Decision, ...]:
        """The lines that are written to the CRM."""
        return tuple(d for d in self.decisions if d.verdict is Verdict.SEND)


def _line_effects(decisions: Iterable[Decision], verdict: Verdict, side: Side) -> Iterable[tuple[Side, Effect]]:
    for d in decisions:
        if d.verdict is verdict and d.clears:
            yield side, Effect.CLEAR
        if d.verdict is verdict and d.overwrites:
            yield side, Effect.OVERWRITE


def plan(s: Situation) -> Plan:
    """The plan for what was observed."""
    if s.mapping.direction is Direction.NONE:
        return _excluded("direction") if s.link.half else Plan(Step.DONE, "direction", s.link.state)
    if s.link.released:
        return _released(s)
    if s.link.state.tombstone:
        return _tombstone(s)
    if s.link.app_key is None:
        return _crm_half(s)
    if s.link.crm_id is None:
        return _app_half(s)
    return _pair(s)


# --- one side known --------------------------------------------------------------------------------------------------


def _app_half(s: Situation) -> Plan:
    if s.row is None:
        return Plan(Step.DROP, "row_gone", LinkState.OPEN)
    matched = _match(s)
    if matched is not None and matched.step is not Step.PARK:
        return matched
    return _row_kept_out(s, s.row) or _incomplete(s) or matched or _too_early(s) or _create(s)


def _row_kept_out(s: Situation, row: Row) -> Plan | None:
    if not s.mapping.direction.sends:
        return _excluded("direction")
    failed = failing(s.mapping.only_send, row.columns.get, s.linked_in)
    return _excluded(f"only.send {failed.name}") if failed is not None else None


def _incomplete(s: Situation) -> Plan | None:
    """While a match key is set aside nobody can tell what a new record would double."""
    return _wait("quarantined") if s.mapping.incomplete else None


def _too_early(s: Situation) -> Plan | None:
    if not s.ready.sends:
        return _wait("first_fetch_all")
    if not s.ready.listed:
        return _wait("first_listing")
    return _wait("same_key") if s.rivals else None


def _create(s: Situation) -> Plan:
    decisions = _decide(s, s.mapping.every_line, None)
    blocked = _waiting(decisions)
    if blocked is not None:
        return blocked
    fields: dict[str, Json] = {}
    for d in decisions:
        if d.verdict is Verdict.SEND and d.base is not None and d.base.crm is not None:
            fields.update(d.line.converter.write_crm(d.base.crm, fields))
    return Plan(Step.APPLY, "create", LinkState.LINKED, decisions, record=CreateRecord(fields))


def _crm_half(s: Situation) -> Plan:
    if not isinstance(s.crm, Record):
        return _excluded("record_gone" if isinstance(s.crm, Gone) else "missing")
    owned = _of_another_link(s, s.crm)
    if owned is not None:
        return owned
    matched = _match(s)
    if matched is not None and matched.step is not Step.PARK:
        return matched
    twin = _park("duplicate") if s.kin is Kin.TWIN else None
    return _record_kept_out(s, s.crm) or _incomplete(s) or twin or matched or _insert(s, s.crm)


def _of_another_link(s: Situation, record: Record) -> Plan | None:
    """The record is what our create made, or what a link had before, or that will be known soon."""
    if s.intent_link is not None:
        return Plan(Step.JOIN, "our_create", LinkState.LINKED, join=s.intent_link)
    if s.intents_pending or s.merging:
        return _wait("open_intents" if s.intents_pending else "merge")
    return _left_behind(s) if s.left_behind and _record_kept_out(s, record) is None else None


def _left_behind(s: Situation) -> Plan | None:
    """A record that comes back to a mapping has its old link there; one that stays in its table keeps its row."""
    own = next((link for link in s.left_behind if link.mapping == s.mapping.name), None)
    if own is not None:
        return Plan(Step.JOIN, "kind_again", LinkState.LINKED, join=own.id)
    row = next((link.app_key for link in s.left_behind if link.state is LinkState.FROZEN), None)
    return Plan(Step.ADOPT, "same_row", LinkState.OPEN, adopt=row) if row is not None else None


def _record_kept_out(s: Situation, record: Record) -> Plan | None:
    if not s.mapping.direction.receives:
        return _excluded("direction")
    failed = failing(s.mapping.only_receive, _crm_values(s, record), s.linked_in)
    return _excluded(f"only.receive {failed.name}") if failed is not None else None


def _insert(s: Situation, record: Record) -> Plan:
    decisions = _decide(s, s.mapping.lines, record)
    blocked = _waiting(decisions)
    if blocked is not None:
        return blocked
    columns = {name: constant(value, s.now) for name, value in s.mapping.set_app.items()}
    for d in decisions:
        if d.verdict is Verdict.RECEIVE and d.base is not None and not empty(d.base.app):
            columns.update(d.line.converter.write_app(d.base.app))
    reason = "copy" if s.kin is Kin.COPY else "insert"
    return Plan(Step.APPLY, reason, LinkState.LINKED, decisions, row=InsertRow(columns))


def _match(s: Situation) -> Plan | None:
    free = [c for c in s.candidates if not c.linked]
    if free and not s.ready.listed:
        return _wait("first_listing")
    if len(free) == 1 and not s.peers:
        return Plan(Step.ADOPT, "match", LinkState.OPEN, adopt=free[0].key)
    if free:
        return _park("ambiguous")
    return _park("duplicate") if s.candidates else None


def _waiting(decisions: Iterable[Decision]) -> Plan | None:
    """What keeps a new pair from being made: a parent on its way, else a required one that does not come."""
    named = [d for d in decisions if d.parent is not None and not d.line.deferred]
    coming = tuple(d.parent for d in named if d.parent and d.verdict is Verdict.WAIT)
    if coming:
        return replace(_wait("parent"), parents=coming)
    lacking = [d for d in named if d.line.required]
    if not lacking:
        return None
    died = any(d.reason is Reason.PARENT_GONE for d in lacking)
    stopped = _park("parent_gone") if died else _wait("parent_unavailable")
    return replace(stopped, parents=tuple(d.parent for d in lacking if d.parent))


def _excluded(cause: str) -> Plan:
    return Plan(Step.DONE, "excluded", LinkState.EXCLUDED, cause=cause)


def _wait(cause: str) -> Plan:
    return Plan(Step.WAIT, cause, LinkState.OPEN, cause=cause)


def _park(cause: str) -> Plan:
    return Plan(Step.PARK, cause, LinkState.OPEN, cause=cause)


# --- both sides known ------------------------------------------------------------------------------------------------


def _pair(s: Situation) -> Plan:
    if s.link.state not in (LinkState.LINKED, LinkState.FROZEN) and not (s.row and isinstance(s.crm, Record)):
        return _wait("same_key")  # one of two halves that were to be joined is gone: nothing that was agreed has died
    match s.crm:
        case Moved():
            return Plan(Step.MOVE, "merged", s.link.state, adopt=s.crm.to)
        case Gone():
            return _record_gone(s, s.crm.proof)
        case NotVisible() | None if s.evidence:
            return _record_gone(s, "event")
        case NotVisible() | None:
            return replace(_park("missing"), state=s.link.state)
        case Record():
            return _row_gone(s) if s.row is None else _both_alive(s, s.row, s.crm)


def _record_gone(s: Situation, proof: str) -> Plan:
    """The CRM record was deleted: `deletes.receive` decides what happens to the row."""
    policy = s.mapping.deletes.receive if s.mapping.direction.receives else DeletePolicy.NONE
    gone = Plan(Step.APPLY, f"crm_deleted:{proof}", _dead(policy), died=Side.CRM)
    if s.row is None:
        return gone
    if s.contested and unsent(s.mapping, s.link, s.row):
        return replace(_park(MERGE_UNSENT), state=s.link.state)
    if policy is DeletePolicy.DELETE:
        return replace(gone, row=DeleteRow())
    if policy is DeletePolicy.SET:
        columns = {name: constant(value, s.now) for name, value in s.mapping.deletes.set.items()}
        return replace(gone, row=UpdateRow(columns), restore=columns)
    return gone


def unsent(mapping: BoundMapping, link: Link, row: Row) -> bool:
    """True when the row holds edits that the CRM has not got."""
    known = [(line, link.base[line.name]) for line in mapping.lines if line.direction.sends and line.name in link.base]
    return any(not line.converter.same_app(line.converter.read_app(row.columns), base.app) for line, base in known)


def _dead(policy: DeletePolicy) -> LinkState:
    """What is left of a pair: `unlink` and `none` keep the two apart until a person pairs them again."""
    apart = policy in (DeletePolicy.UNLINK, DeletePolicy.NONE)
    return LinkState.UNLINKED if apart else LinkState.DELETED


def _row_gone(s: Situation) -> Plan:
    """The row was deleted: `deletes.send` decides what happens to the CRM record."""
    policy = s.mapping.deletes.send if s.mapping.direction.sends else DeletePolicy.NONE
    gone = Plan(Step.APPLY, "app_deleted", _dead(policy), died=Side.APP)
    if policy is not DeletePolicy.DELETE or not isinstance(s.crm, Record):
        return gone
    if s.crm.archived:
        return replace(_park("archived"), state=s.link.state)
    return replace(gone, record=DeleteRecord()) if s.ready.sends else _wait("first_fetch_all")


def _both_alive(s: Situation, row: Row, record: Record) -> Plan:
    left = _left(s, row, record)
    if left is not None:
        return _leave(s, *left)
    sendable = not record.archived and failing(s.mapping.only_send, row.columns.get, s.linked_in) is None
    decisions = _decide(s, s.mapping.every_line, record, sendable=sendable)
    return _write(s, tuple(_told_later(s, d) for d in decisions) if s.unseen else decisions, row, record)


def _told_later(s: Situation, d: Decision) -> Decision:
    """The decision, unless the echo of our last write has told that it put away what nobody had seen."""
    base = s.link.base.get(d.line.name)
    if d.line.name not in s.unseen or base is None or d.reason is not Reason.UNCHANGED:
        return d
    return after_the_fact(d.line, Inputs(d.app, d.crm, base, Grounds(s.clocks, s.refs)), s.unseen[d.line.name])


def _write(s: Situation, decisions: tuple[Decision, ...], row: Row, record: Record) -> Plan:
    columns: dict[str, str | None] = {}
    fields: dict[str, Json] = {}
    now_held = dict(record.fields)
    for d in decisions:
        if d.base is None:
            continue
        if d.verdict is Verdict.RECEIVE:
            columns.update(d.line.converter.write_app(d.base.app))
        elif d.verdict is Verdict.SEND:
            change = d.line.converter.write_crm(d.base.crm, now_held)
            fields.update(change)
            now_held.update(change)
    changed = {name: value for name, value in columns.items() if row.columns.get(name) != value}
    moved = changed or fields or any(d.base is not None for d in decisions) or s.link.state is not LinkState.LINKED
    parents = tuple(d.parent for d in decisions if d.verdict is Verdict.WAIT and d.parent)
    rekey = s.kin is Kin.COPY and s.mapping.direction.sends and not record.archived
    sends = (bool(fields) or rekey) and s.ready.sends
    return Plan(
        Step.APPLY if moved or rekey else (Step.WAIT if parents else Step.DONE),
        "merge" if moved else "copy" if rekey else ("parent" if parents else "in_agreement"),
        LinkState.LINKED,
        decisions,
        row=UpdateRow(changed) if changed else None,
        record=UpdateRecord(fields, rekey) if sends else None,
        cause="parent" if parents else None,
        parents=parents,
        deferred_sends=(bool(fields) or rekey) and not sends,
    )


def _left(s: Situation, row: Row, record: Record) -> tuple[Side, Condition] | None:
    """The side that no longer passes its filter. A row that was received never had to pass `only.send`."""
    if s.mapping.direction.receives:
        failed = failing(s.mapping.only_receive, _crm_values(s, record), s.linked_in)
        if failed is not None:
            return Side.CRM, failed
    if s.mapping.direction.sends and (s.link.origin is Side.APP or not s.mapping.direction.receives):
        failed = failing(s.mapping.only_send, row.columns.get, s.linked_in)
        if failed is not None:
            return Side.APP, failed
    return None


def _leave(s: Situation, side: Side, failed: Condition) -> Plan:
    cause = f"only.{'receive' if side is Side.CRM else 'send'} {failed.name}"
    heir = s.heir if side is Side.CRM else None
    if heir is not None:
        cause = f"belongs_to {heir}"
    if s.mapping.on_leave is OnLeave.FREEZE:
        if s.link.state is LinkState.FROZEN and heir is None:
            return Plan(Step.DONE, "frozen", LinkState.FROZEN, cause=cause)
        return Plan(Step.APPLY, "left_filter", LinkState.FROZEN, cause=cause, heir=heir)
    if s.mapping.on_leave is OnLeave.UNLINK:
        return Plan(Step.APPLY, "left_filter", LinkState.UNLINKED, cause=cause, heir=heir)
    return replace(_record_gone(s, "left_filter"), cause=cause, heir=heir) if side is Side.CRM else _row_gone(s)


def _released(s: Situation) -> Plan:
    """The record is another mapping's now: nothing flows, and nothing that happens to the row concerns it."""
    if s.row is None and not s.link.state.tombstone:
        return Plan(Step.DROP, "row_gone", s.link.state)
    return Plan(Step.DONE, "other_kind", s.link.state)


# --- tombstones ------------------------------------------------------------------------------------------------------


def _tombstone(s: Situation) -> Plan:
    """Evidence of life reopens a link whose side was deleted, once the filters let it pass.

    `on_leave: delete` writes such a link too; one that is unlinked stays apart. A row that we deleted comes back under
    its key. A record that turns out to be merged has never died.
    """
    quiet = Plan(Step.DONE, "tombstone", s.link.state)
    if s.heir is not None:
        return replace(quiet, step=Step.APPLY, reason="other_kind", cause=f"belongs_to {s.heir}", heir=s.heir)
    ours = s.link.died is Side.CRM and s.mapping.deletes.receive is DeletePolicy.DELETE
    if s.link.app_key is None or (s.row is None and not ours):
        return quiet
    if isinstance(s.crm, Moved) and s.link.died is Side.CRM:
        return Plan(Step.MOVE, "merged", s.link.state, adopt=s.crm.to)
    if isinstance(s.crm, Record) and s.link.state is LinkState.DELETED:
        return _alive_again(s, s.crm) or quiet
    return quiet


def _alive_again(s: Situation, record: Record) -> Plan | None:
    if s.row is None:
        return _insert_again(s, record) if _record_kept_out(s, record) is None else None
    if _left(s, s.row, record) is not None:
        return None
    kept = {c: None for c, value in s.link.restore.items() if same_constant(s.row.columns.get(c), value)}
    return Plan(Step.APPLY, "alive_again", LinkState.LINKED, row=UpdateRow(kept) if kept else None)


def _insert_again(s: Situation, record: Record) -> Plan:
    """The row that went with its record, as the record is now; its key names it to whatever still refers to it."""
    found = _insert(replace(s, link=replace(s.link, base={})), record)
    if not isinstance(found.row, InsertRow):
        return replace(found, state=s.link.state)
    columns = {s.mapping.key: str(s.link.app_key), **found.row.columns}
    return replace(found, reason="alive_again", row=InsertRow(columns))


def same_constant(held: str | None, written: str | None) -> bool:
    """True when a column still holds what `set` wrote."""
    return held is not None and (held == written)


# --- shared ----------------------------------------------------------------------------------------------------------


def _decide(
    s: Situation, lines: Iterable[Line], record: Record | None, *, sendable: bool = True
) -> tuple[Decision, ...]:
    grounds = Grounds(s.clocks, s.refs, s.unreachable, s.dead, sendable=sendable)
    return tuple(decide(line, _inputs(s, line, record, grounds)) for line in lines)


def _inputs(s: Situation, line: Line, record: Record | None, grounds: Grounds) -> Inputs:
    """What is held of a line. What the record of a new row does not tell is empty."""
    app = None
    if s.row is not None or not line.columns:
        app = line.converter.read_app(s.row.columns if s.row is not None else {})
    crm = line.converter.read_crm(record.fields) if record is not None else None
    if s.row is None and crm is ABSENT:
        crm = None
    return Inputs(app, crm, s.link.base.get(line.name), grounds)


def _crm_values(s: Situation, record: Record) -> Callable[[str], CrmValue]:
    return crm_reader(s.metadata.fields.get(record.object, ()), s.metadata, record.fields)


def constant(value: SetValue, now: datetime) -> str | None:
    """A `set.app` or `deletes.set` value in PostgreSQL's text spelling."""
    if value is Keyword.NOW:
        return now.isoformat(sep=" ")
    if value is Keyword.NULL or value is None:
        return None
    return spelled(value)
