"""A plan once a column turned out not to take a value: that value is held, the rest of the record goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from connector.core.held_back import held_back
from connector.core.merge import Reason, Verdict
from connector.core.model import Json, LinkState
from connector.core.plan import DeleteRow, InsertRow, Plan, UpdateRow, plan
from connector.core.unseen import Heard, Overwrite
from tests.core.people import SCORE, Couple, mapping

MAPPING = mapping(
    "direction: both\nset: {app: {owner: ann}}\nfields:\n"
    "  - {column: name, crm: name}\n  - {column: score, crm: Score}\n  - {column: job, crm: job}\n"
)
OLD: Mapping[str, str | None] = {"name": "Ann", "score": "1", "job": "CTO"}


def received(fields: Mapping[str, Json]) -> Plan:
    """The plan for a record of which these fields were edited; the row is as it was agreed."""
    agreed: Mapping[str, Json] = {"name": "Ann", SCORE: 1, "job": "CTO"}
    return Couple(MAPPING, OLD, {**agreed, **fields}).based(OLD, agreed).plan()


def made(fields: Mapping[str, Json]) -> Plan:
    """The plan for a record that has no row."""
    seen = Couple(MAPPING, {}, fields).situation()
    return plan(replace(seen, row=None, link=replace(seen.link, app_key=None, state=LinkState.OPEN)))


def test_one_value_of_several() -> None:
    """Only its line is held, and says why; the others are written and agreed on as before."""
    before = received({"name": "Ann Lee", SCORE: 2})
    found = held_back(before, {"score"})
    assert found.row == UpdateRow({"name": "Ann Lee"})
    assert found.held == {"Score": "refused_by_column"}
    assert found.decisions[0] == before.decisions[0]
    assert found.decisions[2] == before.decisions[2]


def test_what_is_held_leaves_no_trace() -> None:
    """Nothing was agreed, no side lost and nothing is counted as overwritten: it will be tried anew."""
    clash = Couple(MAPPING, {"name": "Bob"}, {"name": "Ann"}).plan()
    assert [d.line.name for d in clash.disputed] == ["name"]
    found = held_back(clash, {"name"}).decisions[0]
    assert (found.verdict, found.reason) == (Verdict.HELD, Reason.UNCONVERTIBLE)
    assert (found.base, found.loser, found.overwrites, found.returns) == (None, None, False, False)


def test_a_value_that_was_to_come_back_is_held_for_good() -> None:
    """After the fact: what our write put away is not put into the row, so it must not be sent from there either."""
    unseen = plan(
        replace(
            Couple(MAPPING, OLD, {"name": "Ann"}).agreed().situation(), heard=Heard([Overwrite("name", "Zoe", "Ann")])
        )
    )
    assert unseen.decisions[0].returns
    assert not held_back(unseen, {"name"}).decisions[0].returns


def test_the_last_value() -> None:
    """An update of which nothing is left writes no row; a new row is made of its constants alone."""
    assert held_back(received({"name": "Ann Lee"}), {"name"}).row is None
    assert held_back(made({"name": "Ann", "job": "CTO"}), {"name", "job"}).row == InsertRow({"owner": "ann"})
    assert held_back(made({"name": "Ann", "job": "CTO"}), {"job"}).row == InsertRow({"owner": "ann", "name": "Ann"})


def test_columns_that_no_line_writes() -> None:
    """The plan is the same where the column is another's, is only sent, or the row is not written at all."""
    found = received({"name": "Ann Lee"})
    assert held_back(found, {"owner"}) is found
    assert held_back(found, {"job"}) is found
    gone = replace(found, row=DeleteRow())
    assert held_back(gone, {"name"}) is gone
