"""Laws of `plan`, for anything that can be observed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from connector.core.mapping import Direction
from connector.core.merge import Verdict
from connector.core.model import Gone, LinkState, NotVisible, Pair, Record, Row, Side, Undo
from connector.core.plan import (
    CreateRecord,
    DeleteRecord,
    DeleteRow,
    Effect,
    InsertRow,
    Kin,
    Plan,
    Situation,
    Step,
    UpdateRecord,
    UpdateRow,
    plan,
)
from connector.core.plan.filters import record_kept_out
from tests.core.situations import pairs, situations


def applied(s: Situation, done: Plan) -> Situation:
    """What would be observed next, once the plan has happened and nobody did anything else."""
    row, crm = s.row, s.crm
    if isinstance(done.row, UpdateRow | InsertRow) and row is not None:
        row = Row(row.key, {**row.columns, **done.row.columns})
    if isinstance(done.record, UpdateRecord) and isinstance(crm, Record):
        crm = replace(crm, fields={**crm.fields, **done.record.fields})
    row = None if isinstance(done.row, DeleteRow) else row
    crm = Gone("is_deleted") if isinstance(done.record, DeleteRecord) else crm
    restore = {name: Undo(None, value) for name, value in done.restore.items()}
    link = replace(s.link, state=done.state, base=_base(s, done, row, crm), restore=restore)
    rekeyed = isinstance(done.record, UpdateRecord) and done.record.rekey
    return replace(s, row=row, crm=crm, link=link, kin=None if rekeyed else s.kin)


def _base(s: Situation, done: Plan, row: Row | None, crm: object) -> dict[str, Pair]:
    base = dict(s.link.base)
    for d in done.decisions:
        if d.base is None:
            continue
        app, held = d.base.app, d.base.crm
        if d.verdict is Verdict.RECEIVE and row is not None:
            app = d.line.converter.read_app(row.columns)
        if d.verdict is Verdict.SEND and isinstance(crm, Record):
            held = d.line.converter.read_crm(crm.fields)  # type: ignore[assignment]
        base[d.line.name] = Pair(app, held, d.base.rule)
    return base


@given(situations())
def test_a_plan_for_anything(s: Situation) -> None:
    """`plan` never raises; what waits or is parked says why; halves are not updated and pairs are not created."""
    found = plan(s)
    assert found.reason
    assert found.cause or found.step not in (Step.WAIT, Step.PARK)
    assert not isinstance(found.record, CreateRecord) or s.link.crm_id is None
    assert not isinstance(found.row, InsertRow) or s.link.app_key is None
    assert (found.row is None and found.record is None) or found.step is Step.APPLY


@given(situations())
def test_no_side_is_written_against_the_mappings_direction(s: Situation) -> None:
    """A mapping that sends writes no row, one that receives writes no record, whatever happened to either."""
    found = plan(s)
    alive_again = found.reason == "alive_again"
    assert s.mapping.direction.receives or found.row is None or alive_again
    assert s.mapping.direction.sends or found.record is None


@given(situations())
def test_a_mapping_of_direction_none_has_nothing_to_do(s: Situation) -> None:
    """Whatever is observed: nothing is paired, waited for, parked or written."""
    if s.mapping.direction is Direction.NONE:
        found = plan(s)
        assert (found.step, found.row, found.record) == (Step.DONE, None, None)
        assert found.state is (LinkState.EXCLUDED if s.link.half else s.link.state)


@given(situations())
def test_nothing_is_destroyed_without_evidence(s: Situation) -> None:
    """A record that merely does not answer costs no row."""
    if isinstance(s.crm, NotVisible) and not s.evidence:
        assert plan(s).row is None


@given(situations())
def test_halves_that_were_never_a_pair_destroy_nothing(s: Situation) -> None:
    """A row or record that was found by its key and is gone by the time it is read: nothing that was agreed has died."""
    joining = not s.link.half and s.link.state in (LinkState.OPEN, LinkState.EXCLUDED, LinkState.LEFT_OUT)
    if joining and (s.row is None or not isinstance(s.crm, Record)):
        found = plan(s)
        assert (found.row, found.record) == (None, None)
        assert not found.state.tombstone


@given(situations())
def test_nothing_is_sent_before_its_time(s: Situation) -> None:
    """Before a mapping's first fetch-all nothing is sent; before the object's listing is complete nothing is created."""
    found = plan(s)
    assert s.ready.sends or found.record is None
    assert s.ready.listed or not isinstance(found.record, CreateRecord)


@given(situations())
def test_a_key_that_is_taken_or_ambiguous_makes_nothing(s: Situation) -> None:
    """Where a match key has candidates, neither a row nor a record is made."""
    found = plan(s)
    if s.candidates and s.link.half:
        assert not isinstance(found.row, InsertRow)
        assert not isinstance(found.record, CreateRecord)


@given(pairs())
def test_one_more_pass_does_nothing(s: Situation) -> None:
    """Once a plan has happened, planning again writes neither side: not twice, not back, not for ever."""
    again = applied(s, plan(s))
    found = plan(again)
    assert (found.row, found.record) == (None, None)
    left = isinstance(again.crm, Record) and record_kept_out(again, again.crm)  # by what we ourselves wrote
    assert found.state is again.link.state or (left and found.state is LinkState.FROZEN)


@given(pairs())
def test_only_what_changes_is_written(s: Situation) -> None:
    """Every written column holds something else before; every written field belongs to a line that is sent."""
    found = plan(s)
    if isinstance(found.row, UpdateRow) and s.row is not None and found.state is LinkState.LINKED:
        assert all(s.row.columns.get(name) != value for name, value in found.row.columns.items())
    if isinstance(found.record, UpdateRecord):
        sent = {f.key for d in found.sends() for f in d.line.fields}
        assert found.record.fields or found.record.rekey
        assert set(found.record.fields) <= sent


@given(situations())
def test_a_record_that_carries_the_key_of_another(s: Situation) -> None:
    """A copy in use gets a key of its own wherever something may be sent, and nobody else does.

    A create of ours that came back does not become a second row.
    """
    found = plan(s)
    rekeyed = isinstance(found.record, UpdateRecord) and found.record.rekey
    assert not rekeyed or s.kin is Kin.COPY
    if s.kin is Kin.COPY and found.reason in ("merge", "in_agreement", "parent") and isinstance(s.crm, Record):
        assert rekeyed or s.crm.archived or not s.mapping.direction.sends or not s.ready.sends
    assert s.kin is not Kin.TWIN or not isinstance(found.row, InsertRow)


@given(pairs())
def test_the_brake_sees_every_destruction(s: Situation) -> None:
    """Deletes, clears and first-sight overwrites are counted on the side where they happen, once per record."""
    found = plan(s)
    deleted = {Side.APP: isinstance(found.row, DeleteRow), Side.CRM: isinstance(found.record, DeleteRecord)}
    assert all((side, Effect.DELETE) in found.effects for side, gone in deleted.items() if gone)
    if isinstance(found.record, UpdateRecord):
        assert ((Side.CRM, Effect.CLEAR) in found.effects) == any(d.clears for d in found.sends())
