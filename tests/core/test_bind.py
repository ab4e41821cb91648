"""What `bind` makes of a set that fits: directions, names, rules, references, constants, cycles."""

from __future__ import annotations

import dataclasses

import pytest

from connector.core.line import BoundMapping, Line, Refs
from connector.core.mapping import BrakeSpec, Conflict, Direction
from tests.core.accounts import (
    CONNECTION,
    CUSTOMER_TIER,
    METADATA,
    PERSON,
    bound,
    problems,
)

HEAD = "object: person\ntable: app.contacts\nkey: id\ndirection: both\n"
COMPANY = (
    "object: organization\ntable: app.companies\nkey: id\ndirection: both\nfields:\n  - {column: name, crm: name}\n"
)
CALL = "object: activity\ntable: app.calls\nkey: id\ndirection: send\nfields:\n"


def _contact(*lines: str, head: str = HEAD, **more: str) -> BoundMapping:
    text = head + "fields:\n" + "".join(f"  - {line}\n" for line in lines)
    found = bound({"contact": text, **more})
    assert [problem for problem in found.problems if not problem.warning] == []
    return found.mappings["contact"]


def _line(mapping: BoundMapping, name: str) -> Line:
    return next(line for line in mapping.every_line if line.name == name)


@pytest.mark.parametrize("outer", list(Direction))
@pytest.mark.parametrize("inner", list(Direction))
def test_the_effective_direction_is_what_both_allow(outer: Direction, inner: Direction) -> None:
    """Object ∩ line; a line that flows nowhere is no line."""
    mapping = _contact(f"{{column: email, crm: emails, direction: {inner}}}", head=HEAD.replace("both", outer))
    expected = inner.within(outer)
    assert [line.direction for line in mapping.lines] == ([] if expected is Direction.NONE else [expected])


@pytest.mark.parametrize(
    ("rollout", "expected"),
    [("observe", Direction.BOTH), ("receive", Direction.RECEIVE), ("full", Direction.BOTH)],
)
def test_rollout_receive_takes_the_sends_away(rollout: str, expected: Direction) -> None:
    """Observing keeps the plan as it would be; constants go with the sends. A line keeps its direction: edits wait."""
    mapping = _contact("{column: email, crm: emails}", head=f"{HEAD}rollout: {rollout}\nset: {{crm: {{Score: 1}}}}\n")
    assert mapping.direction is expected
    assert mapping.lines[0].direction is Direction.BOTH
    assert bool(mapping.constants) is expected.sends


def test_what_nobody_may_write_is_only_received() -> None:
    """Silently: `crm: id` in a two-way mapping is no mistake."""
    mapping = _contact("{column: pipedrive_id, crm: id}", "{column: born, crm: add_time, as: date}")
    assert [(line.direction, line.readonly_crm) for line in mapping.lines] == [(Direction.RECEIVE, True)] * 2
    assert problems({"contact": HEAD + "fields: [{column: pipedrive_id, crm: id}]\n"}) == []


def test_a_mapping_that_does_nothing_does_not_write_ids_back_either() -> None:
    """`direction: none` is that of every line."""
    assert _contact("{column: pipedrive_id, crm: id}", head=HEAD.replace("both", "none")).lines == ()


def test_the_records_own_id_is_written_back_where_a_mapping_only_sends() -> None:
    """An app that sends wants to know what became of it."""
    head = HEAD.replace("both", "send")
    mapping = _contact("{column: email, crm: emails}", "{column: pipedrive_id, crm: id}", head=head)
    assert _line(mapping, "id").direction is Direction.RECEIVE
    assert bound({"contact": head + "fields: [{column: pipedrive_id, crm: id}]\n"}).problems == ()


def test_line_names_are_the_crm_side_and_unique() -> None:
    """Stable while the CRM side stays; a second line on a field is told by its column."""
    mapping = _contact(
        "{column: email, crm: emails}",
        "{column: phone, crm: phones, as: primary}",
        "{column: bio, crm: phones, as: primary, direction: none}",
        "{column: tier, crm: Customer tier, values: {gold: Gold}}",
        '{column: bio, crm: "{{ first_name }} {{ customer_tier }}"}',
        '{column: "{{ first_name }}", crm: name}',
    )
    assert [line.name for line in mapping.lines] == ["emails", "phones", "Customer tier", "bio", "name"]
    text = HEAD + "fields:\n" + 3 * "  - {column: email, crm: emails, direction: send}\n"
    assert [line.name for line in bound({"contact": text}).mappings["contact"].lines] == [
        "emails", "emails:email", "emails:email:2",
    ]  # fmt: skip


