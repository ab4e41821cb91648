"""Mappings of one object or of one table: what separates them, and what `check` says where nothing does."""

from __future__ import annotations

import dataclasses

import pytest

from connector.core.bind import bind
from connector.core.schema import CrmField, FieldType, Option
from tests.core.accounts import CONTACTS, CUSTOMER_TIER, METADATA, PERSON, TABLES, bound, column, loaded, problems
from tests.core.test_bind import HEAD

FIRST = "{from: 2026-01-01, to: 2026-01-31}"
SAME_DAY = "{from: 2026-01-31}"
LATER = "{from: 2026-02-01, to: 2026-02-28}"


def _people(name: str, more: str, direction: str = "both") -> str:
    return HEAD.replace("both", direction) + more + f"fields: [{{column: {name}, crm: emails}}]\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("only: {receive: {owner_id: [1]}}\n", "only: {receive: {owner_id: [2]}}\n"),
        ("only: {receive: {owner_id: [1]}}\n", "only: {receive: {owner_id: BEN@acme.test}}\n"),
        ("only: {receive: {org_id: present}}\n", "only: {receive: {org_id: absent}}\n"),
        ("only: {receive: {Score: {from: 10}}}\n", "only: {receive: {Score: {to: 9}}}\n"),
        ("only: {receive: {Score: 3}}\n", "only: {receive: {Score: {from: 10}}}\n"),
        ("only: {receive: {Score: 12}}\n", "only: {receive: {Score: {from: 1, to: 10}}}\n"),
        ("only: {receive: {Score: present}}\n", "set: {crm: {Score: null}}\n"),
        ("only: {receive: {Score: [0, 12]}}\n", "only: {receive: {Score: {from: 1, to: 10}}}\n"),
        (f"only: {{receive: {{add_time: {FIRST}}}}}\n", f"only: {{receive: {{add_time: {LATER}}}}}\n"),
        ("only: {receive: {Customer tier: [Gold]}}\n", "only: {receive: {Customer tier: {not: Gold}}}\n"),
        ("only: {receive: {Customer tier: Gold}}\n", "set: {crm: {Customer tier: Silver}}\n"),
    ],
)
def test_mappings_of_one_object_that_some_field_separates_are_disjoint(one: str, other: str) -> None:
    """By filters or constants, in either order."""
    for first, second in ((one, other), (other, one)):
        found = problems({"a": _people("email", first), "b": _people("phone", second)})
        assert [problem for problem in found if "receive" in problem] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", ""),
        ("", "only: {receive: {org_id: present}}\n"),
        ("only: {receive: {owner_id: [1, 2]}}\n", "only: {receive: {owner_id: [2]}}\n"),
        ("only: {receive: {owner_id: [1]}}\n", "only: {receive: {owner_id: ANA@acme.test}}\n"),
        ("only: {receive: {Customer tier: Gold}}\n", "only: {receive: {Customer tier: [70, silver]}}\n"),
        ("only: {receive: {Score: 5}}\n", "only: {receive: {Score: '5.0'}}\n"),
        ("only: {receive: {emails: [a@b.test]}}\n", "only: {receive: {emails: [c@d.test]}}\n"),
        ("only: {receive: {Score: {from: 1, to: 5}}}\n", "only: {receive: {Score: {from: 5}}}\n"),
        ("only: {receive: {Score: [0, 10]}}\n", "only: {receive: {Score: {from: 1, to: 10}}}\n"),
        (f"only: {{receive: {{add_time: {FIRST}}}}}\n", f"only: {{receive: {{add_time: {SAME_DAY}}}}}\n"),
        ("only: {receive: {Score: 5}}\n", "only: {receive: {Score: {from: 1, to: 10}}}\n"),
        ("only: {receive: {Score: present}}\n", "only: {receive: {Score: {not: 5}}}\n"),
    ],
)
def test_overlapping_mappings_of_one_object_are_an_error(one: str, other: str) -> None:
    """The later one is left out."""
    found = bound({"a": _people("email", one), "b": _people("phone", other)})
    assert list(found.mappings) == ["a"]
    assert [problem.message for problem in found.problems] == [
        "mappings 'a' and 'b' both receive person records; separate them by only.receive or set.crm"
    ]


def test_a_filter_on_a_field_that_there_is_not() -> None:
    """It is complained about once; that the mappings may overlap is said as well."""
    found = problems({"a": _people("email", "only: {receive: {orgid: present}}\n"), "b": _people("phone", "")})
    assert [problem.partition(": ")[0] for problem in found] == ["a.yaml:5:18", "b.yaml:1:9"]


