"""A pair that has died: what lets it rest, and what is evidence of life. Whole plans, field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connector.core.merge import Parent
from connector.core.model import CrmId, Gone, LinkState, Moved, Side, Undo
from connector.core.plan import InsertRow, Plan, Situation, Step, UpdateRow, plan
from tests.core.people import KEY, NOW, Couple
from tests.core.test_plan_pairs import BOTH, DELETED, LINKED, RECORD, ROW, SET, UNLINKED, bound, paired


def tomb(head: str, died: Side | None = Side.CRM, state: LinkState = DELETED, **more: Any) -> Situation:
    """A pair of which one side was deleted."""
    seen = paired(of=bound(head), state=state, **more)
    return replace(seen, link=replace(seen.link, died=died))


REST = Plan(Step.DONE, "tombstone", DELETED)
ALIVE = Plan(Step.APPLY, "alive_again", LINKED)
WIDOWED = Plan(Step.APPLY, "alive_again", LinkState.OPEN, widowed=True)


def test_what_set_wrote_is_taken_back() -> None:
    """Where the row still holds it; a column that somebody changed since stays."""
    seen = tomb(SET, columns={"owner": "gone", "archived_at": "2026-05-05"})
    undo = {"owner": Undo("ann", "gone"), "archived_at": Undo(None, str(NOW))}
    seen = replace(seen, link=replace(seen.link, restore=undo))
    assert plan(seen) == replace(ALIVE, row=UpdateRow({"owner": "ann"}))
    assert plan(tomb(SET)) == ALIVE
    assert plan(replace(seen, crm=replace(Couple(BOTH, ROW, RECORD).record, fields={"job": "guest"}))) == REST


def test_a_row_comes_back_under_its_key() -> None:
    """With what the record holds now, as at first sight, whatever had been agreed before."""
    found = plan(tomb("deletes: {receive: delete}", fields={"name": "Zoe", "org_id": 12}, row=None))
    assert found.row == InsertRow({"id": KEY, "name": "Zoe", "company_id": "5"})
    assert (found.step, found.reason, found.state) == (Step.APPLY, "alive_again", LINKED)
    again = plan(tomb("conflict: app\ndeletes: {receive: delete}", fields={"name": "Zoe"}, row=None))
    assert again.row == InsertRow({"id": KEY, "name": "Zoe"})
    waits = plan(tomb("deletes: {receive: delete}", fields={"org_id": 13}, row=None))
    parents = (Parent("company", Side.CRM, "13"),)
    assert waits == Plan(Step.WAIT, "parent", DELETED, cause="parent", parents=parents)


@pytest.mark.parametrize("died", list(Side))
def test_a_row_that_outlives_its_record(died: Side) -> None:
    """Where the policy had deleted the other side too, a row that is there again makes a record of its own."""
    gone: dict[str, Any] = {"crm": Gone("is_deleted")}
    both = "deletes: {receive: delete, send: delete}"
    assert plan(tomb(both, died, **gone)) == WIDOWED
    assert plan(tomb(both, died, columns={"status": "shut"}, **gone)) == REST
    apart = tomb("deletes: {receive: unlink, send: unlink}", died, state=UNLINKED, **gone)
    assert plan(apart) == replace(REST, state=UNLINKED)
    kept = tomb(both, died, **gone)
    assert plan(replace(kept, link=replace(kept.link, restore={"owner": Undo("a", "b")}))) == REST


def test_the_policy_of_the_side_that_died_counts() -> None:
    """What we deleted after the record was deleted comes back; what we left when the row was deleted does not."""
    gone: dict[str, Any] = {"crm": Gone("is_deleted")}
    receives = "deletes: {receive: delete, send: unlink}"
    assert plan(tomb(receives, Side.CRM, **gone)) == WIDOWED
    assert plan(tomb(receives, Side.APP, **gone)) == REST
    sends = "deletes: {receive: unlink, send: delete}"
    assert plan(tomb(sends, Side.CRM, **gone)) == REST
    assert plan(tomb(sends, Side.APP, **gone)) == WIDOWED


def test_a_row_that_left_for_good_and_passes_again() -> None:
    """`on_leave: delete` had its record deleted: it makes another. What died in the CRM had not left."""
    head = "on_leave: delete\ndeletes: {receive: unlink, send: unlink}"
    assert plan(tomb(head, Side.APP, crm=Gone("is_deleted"))) == WIDOWED
    assert plan(tomb(head, Side.CRM, crm=Gone("is_deleted"))) == REST


def test_tombstones_that_rest() -> None:
    """One that never was a pair, one that was unlinked, one whose row nobody may bring back; and a merge is no death."""
    rest = "deletes: {receive: delete, send: delete}"
    half = tomb(rest)
    assert plan(replace(half, link=replace(half.link, app_key=None))) == REST
    assert plan(tomb(rest, row=None, crm=Gone("is_deleted"))) == REST
    assert plan(tomb(rest, Side.APP, row=None)) == REST
    assert plan(tomb(rest, None, row=None, newer=True)) == REST
    assert plan(tomb(rest, Side.APP, row=None, newer=True)).reason == "alive_again"
    assert plan(tomb(rest, crm=Moved(CrmId("9")))) == Plan(Step.MOVE, "merged", DELETED, adopt=CrmId("9"))
    assert plan(tomb("deletes: {receive: unlink}", Side.APP, crm=Moved(CrmId("9")))) == REST
    heir = Plan(Step.APPLY, "other_kind", DELETED, cause="belongs_to client", heir="client")
    assert plan(tomb(rest, heir="client")) == heir