def test_a_template_line_knows_what_it_mentions() -> None:
    """Columns to watch, fields to read."""
    mapping = _contact(
        '{column: "{{ first_name }} {{ last_name }}", crm: name}',
        '{column: bio, crm: "{{ name }} {{ customer_tier }}"}',
    )
    sent, received = mapping.lines
    assert (sent.columns, sent.template, sent.direction) == (("first_name", "last_name"), True, Direction.SEND)
    assert {field.key for field in received.fields} == {"name", CUSTOMER_TIER}
    assert (received.columns, received.template, received.direction) == (("bio",), True, Direction.RECEIVE)


def test_the_conflict_rule_comes_from_the_line_else_from_the_mapping() -> None:
    """A line may differ."""
    mapping = _contact(
        "{column: email, crm: emails}", "{column: phone, crm: phones, conflict: crm}", head=HEAD + "conflict: app\n"
    )
    assert [line.conflict for line in mapping.lines] == [Conflict.APP, Conflict.CRM]


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("{column: tier, crm: Customer tier, values: {gold: Gold}}", True),
        ("{values: {gold: Gold}, conflict: app, direction: send, crm: Customer tier, column: tier}", True),
        ("{column: tier, crm: {key: " + CUSTOMER_TIER + "}, values: {gold: Gold}}", True),
        ("{column: tier, crm: Customer tier, values: {gold: Silver}}", False),
        ("{column: bio, crm: Customer tier, values: {gold: Gold}}", False),
        ("{column: tier, crm: Customer tier, values: {gold: Gold}, as: enum}", False),
    ],
)
def test_the_rule_is_what_makes_a_base_valid(line: str, same: bool) -> None:  # noqa: FBT001 (a parameter of the table)
    """Columns, fields by key, converter, values: another rule means first sight again. Direction is no part of it."""
    base = _contact("{column: tier, crm: Customer tier, values: {gold: Gold}}").lines[0].rule
    assert (_contact(line).lines[0].rule == base) is same


def test_the_rule_outlasts_an_upgrade() -> None:
    """Another digest of the same line would set every pair of every customer back to first sight."""
    mapping = _contact(
        "{column: tier, crm: Customer tier, values: {gold: Gold, silver: Silver}}",
        "{column: company_id, crm: org_id, link: company}",
        '{column: bio, crm: "{{ first_name }}"}',
        head=HEAD + "set: {crm: {Score: 5}}\n",
        company=COMPANY,
    )
    assert {line.name: line.rule for line in mapping.every_line} == {
        "Customer tier": "f92374f60a5acda9",
        "org_id": "99b0f29cb2448937",
        "bio": "d8394d9ac2e5c57f",
        "set.Score": "e8a73d2d333c6fd7",
    }
    others = [_contact("{column: email, crm: emails}", head=f"{HEAD}set: {{crm: {{Score: {n}}}}}\n") for n in (5, 6)]
    assert others[0].constants[0].rule == mapping.constants[0].rule != others[1].constants[0].rule


def test_match_keys_become_lines() -> None:
    """In the order of the file; a line of direction none may be matched by, and is still never read into a base."""
    mapping = _contact(
        "{column: email, crm: emails}",
        "{column: last_name, crm: last_name}",
        "{column: phone, crm: phones, direction: none}",
        head=HEAD + "match: [email, [last_name, phone]]\n",
    )
    assert [[line.name for line in key] for key in mapping.match] == [["emails"], ["last_name", "phones"]]
    assert [line.name for line in mapping.lines] == ["emails", "last_name"]


def test_a_line_that_does_nothing_need_not_fit() -> None:
    """Unless rows and records are matched by it."""
    idle = "{column: born, crm: emails, direction: none}"
    assert [line.name for line in _contact(idle, "{column: email, crm: emails}", head=HEAD + "match: [email]\n").lines]
    wanted = {"contact": HEAD + f"match: [born]\nfields: [{idle}]\n"}
    assert "does not fit" in problems(wanted)[0]


def test_a_template_maps_no_column_to_match_by() -> None:
    """It only reads them: the line that maps the column is meant, wherever it stands."""
    mapping = _contact(
        '{column: "{{ first_name }}", crm: name}',
        "{column: first_name, crm: first_name}",
        head=HEAD + "match: [first_name]\n",
    )
    assert [[line.name for line in key] for key in mapping.match] == [["first_name"]]


def test_constants_are_lines_that_only_send() -> None:
    """Their app side always says the value."""
    mapping = _contact("{column: email, crm: emails}", head=HEAD + "set: {crm: {Customer tier: Gold}, app: {bio: x}}\n")
    (constant,) = mapping.constants
    assert (constant.name, constant.direction, constant.columns) == ("set.Customer tier", Direction.SEND, ())
    assert constant.converter.to_crm(constant.converter.read_app({}), Refs()) == "70"
    assert mapping.set_app == {"bio": "x"}
    assert not _contact(
        "{column: email, crm: emails}", head=HEAD.replace("both", "receive") + "set: {crm: {Score: 1}}\n"
    ).constants