@pytest.mark.parametrize(("head", "place"), [("", "b.yaml:1:9"), ("only: {receive: {Score: present}}\n", "b.yaml:5:8")])
def test_overlap_is_told_at_the_later_filter(head: str, place: str) -> None:
    """Or at its object, where it has none."""
    found = problems({"a": _people("email", head), "b": _people("phone", head)})
    assert found[0].startswith(f"{place}: mappings 'a' and 'b' both receive")


def test_a_field_under_its_old_and_its_new_name_separates() -> None:
    """One file still holds the name under which the field was first seen."""
    fields = tuple(dataclasses.replace(f, name="Tier") if f.key == CUSTOMER_TIER else f for f in PERSON)
    metadata = dataclasses.replace(METADATA, fields={**METADATA.fields, "person": fields})
    old = {"a": _people("email", "only: {receive: {Customer tier: Gold}}\n")}
    both = {**old, "b": _people("phone", "only: {receive: {Tier: Silver}}\n")}
    found = bound(both, metadata=metadata, pins=bound(old).pins)
    assert [problem for problem in found.problems if "receive" in problem.message] == []


TAGS = CrmField("9" * 40, "Tags", FieldType.SET, custom=True, options=tuple(Option(o, o) for o in "ABC"))
TAGGED = dataclasses.replace(METADATA, fields={**METADATA.fields, "person": (*PERSON, TAGS)})


@pytest.mark.parametrize(("kept_out", "apart"), [("[A, B, C]", True), ("[A]", False)])
def test_a_set_that_is_written_separates_from_a_filter_that_keeps_all_of_it_out(kept_out: str, *, apart: bool) -> None:
    """Each option of the constant counts by itself."""
    one, other = "set: {crm: {Tags: [A, B]}}\n", f"only: {{receive: {{Tags: {{not: {kept_out}}}}}}}\n"
    found = bound({"a": _people("email", one), "b": _people("phone", other)}, metadata=TAGGED)
    assert ([problem for problem in found.problems if "receive" in problem.message] == []) is apart


def test_an_option_of_a_set_that_there_is_not() -> None:
    """It is named."""
    found = bound({"a": _people("email", "set: {crm: {Tags: [A, D]}}\n")}, metadata=TAGGED)
    assert [problem.message for problem in found.problems] == ["Tags has no option 'D'; known: A, B, C"]


@pytest.mark.parametrize(("kind", "apart"), [("text", True), ("array", False), ("json", False)])
def test_a_column_of_several_values_separates_nothing(kind: str, *, apart: bool) -> None:
    """A row may hold both."""
    tables = {
        **TABLES,
        ("app", "contacts"): dataclasses.replace(CONTACTS, columns={**CONTACTS.columns, "tags": column("tags", kind)}),
    }
    a, b = (
        _people(name, f"only: {{send: {{tags: {word}}}}}\n", "send") for name, word in (("email", "x"), ("phone", "y"))
    )
    found = bind(loaded({"a": a, "b": b}), METADATA, tables)
    assert (found.problems == ()) is apart


def test_overlap_that_nobody_can_decide_is_a_warning() -> None:
    """The first in file order wins."""
    one, other = "only: {receive: {org_id: present}}\n", "only: {receive: {owner_id: [1]}}\n"
    found = bound({"a": _people("email", one), "b": _people("phone", other)})
    assert len(found.mappings) == 2
    assert [str(problem) for problem in found.problems] == [
        "b.yaml:5:8: warning: mappings 'a' and 'b' both receive person records and may overlap; 'a' wins"
    ]


@pytest.mark.parametrize("direction", ["send", "both"])
@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("", "", False),
        ("only: {send: {email: present}}\n", "", False),
        ("only: {send: {email: present}}\n", "only: {send: {phone: absent}}\n", False),
        ("only: {send: {tier: [gold, silver]}}\n", "only: {send: {tier: SILVER}}\n", False),
        ("only: {send: {tier: gold}}\n", "only: {send: {tier: silver}}\n", True),
        ("only: {send: {tier: {not: gold}}}\n", "only: {send: {tier: gold}}\n", True),
        ("only: {send: {email: present}}\n", "only: {send: {email: absent}}\n", True),
    ],
)
def test_mappings_of_one_table_that_send_the_same_row_are_a_warning(
    direction: str, one: str, other: str, *, apart: bool
) -> None:
    """Each makes a record of its own, unless `only.send` makes them kinds of one row."""
    found = bound({"a": _people("email", one, direction), "b": _people("phone", other, "send")})
    place = "b.yaml:5:8" if other else "b.yaml:2:8"
    said = f"{place}: warning: mappings 'a' and 'b' may send one row of app.contacts: it becomes two person records; "
    said += "separate them by only.send if one is meant"
    assert [str(problem) for problem in found.problems] == ([] if apart else [said])
    assert found.siblings(found.mappings["a"]) == ([found.mappings["b"]] if apart else ())
