"""Send: one write to the CRM, from the limiter's leave through the intent to the stored answer.

The intent is committed before the call. An answer that never came is not repeated: the record waits until a read tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connector.core.errors import ConnectorError, RefusedError, UnavailableError
from connector.core.fingerprint import OVERLAP, UNKNOWN_FOR
from connector.core.merge import Decision, Verdict
from connector.core.model import ABSENT, Base, Json, LinkState, OpenConflict, Pair, Record, Side
from connector.core.plan import CreateRecord, DeleteRecord, Effect, Plan, Step, UpdateRecord, plan
from connector.core.refused import REFUSED, still_refused, without
from connector.core.unseen import Heard, followed
from connector.engine.apply.putback import call_parents, deferral, retry, undone, unfinished, waiting, word_of
from connector.engine.apply.result import Result
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.engine.send.resolve import stored_base, written
from connector.ports import WRITE_SECONDS, Create, Delete, Done, Failed, Operation, Outcome, Unknown, Update
from connector.store import intents
from connector.store.group_commit import GroupCommit
from connector.store.intents import IntentId, NewIntent
from connector.store.work import WorkState

LOOKS = 3
"""So often a record that was not there to be written is read again: it was deleted since, and the read tells how."""
FRESH = UNKNOWN_FOR - timedelta(seconds=WRITE_SECONDS) - OVERLAP
"""So old at most is an intent when its call starts: the minute after which a read tells counts from the intent."""


class Sender:
    """Sends planned writes of one connection."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.book: GroupCommit[NewIntent, IntentId] = GroupCommit(self._open_intents)

    async def send(self, case: Case, found: Plan) -> Result:
        """Carries out the plan's CRM write; what is to be committed."""
        try:
            return await self._write(case, found)
        except ConnectorError as error:
            self.context.failures.note(error)
            return undone(case, retry(case.item, error, self.context.clock.now()))

    async def _write(self, case: Case, found: Plan) -> Result:
        if self._made_already(case, found):
            return await self._doubt(case, found)
        operation = _operation(case, found)
        await self.context.crm.admit(operation, lane=case.item.lane)
        began = self.context.clock.now()
        intent = await self.book.submit(self._intent(case, found))
        await self.context.tenure.secure(WRITE_SECONDS)
        if self.context.clock.now() > began + FRESH:
            error = UnavailableError("nothing was sent: too long after its intent, by which its outcome is found out")
            return replace(undone(case, retry(case.item, error, self.context.clock.now())), settled=[intent])
        if found.keyed and self.context.has_identity(operation.object) and case.mapping is not None:
            longest = self.context.longest_identity(operation.object)
            text = self.context.signature.text(case.mapping.name, str(case.link.app_key), intent, longest)
            operation = replace(operation, identity=text) if not isinstance(operation, Delete) else operation
        (outcome,) = await self.context.crm.write([operation], lane=case.item.lane)
        return await self._answered(case, found, outcome, intent, began)

    def _made_already(self, case: Case, found: Plan) -> bool:
        """True where a restore may have lost a create of ours, and no identity in a listing has told of it."""
        bare = not self.context.has_identity(case.link.object) or (case.mapping is not None and not case.mapping.hears)
        return bare and case.link.lost_since is not None and isinstance(found.record, CreateRecord)

    async def _doubt(self, case: Case, found: Plan) -> Result:
        """The create counts as sent when the row was noticed, and its outcome as unknown: it is found out like any."""
        await self.book.submit(replace(self._intent(case, found), sent_at=case.link.lost_since))
        return undone(case, deferral(case, WorkState.WAITING, "unknown_outcome", self.context.clock.now()))

    async def _answered(self, case: Case, found: Plan, outcome: Outcome, intent: IntentId, began: datetime) -> Result:
        match outcome:
            case Done(record):
                self.context.failures.succeeded()
                return await self._done(case, found, record, intent, began)
            case Unknown():
                async with self.context.database.transaction(self.context.fence) as db:
                    await intents.mark_unknown(db, [intent])
                until = self.context.clock.now() + UNKNOWN_FOR
                return undone(case, deferral(case, WorkState.WAITING, "unknown_outcome", until))
            case Failed(error):
                return await self._failed(case, found, error, intent)

    async def _done(self, case: Case, found: Plan, record: Record | None, intent: IntentId, began: datetime) -> Result:
        """The record as stored is the next observation: what it changes for the row is in the same commit."""
        if record is None or case.situation is None:
            gone = replace(found, record=None)
            return Result(case, gone, sent_action="delete", settled=[intent], sent_effects=_effects(found))
        sent = found.sends()
        base = {
            **_defaults(found, record),
            **_left_out(found, record),
            **stored_base(case, {d.line.name: d.base for d in sent if d.base is not None}, record),
        }
        name = case.mapping.name if case.mapping is not None else case.link.mapping
        case.link = replace(case.link, mapping=name, crm_id=record.id, base=base, state=LinkState.LINKED)
        at = record.modified_at or self.context.crm_time(began)
        wrote = written(self._replaced(case, found), base, {d.line.name for d in sent}, at)
        case.link = replace(case.link, sent=followed(case.link.sent, wrote))
        case.crm = record
        link = replace(case.link, conflicts=_without(case.link.conflicts, sent))
        stored = replace(case.situation, link=link, crm=record, evidence=False, heard=Heard(), kin=None)
        after = still_refused(found, plan(stored))
        parents = await call_parents(self.context, [(case, after)]) if after.parents else {}
        return Result(
            case,
            replace(after, record=None) if after.step in (Step.APPLY, Step.DONE) else None,
            sent=sent,
            sent_action="create" if isinstance(found.record, CreateRecord) else "update",
            sent_reason=found.reason,
            settled=[intent],
            sent_effects=_effects(found),
            lost=found.lost,
            again=after.record is not None or bool(case.braked),
            deferral=waiting(self.context, case, after, parents) if unfinished(after) else None,
        )

    async def _failed(self, case: Case, found: Plan, error: ConnectorError, intent: IntentId) -> Result:
        """Certainly not applied. A refused value is held alone; the rest of the record goes on."""
        self.context.failures.note(error)
        if isinstance(error, RefusedError) and any(f.custom for d in _named_lines(found, error) for f in d.line.fields):
            self.context.schema_moved.set()  # the field may be gone
        if not isinstance(error, RefusedError) or (error.code == "missing" and case.item.tries(word_of(error)) < LOOKS):
            return replace(undone(case, retry(case.item, error, self.context.clock.now())), settled=[intent])
        rest = without(found, _named_lines(found, error))
        if rest is None:
            return self._refused(case, found, error, intent)
        async with self.context.database.transaction(self.context.fence) as db:
            await intents.close(db, [intent])
        return await self._write(case, rest) if rest.record is not None else Result(case, rest)

    def _refused(self, case: Case, found: Plan, error: RefusedError, intent: IntentId) -> Result:
        """Nobody tells which value is to blame: the record is a person's matter, what it receives comes all the same."""
        parked = deferral(case, WorkState.PARKED, f"{REFUSED}:{error.code or 'crm'}".lower())
        rest = without(found, found.sends())
        if rest is None or rest.record is not None:
            return replace(undone(case, parked), settled=[intent])
        return Result(case, rest, deferral=parked, settled=[intent])

    def _intent(self, case: Case, found: Plan) -> NewIntent:
        fields = found.record.fields if isinstance(found.record, CreateRecord | UpdateRecord) else {}
        base = {d.line.name: d.base for d in found.sends() if d.base is not None}
        head = (case.link.id, _name_of(found), case.link.object, case.link.crm_id)
        return NewIntent(*head, fields, base, case.hashes, self._replaced(case, found))

    def _replaced(self, case: Case, found: Plan) -> Mapping[str, Json]:
        """By line, the values whose place an update takes: what it changes, and what is written along with that."""
        if not isinstance(found.record, UpdateRecord):
            return {}
        keys = {field.key for d in found.sends() for field in d.line.fields}
        together = self.context.capabilities(case.link.object).together
        along = keys.union(*(group for group in together if group & keys))
        said = [d for d in found.decisions if not d.overwritten and any(f.key in along for f in d.line.fields)]
        return {d.line.name: d.crm for d in said if d.crm is not ABSENT}

    async def _open_intents(self, wanted: Sequence[NewIntent]) -> Sequence[IntentId]:
        async with self.context.database.transaction(self.context.fence) as db:
            return await intents.open_many(db, self.context.fence, wanted, self.context.clock.now())


