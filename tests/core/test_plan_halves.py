"""One side is known: whether the other half is found, made, waited for or not wanted. Whole plans, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from connector.core.convert import constant_for
from connector.core.line import BoundMapping
from connector.core.mapping import Direction, Keyword
from connector.core.merge import Parent
from connector.core.model import AppKey, Gone, Json, Link, LinkId, LinkState, NotVisible, Side
from connector.core.plan import (
    Candidate,
    CreateRecord,
    InsertRow,
    Kin,
    Plan,
    Readiness,
    Situation,
    Step,
    plan,
)
from connector.core.schema import CrmField, FieldType
from tests.core.people import CRM_ID, METADATA, SCORE, Couple, mapping

BOTH = mapping(
    "direction: both\nonly: {receive: {job: staff}, send: {status: open}}\nset: {app: {owner: ann, archived_at: now}}\n"
    "fields:\n  - {column: name, crm: name}\n  - {column: score, crm: Score}\n"
    "  - {column: company_id, crm: org_id, link: company}\n"
)
ROW: Mapping[str, str | None] = {"name": "Ann", "status": "open"}
RECORD: Mapping[str, Json] = {"name": "Ann", "job": "staff"}
TAKEN = Candidate("7", LinkId(3))
FREE = Candidate("7")
EXCLUDED = LinkState.EXCLUDED


def of_row(columns: Mapping[str, str | None] = ROW, bound: BoundMapping = BOTH, **more: Any) -> Situation:
    """A row that has no record."""
    seen = Couple(bound, columns, {}).situation()
    return replace(seen, crm=None, link=replace(seen.link, crm_id=None, state=LinkState.OPEN), **more)


def of_record(fields: Mapping[str, Json] = RECORD, bound: BoundMapping = BOTH, **more: Any) -> Situation:
    """A record that has no row."""
    seen = Couple(bound, {}, fields).situation()
    link = replace(seen.link, app_key=None, state=LinkState.OPEN, origin=Side.CRM)
    return replace(seen, row=None, link=link, **more)


def waiting(cause: str, **more: Any) -> Plan:
    """Nothing yet."""
    return Plan(Step.WAIT, cause, LinkState.OPEN, cause=cause, **more)


def parked(cause: str, **more: Any) -> Plan:
    """A person is needed."""
    return Plan(Step.PARK, cause, LinkState.OPEN, cause=cause, **more)


def kept_out(cause: str, **more: Any) -> Plan:
    """Nothing is made of it."""
    return Plan(Step.DONE, "excluded", EXCLUDED, cause=cause, **more)


def test_a_row_makes_a_record() -> None:
    """Of what it holds; columns that are empty name no field."""
    found = plan(of_row({**ROW, "score": "1.50"}))
    assert (found.step, found.reason, found.state) == (Step.APPLY, "create", LinkState.LINKED)
    assert found.record == CreateRecord({"name": "Ann", SCORE: 1.5})
    assert [d.line.name for d in found.decisions] == ["name", "Score", "org_id"]


def test_a_record_makes_a_row() -> None:
    """Of what it holds and of `set.app`; what a line writes beats a constant."""
    made = plan(of_record())
    assert (made.step, made.reason, made.state) == (Step.APPLY, "insert", LinkState.LINKED)
    assert made.row == InsertRow({"owner": "ann", "archived_at": "2026-05-04 12:00:00+00:00", "name": "Ann"})
    assert [(d.line.name, d.crm) for d in made.decisions] == [("name", "Ann"), ("Score", None), ("org_id", None)]
    assert plan(of_record(kin=Kin.COPY)).reason == "copy"


def test_a_record_makes_the_row_that_a_restore_took_away() -> None:
    """Under its own key, which names it to whatever refers to it."""
    again = plan(of_record(own_key=AppKey("17")))
    assert isinstance(again.row, InsertRow)
    assert (again.row.columns["id"], again.row.columns["name"]) == ("17", "Ann")


def test_a_constant_that_says_when() -> None:
    """`set.crm: now` is the moment of the plan."""
    since = CrmField("since", "Since", FieldType.DATE)
    line = replace(
        BOTH.lines[0], name="since", columns=(), fields=(since,), converter=constant_for(since, Keyword.NOW, METADATA)
    )
    made = plan(of_row(bound=replace(BOTH, constants=(line,))))
    assert made.record == CreateRecord({"name": "Ann", "since": "2026-05-04"})


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(of_row(row=None), Plan(Step.DROP, "row_gone", LinkState.OPEN), id="the row is gone"),
        pytest.param(of_row(owner="client"), kept_out("belongs_to client"), id="it is another mapping's"),
        pytest.param(of_row({**ROW, "status": "x"}), kept_out("only.send status"), id="it does not pass its filter"),
        pytest.param(of_row(ready=Readiness(sends=False)), waiting("first_fetch_all"), id="before the first fetch-all"),
        pytest.param(of_row(ready=Readiness(listed=False)), waiting("first_listing"), id="before the first listing"),
        pytest.param(of_row(rivals=True), waiting("same_key"), id="another row with its key is being created"),
        pytest.param(
            of_row(bound=replace(BOTH, incomplete=True)), waiting("quarantined"), id="a match key is set aside"
        ),
    ],
)
def test_a_row_makes_none(seen: Situation, expected: Plan) -> None:
    """And the plan says why."""
    assert plan(seen) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(of_record(crm=Gone("is_deleted")), kept_out("record_gone"), id="it was deleted"),
        pytest.param(of_record(crm=NotVisible()), kept_out("missing"), id="it does not answer"),
        pytest.param(of_record(crm=None), kept_out("missing"), id="nobody looked"),
        pytest.param(of_record({"job": "guest"}), kept_out("only.receive job"), id="it does not pass its filter"),
        pytest.param(
            of_record(bound=replace(BOTH, incomplete=True)), waiting("quarantined"), id="a match key is set aside"
        ),
        pytest.param(of_record(kin=Kin.TWIN), parked("duplicate"), id="an earlier create of ours"),
        pytest.param(
            of_record(merging=LinkId(6)), waiting("merge", behind=LinkId(6)), id="another record was merged into it"
        ),
        pytest.param(
            of_record(intents_pending=LinkId(9)),
            waiting("open_intents", behind=LinkId(9)),
            id="a create of ours may have made it",
        ),
        pytest.param(
            of_record(intent_link=LinkId(4)),
            Plan(Step.JOIN, "our_create", LinkState.LINKED, join=LinkId(4)),
            id="a create of ours made it",
        ),
    ],
)
def test_a_record_makes_none(seen: Situation, expected: Plan) -> None:
    """And the plan says why."""
    assert plan(seen) == expected


@pytest.mark.parametrize("half", [of_row, of_record])
def test_matches(half: Any) -> None:
    """One free half with its key is taken; several are a question for a person; a taken one is a duplicate."""
    assert plan(half(candidates=(FREE,))) == Plan(Step.ADOPT, "match", LinkState.OPEN, adopt="7")
    assert plan(half(candidates=(TAKEN, Candidate("8")))) == Plan(Step.ADOPT, "match", LinkState.OPEN, adopt="8")
    assert plan(half(candidates=(FREE, Candidate("8")))) == parked("ambiguous")
    assert plan(half(candidates=(TAKEN,))) == parked("duplicate", behind=LinkId(3))
    assert plan(half(candidates=(FREE,), ready=Readiness(listed=False))) == waiting("first_listing")


def test_a_filter_keeps_out_what_would_be_parked_but_not_a_match() -> None:
    """Nobody is asked about a half that is not wanted; one that has a partner is paired whatever it holds."""
    row, record = {**ROW, "status": "x"}, {**RECORD, "job": "guest"}
    assert plan(of_row(row, candidates=(TAKEN,))).reason == "excluded"
    assert plan(of_record(record, candidates=(TAKEN,))).reason == "excluded"
    assert plan(of_row(row, candidates=(FREE,))).step is Step.ADOPT
    assert plan(of_record(record, candidates=(FREE,))).step is Step.ADOPT
    assert plan(of_record(record, kin=Kin.TWIN)).reason == "excluded"


@pytest.mark.parametrize(("direction", "half"), [("receive", of_row), ("send", of_record)])
def test_a_direction_keeps_out(direction: str, half: Any) -> None:
    """A mapping that only receives makes no record, one that only sends no row."""
    one_way = mapping(f"direction: {direction}\nfields:\n  - {{column: name, crm: name}}\n")
    assert plan(half(bound=one_way)) == kept_out("direction")
    assert plan(half(bound=replace(one_way, direction=Direction.NONE))) == kept_out("direction")


COMPANY_6 = Parent("company", Side.APP, "6")
ORG_13 = Parent("company", Side.CRM, "13")


def required(bound: BoundMapping = BOTH, **changes: Any) -> BoundMapping:
    """The mapping with a reference that has to be there."""
    lines = tuple(replace(line, **{"required": True, **changes}) if line.link else line for line in bound.lines)
    return replace(bound, lines=lines)


@pytest.mark.parametrize(
    ("half", "values", "parent"),
    [(of_row, {**ROW, "company_id": "6"}, COMPANY_6), (of_record, {**RECORD, "org_id": 13}, ORG_13)],
)
def test_parents(half: Any, values: Mapping[str, Any], parent: Parent) -> None:
    """One that is coming is waited for; without one that does not come a half is made, unless it must be there.

    One that was deleted does not come by itself: where it must be there a person is needed.
    """
    away, dead = {"unreachable": frozenset({parent})}, frozenset({parent})
    assert plan(half(values)) == waiting("parent", parents=(parent,))
    assert plan(half(values, **away)).step is Step.APPLY
    assert plan(half(values, bound=required(), **away)) == waiting("parent_unavailable", parents=(parent,))
    assert plan(half(values, bound=required(), **away, dead=dead)) == parked("parent_gone", parents=(parent,))


def test_a_reference_of_a_cycle_is_written_second() -> None:
    """A deferred line keeps nobody waiting: the pair is made without it."""
    found = plan(of_row({**ROW, "company_id": "6"}, bound=required(required=False, deferred=True)))
    assert found.record == CreateRecord({"name": "Ann"})


def left_behind(number: int, mapping_name: str, state: LinkState) -> Link:
    """A link that the record had left for another mapping."""
    return Link(LinkId(number), "person", mapping_name, AppKey(str(number)), CRM_ID, state, Side.CRM)


def test_a_record_that_comes_back() -> None:
    """To its own mapping: its old link takes it. To another of the table: its row stays its row, if it had one still.

    A record that the mapping does not want comes back to nothing.
    """
    own, frozen = left_behind(3, "person", LinkState.UNLINKED), left_behind(4, "client", LinkState.FROZEN)
    dead = left_behind(5, "client", LinkState.DELETED)
    joined = Plan(Step.JOIN, "kind_again", LinkState.LINKED, join=LinkId(3))
    assert plan(of_record(left_behind=[frozen, own])) == joined
    assert plan(of_record(left_behind=[dead, frozen])) == Plan(Step.ADOPT, "same_row", LinkState.OPEN, adopt="4")
    assert plan(of_record(left_behind=[dead])).reason == "insert"
    assert plan(of_record({"job": "guest"}, left_behind=[own])) == kept_out("only.receive job")


def test_parents_of_a_filter() -> None:
    """`{in: company}` names the parents of which any would let the half pass; other conditions name none."""
    bound = mapping(
        "direction: both\nonly: {receive: {org_id: {in: company}}, send: {company_id: {in: company}}}\n"
        "fields:\n  - {column: name, crm: name}\n"
    )
    assert plan(of_row({"company_id": "6"}, bound)) == kept_out("only.send company_id", awaited=(COMPANY_6,))
    assert plan(of_record({"org_id": 13}, bound)) == kept_out("only.receive org_id", awaited=(ORG_13,))
    assert plan(of_row({"company_id": None}, bound)) == kept_out("only.send company_id")
    assert plan(of_row({"company_id": ""}, bound)) == kept_out("only.send company_id")
    both = (ORG_13, Parent("company", Side.CRM, "14"))
    assert plan(of_record({"org_id": [13, None, "", 14]}, bound)) == kept_out("only.receive org_id", awaited=both)
    assert plan(of_record({"org_id": None}, bound)) == kept_out("only.receive org_id")
    theirs = of_record({"org_id": 13}, bound, linked_in=lambda name, key: (name, key) == ("company", "13"))
    assert plan(theirs).reason == "insert"