def test_conditions_know_the_key_of_their_field() -> None:
    """Names are not unique among fields; a built-in field is meant by its API name only."""
    mapping = _contact(
        "{column: email, crm: emails}", head=HEAD + "only: {receive: {Customer tier: Gold, name: Ada}}\n"
    )
    tier, name = mapping.only_receive
    assert (tier.name, name.name, name.key) == ("Customer tier", "name", "name")
    assert tier.key is not None
    assert tier.key != tier.name


def test_the_brake_is_the_mappings_or_the_connections() -> None:
    """A mapping may have its own; the half that it leaves out is the connection's."""
    line, whole = "{column: email, crm: emails}", CONNECTION + "brake: {records: 30, percent: 2}\n"
    assert _contact(line).brake == BrakeSpec(200, 5.0)
    assert _contact(line, connection=whole).brake == BrakeSpec(30, 2.0)
    assert _contact(line, head=HEAD + "brake: {records: 7}\n", connection=whole).brake == BrakeSpec(7, 2.0)
    assert _contact(line, head=HEAD + "brake: {percent: 9}\n", connection=whole).brake == BrakeSpec(30, 9.0)


def test_a_reference_in_a_required_column_is_required() -> None:
    """A row cannot be inserted without it."""
    found = bound({
        "contact": HEAD + "fields: [{column: company_id, crm: org_id, link: company}]\n",
        "company": COMPANY,
        "call": CALL + "  - {column: contact_id, crm: person_id, link: contact}\n",
    })  # fmt: skip
    assert not _line(found.mappings["contact"], "org_id").required
    assert _line(found.mappings["call"], "person_id").required


def test_the_only_target_of_a_note_is_required() -> None:
    """A note hangs on something; with two targets one may be missing."""
    note = "object: note\ntable: app.deals\nkey: id\ndirection: send\nfields:\n  - {column: title, crm: content}\n"
    one = note + "  - {column: contact_id, crm: person_id, link: contact}\n"
    two = one + "  - {column: id, crm: org_id, link: company}\n"
    others = {"contact": HEAD + "fields: [{column: email, crm: emails}]\n", "company": COMPANY}
    assert _line(bound({"note": one, **others}).mappings["note"], "person_id").required
    assert not _line(bound({"note": two, **others}).mappings["note"], "person_id").required


def test_a_cycle_of_references_is_broken_at_its_last_edge() -> None:
    """Company → contact → company: the second one follows later."""
    found = bound({
        "company": COMPANY + "  - {column: contact_id, crm: Main contact, link: contact}\n",
        "contact": HEAD + "fields: [{column: company_id, crm: org_id, link: company}]\n",
    })  # fmt: skip
    assert not _line(found.mappings["company"], "Main contact").deferred
    assert _line(found.mappings["contact"], "org_id").deferred
    assert found.problems == ()


def test_a_renamed_field_is_found_by_its_pinned_key_with_a_warning() -> None:
    """The file still holds the old name."""
    fields = tuple(dataclasses.replace(f, name="Tier") if f.key == CUSTOMER_TIER else f for f in PERSON)
    metadata = dataclasses.replace(METADATA, fields={**METADATA.fields, "person": fields})
    text = {"contact": HEAD + "fields: [{column: tier, crm: Customer tier, values: {gold: Gold}}]\n"}
    assert not bound(text, metadata=metadata).mappings
    found = bound(text, metadata=metadata, pins=bound(text).pins)
    assert found.mappings["contact"].lines[0].fields[0].key == CUSTOMER_TIER
    filtered = {"contact": HEAD + "only: {receive: {Customer tier: Gold}}\nfields: [{column: email, crm: emails}]\n"}
    (condition,) = bound(filtered, metadata=metadata, pins=bound(filtered).pins).mappings["contact"].only_receive
    assert (condition.name, condition.key) == ("Tier", CUSTOMER_TIER)
    assert [str(problem) for problem in found.problems] == [
        "contact.yaml:5:30: warning: the field 'Customer tier' is now named 'Tier'"
    ]


def test_a_line_that_fits_no_more_can_be_left_out_alone() -> None:
    """For schemas that changed under a running set; a choice that is gone only warns."""
    text = {
        "contact": HEAD
        + "fields:\n  - {column: email, crm: emails}\n  - {column: bio, crm: Biography}\n"
        + "  - {column: tier, crm: Customer tier, values: {gold: Gold, lead: Lead}}\n"
    }
    assert not bound(text).mappings
    found = bound(text, quarantine=True)
    assert [line.name for line in found.mappings["contact"].lines] == ["emails", "Customer tier"]
    assert [problem.warning for problem in found.problems] == [False, True]