def _left_out(found: Plan, record: Record) -> Base:
    """What we created empty is empty there, also where the CRM does not show empty fields: a later value goes out."""
    if not isinstance(found.record, CreateRecord):
        return {}
    agreed = {
        d.line.name: (d.line, d.base) for d in found.decisions if d.verdict is Verdict.AGREE and d.base is not None
    }
    return {name: base for name, (line, base) in agreed.items() if line.converter.read_crm(record.fields) is ABSENT}


def _defaults(found: Plan, record: Record) -> Base:
    """What the CRM put where we had to hold a value back: its default, which never overwrites ours."""
    if not isinstance(found.record, CreateRecord):
        return {}
    held = [(d.line, d.line.converter.read_crm(record.fields)) for d in found.decisions if d.verdict is Verdict.HELD]
    return {line.name: Pair(None, crm, line.rule) for line, crm in held if crm is not ABSENT}


def _operation(case: Case, found: Plan) -> Operation:
    name = case.link.object
    match found.record:
        case CreateRecord(fields):
            return Create(name, fields)
        case UpdateRecord(fields) if isinstance(case.crm, Record):
            return Update(name, case.crm.id, fields, case.crm)
        case DeleteRecord() if case.link.crm_id is not None:
            return Delete(name, case.link.crm_id)
    raise ConnectorError("a plan without a CRM write was sent")


def _name_of(found: Plan) -> str:
    if isinstance(found.record, CreateRecord):
        return "create"
    return "update" if isinstance(found.record, UpdateRecord) else "delete"


def _effects(found: Plan) -> frozenset[tuple[Side, Effect]]:
    """What the brake counts of a write to the CRM."""
    return frozenset(place for place in found.effects if place[0] is Side.CRM)


def _without(conflicts: Mapping[str, OpenConflict], sent: Iterable[Decision]) -> Mapping[str, OpenConflict]:
    """Those that no write has settled."""
    settled = {d.line.name for d in sent}
    return {name: conflict for name, conflict in conflicts.items() if name not in settled}


def _named_lines(found: Plan, error: RefusedError) -> Sequence[Decision]:
    return [d for d in found.sends() if any(f.key in error.fields for f in d.line.fields)]
