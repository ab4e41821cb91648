"""A plan once the CRM refused values of it: they are held, the rest goes on, and nothing is sent twice in vain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from connector.core.merge import Decision, Parent, Reason, Verdict
from connector.core.model import Json, LinkState, Side
from connector.core.plan import CreateRecord, DeleteRecord, Kin, Plan, UpdateRecord, plan
from connector.core.refused import attempts, refused_before, still_refused, without
from tests.core.people import SCORE, Couple, mapping

MAPPING = mapping(
    "direction: both\nfields:\n  - {column: name, crm: name}\n  - {column: score, crm: Score}\n"
    "  - {column: company_id, crm: org_id, link: company}\n"
)
OLD: Mapping[str, str | None] = {"name": "Ann", "score": "1", "company_id": None}
AGREED: Mapping[str, Json] = {"name": "Ann", SCORE: 1, "org_id": None}


def edited(**columns: str) -> Couple:
    """A row of which these columns were edited, and the record as it was agreed."""
    return Couple(MAPPING, {**OLD, **columns}, AGREED).based(OLD, AGREED)


def created(**columns: str) -> Plan:
    """The plan for a row that has no record."""
    seen = Couple(MAPPING, columns, {}).situation()
    return plan(replace(seen, crm=None, link=replace(seen.link, crm_id=None, state=LinkState.OPEN)))


def line(found: Plan, name: str) -> Decision:
    """The decision about a line."""
    return next(d for d in found.decisions if d.line.name == name)


def refused(found: Plan, *names: str) -> Plan:
    """The plan without these lines."""
    left = without(found, [line(found, name) for name in names])
    assert left is not None
    return left


def test_one_value_of_several() -> None:
    """Its line is held without a new agreement; the others are sent as before."""
    before = edited(name="Ann Lee", score="2").plan()
    found = refused(before, "Score")
    assert found.record == UpdateRecord({"name": "Ann Lee"})
    assert line(found, "name") == line(before, "name")
    held = line(found, "Score")
    assert (held.verdict, held.reason, held.cause) == (Verdict.HELD, Reason.UNCONVERTIBLE, "refused")
    assert (held.base, held.parent) == (None, None)


def test_a_reference_waits_for_what_it_points_to() -> None:
    """It names the app's half of its parent, so that it is tried again once that stands otherwise."""
    found = line(refused(edited(company_id="5").plan(), "org_id"), "org_id")
    assert found.parent == Parent("company", Side.APP, "5")
    empty = Couple(MAPPING, OLD, {**AGREED, "org_id": 12}).based({**OLD, "company_id": "5"}, {**AGREED, "org_id": 12})
    assert line(refused(empty.plan(), "org_id"), "org_id").parent is None


def test_the_last_value() -> None:
    """An update of which nothing is left is none, unless it puts our key into a copy; a create stays a create."""
    one = edited(name="Ann Lee").plan()
    assert refused(one, "name").record is None
    copy = plan(replace(edited(name="Ann Lee").situation(), kin=Kin.COPY))
    assert refused(copy, "name").record == UpdateRecord({}, rekey=True)
    assert refused(created(name="Ann"), "name").record == CreateRecord({})


def test_nothing_to_take_away() -> None:
    """No line, a line that is not sent, or no write to the CRM: there is nothing else to try."""
    found = edited(name="Ann Lee").plan()
    assert without(found, []) is None
    assert without(found, [line(found, "Score")]) is None
    assert without(replace(found, record=DeleteRecord()), [line(found, "name")]) is None


def test_what_was_refused_just_now_is_not_sent_at_once() -> None:
    """The plan that follows leaves it out and sends the rest; without anything refused it is left as it is."""
    found = edited(name="Ann Lee", score="2").plan()
    assert still_refused(refused(found, "Score"), found).record == UpdateRecord({"name": "Ann Lee"})
    assert still_refused(found, found) is found


def test_what_was_refused_is_not_sent_again_while_nothing_changes() -> None:
    """It is remembered with the value, the rule and the version of the record; another of any of them tries again."""
    case = edited(score="2")
    found, record = case.plan(), replace(case.record, version="7")
    link = replace(case.link, refused=attempts(refused(found, "Score"), record))
    assert refused_before(found, link, record).record is None
    assert refused_before(found, link, replace(record, version="8")) is found
    other = edited(score="3").plan()
    assert refused_before(other, link, record) is other
    assert refused_before(found, case.link, record) is found


def test_another_line_that_moves_tries_all_again() -> None:
    """A version may be too coarse to tell that a person mended the record: whatever else is sent takes it along."""
    link = edited().link
    before = edited(score="2")
    link = replace(link, refused=attempts(refused(before.plan(), "Score"), before.record))
    both = edited(name="Ann Lee", score="2").plan()
    assert refused_before(both, link, before.record) is both


def test_what_stands_still_or_is_held_does_not_count_as_moving() -> None:
    """A value that cannot be converted keeps nobody from remembering the refusal of another line."""
    case = edited(score="2", name="Ann Lee")
    found = refused(case.plan(), "Score", "name")
    link = replace(case.link, refused=attempts(found, case.record))
    names = {name: list(value) if isinstance(value, list) else value for name, value in link.refused.items()}
    assert names == {
        "name": ["Ann Lee", "Ann", line(found, "name").line.rule, None],
        "Score": ["2", 1, line(found, "Score").line.rule, None],
    }
    only = replace(
        found,
        decisions=tuple(
            replace(d, verdict=Verdict.HELD) if d.line.name == "name" else d for d in case.plan().decisions
        ),
    )
    assert refused_before(replace(only, record=UpdateRecord({SCORE: 2})), link, case.record).record is None


def test_attempts_are_of_this_refusal_only() -> None:
    """What was held for another cause is not remembered; a field that the payload lacks is remembered as null."""
    found = created(name="Ann", company_id="5")
    held = refused(found, "name")
    record = Couple(MAPPING, OLD, {}).record
    assert set(attempts(held, record)) == {"name"}
    assert attempts(found, record) == {}
