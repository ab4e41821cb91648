"""What a plan writes of a pair whose writes met others': values that were put away unseen, and what the brake stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from connector.core.merge import Decision, Reason, Verdict
from connector.core.model import LinkState, Pair, Side
from connector.core.plan import (
    CreateRecord,
    DeleteRecord,
    DeleteRow,
    Effect,
    Plan,
    Step,
    UpdateRecord,
    UpdateRow,
    plan,
)
from connector.core.plan.actions import RecordAction, RowAction
from connector.core.unseen import Heard, Overwrite
from tests.core.situations import LINES
from tests.core.test_plan_pairs import bound, paired

ZOE = Overwrite("name", "Zoe", "Ann")
"""Somebody had entered Zoe in the CRM, which our write of Ann put away."""


def test_what_our_write_put_away() -> None:
    """It comes back into the row as the rule says; other lines go on as they were."""
    crm = bound("conflict: crm")
    zoe = Heard([Overwrite("name", "Zoe", "Ann")])
    told = plan(paired(of=crm, heard=zoe))
    assert (told.row, told.record) == (UpdateRow({"name": "Zoe"}), None)
    assert [d.line.name for d in told.decisions if d.returns] == ["name"]
    assert plan(paired(of=bound("conflict: app"), heard=zoe)).row is None
    other = plan(paired({"name": "Bea"}, {"org_id": 12}, of=crm, heard=Heard([Overwrite("Score", 1, 2)])))
    assert (other.row, other.record) == (UpdateRow({"company_id": "5"}), UpdateRecord({"name": "Bea"}))


@pytest.mark.parametrize(
    ("conflict", "row", "heard", "lost"),
    [
        pytest.param("crm", "Ann", [ZOE], [], id="it comes back"),
        pytest.param("app", "Ann", [ZOE], [], id="it lost by the rule: a decision says so"),
        pytest.param("app", "Bea", [ZOE], [ZOE], id="the row was edited since, which goes on its way"),
        pytest.param("review", "Ann", [ZOE], [ZOE], id="a person is asked"),
        pytest.param("crm", "Ann", [replace(ZOE, value="Yan"), ZOE], [replace(ZOE, value="Yan")], id="two of one line"),
        pytest.param("crm", "Ann", [replace(ZOE, wrote="Old")], [replace(ZOE, wrote="Old")], id="agreed on otherwise"),
        pytest.param("crm", "Ann", [Overwrite("gone", 1, 2)], [Overwrite("gone", 1, 2)], id="a line that is no more"),
    ],
)
def test_what_was_put_away_is_on_record(
    conflict: str, row: str, heard: Sequence[Overwrite], lost: Sequence[Overwrite]
) -> None:
    """By the decision that settled it, else by itself."""
    found = plan(paired({"name": row}, of=bound(f"conflict: {conflict}"), heard=Heard(heard)))
    assert found.lost == lost


def test_what_lost_by_the_rule_is_shown() -> None:
    """With both values, and with what stays agreed on."""
    found = plan(paired(of=bound("conflict: app"), heard=Heard([ZOE])))
    line = bound().lines[0]
    (name, *_) = found.decisions
    assert replace(name, line=line) == Decision(
        line,
        Verdict.AGREE,
        Reason.CONFLICT_RULE,
        "Ann",
        "Zoe",
        Pair("Ann", "Ann", line.rule),
        Side.CRM,
        overwritten=True,
    )


def test_what_the_brake_stops() -> None:
    """Lines that would do it wait, and show what they would have moved; the others go on."""
    cleared = paired({"name": None, "company_id": "5"}, braked=frozenset({"crm_clear name"}))
    name, company = plan(cleared).decisions
    assert name == Decision(name.line, Verdict.WAIT, Reason.BRAKED, None, "Ann")
    assert company.verdict is Verdict.SEND
    filled = paired(fields={"name": None}, braked=frozenset({"app_clear name"}))
    (name, _) = plan(filled).decisions
    assert name == Decision(name.line, Verdict.WAIT, Reason.BRAKED, "Ann", None)


NAME, TIER, SCORE = LINES["name"], LINES["Tier"], LINES["Score"]
CLEARED = Pair(None, None)
LINES_OF_IT = (
    Decision(NAME, Verdict.SEND, Reason.APP_CHANGED, None, "Ann", CLEARED),
    Decision(TIER, Verdict.SEND, Reason.APP_CHANGED, None, "70", CLEARED),
    Decision(SCORE, Verdict.RECEIVE, Reason.FIRST_SIGHT_SOURCE, "1", 2, Pair("2", 2), overwrites=True),
)


@pytest.mark.parametrize(
    ("row", "record", "words"),
    [
        (UpdateRow({}), UpdateRecord({}), {"crm_clear name", "crm_clear Tier", "app_overwrite Score"}),
        (UpdateRow({}), None, {"app_overwrite Score"}),
        (None, CreateRecord({}), {"crm_create"}),
        (DeleteRow(), None, {"app_delete"}),
        (None, DeleteRecord(), {"crm_delete"}),
    ],
)
def test_effects_as_a_release_spells_them(row: RowAction | None, record: RecordAction | None, words: set[str]) -> None:
    """Side and kind; of lines each with its name."""
    found = Plan(Step.APPLY, "merge", LinkState.LINKED, LINES_OF_IT, row, record)
    assert found.words(found.effects) == words


def test_some_effects_as_a_release_spells_them() -> None:
    """Only those that were asked for, and only what the plan does."""
    found = Plan(Step.APPLY, "merge", LinkState.LINKED, LINES_OF_IT, UpdateRow({}), UpdateRecord({}))
    assert found.words([(Side.CRM, Effect.CLEAR)]) == {"crm_clear name", "crm_clear Tier"}
    assert found.words([(Side.CRM, Effect.DELETE)]) == frozenset()
