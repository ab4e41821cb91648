"""Every way a mapping can fail to fit the schemas, with the complaint that an admin reads: see bind_problems.yaml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connector.core.bind import bind
from connector.core.schema import Column, Stage
from tests.core.accounts import CONTACTS, METADATA, TABLES, bound, loaded, problems

PERSON = "object: person\ntable: app.contacts\nkey: id\ndirection: both\n"
COMPANY = (
    "object: organization\ntable: app.companies\nkey: id\ndirection: both\nfields:\n  - {column: name, crm: name}\n"
)


def _lines(*lines: str) -> str:
    return PERSON + "fields:\n" + "".join(f"  - {line}\n" for line in lines)


CASES: dict[str, tuple[str, list[str]]] = {
    case["name"]: (case["mapping"], case["problems"])
    for case in YAML(typ="safe", pure=True).load(Path(__file__).with_name("bind_problems.yaml"))
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_named_at_its_place(text: str, expected: list[str]) -> None:
    """Position, what is wrong, and what would be right."""
    assert problems({"contact": text}) == [f"contact.yaml:{each}" for each in expected]


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_errors_leave_the_mapping_out_and_warnings_do_not(text: str, expected: list[str]) -> None:
    """What has an error cannot be used."""
    usable = all(" warning: " in each for each in expected)
    assert ("contact" in bound({"contact": text}).mappings) is usable


def test_a_link_to_a_mapping_of_another_object_names_the_right_one() -> None:
    """An organization's id is no person's."""
    contact = _lines("{column: company_id, crm: org_id, link: contact}")
    assert problems({"contact": contact, "company": COMPANY}) == [
        (
            "contact.yaml:6:45: 'org_id' points to organization, but 'contact' maps person; "
            "mappings of organization: company"
        )
    ]


def test_a_link_to_a_mapping_of_another_object_where_several_would_fit_or_none() -> None:
    """All of them are named."""
    contact = _lines("{column: company_id, crm: org_id, link: contact}")
    several = problems({"contact": contact, "company": COMPANY, "firm": COMPANY})
    assert any(problem.endswith("; mappings of organization: company, firm") for problem in several)
    assert problems({"contact": contact})[0].endswith("but 'contact' maps person")


def test_words_of_a_template_are_no_texts_of_the_column_that_it_reads() -> None:
    """What it makes of a number may be any word."""
    line = '{column: "{{ company_id }}", crm: Customer tier, values: {gold: Gold}, direction: send}'
    assert problems({"contact": _lines(line)}) == []
    line = '{column: tier, crm: "{{ customer_tier }}!", values: {gold: "Gold!"}}'
    assert problems({"contact": _lines(line)}) == []


def test_a_link_needs_a_field_that_points_and_a_column_that_holds_the_key() -> None:
    """Neither an e-mail nor a uuid is the number of a row."""
    contact = _lines("{column: email, crm: emails, link: company}")
    company = COMPANY + "  - {column: token, crm: Main contact, link: contact}\n"
    assert problems({"contact": contact, "company": company}) == [
        "company.yaml:7:14: column 'token' (uuid) cannot hold a key of 'contact' (bigint)",
        "contact.yaml:6:5: link: needs a CRM field that points to a record; 'Emails' is emails",
    ]


def test_a_stage_by_a_name_that_several_share() -> None:
    """A filter may mean all of them; only stages go by such a name, and only by one that there is."""
    again = replace(METADATA, stages=(*METADATA.stages, Stage("4", "Lead in", "2")))
    deal = "object: deal\ntable: app.deals\nkey: id\ndirection: both\n"
    for field, word, known in (
        ("stage_id", "Lead in", True),
        ("stage_id", "Leed in", False),
        ("pipeline_id", "Lead in", False),
        ("pipeline_id", "2", True),
    ):
        text = f"{deal}only: {{receive: {{{field}: {word}}}}}\nfields:\n  - {{column: title, crm: title}}\n"
        assert (bound({"deal": text}, metadata=again).problems == ()) is known, (field, word)


MOOD = Column("mood", "app.mood", "enum", labels=("good", "bad"))


@pytest.mark.parametrize(
    ("assigned", "complaint"),
    [
        ("score: 5", None),
        ("mood: good", None),
        ("mood: gut", "5:13: column 'mood' (app.mood) cannot hold 'gut': not_in_enum; labels: good, bad"),
    ],
)
def test_what_a_column_can_be_given(assigned: str, complaint: str | None) -> None:
    """A number, and one of an enum's labels."""
    table = replace(CONTACTS, columns={**CONTACTS.columns, "mood": MOOD})
    text = PERSON + f"set: {{app: {{{assigned}}}}}\nfields:\n  - {{column: email, crm: emails}}\n"
    found = bind(loaded({"contact": text}), METADATA, {**TABLES, ("app", "contacts"): table})
    assert [str(problem) for problem in found.problems] == ([] if complaint is None else [f"contact.yaml:{complaint}"])


@pytest.mark.parametrize(
    ("more", "complains"),
    [
        (Column("code", "text", "text", nullable=False), True),
        (Column("code", "text", "text", nullable=False, default="'x'"), False),
        (Column("code", "text", "text", nullable=False, generated=True), False),
        (Column("code", "bigint", "integer", nullable=False, identity=True), False),
        (Column("code", "text", "text"), False),
    ],
)
def test_a_column_that_nothing_fills(more: Column, *, complains: bool) -> None:
    """One that takes null, or that the database fills, needs no line."""
    table = replace(CONTACTS, columns={**CONTACTS.columns, "code": more})
    text = PERSON + "fields:\n  - {column: email, crm: emails}\n"
    found = bind(loaded({"contact": text}), METADATA, {**TABLES, ("app", "contacts"): table})
    assert bool(found.problems) is complains


def test_a_table_without_a_primary_key() -> None:
    """Its rows cannot be told from each other."""
    tables = {**TABLES, ("app", "contacts"): replace(CONTACTS, primary_key=())}
    found = bind(loaded({"contact": _lines("{column: email, crm: emails}")}), METADATA, tables)
    message = "contact.yaml:3:6: 'id' must be the table's primary key; app.contacts has no primary key"
    assert [str(problem) for problem in found.problems] == [message]


def test_one_bad_mapping_leaves_the_others_usable() -> None:
    """Callers decide whether to go on."""
    found = bound({"company": COMPANY, "contact": _lines("{column: emial, crm: emails}")})
    assert list(found.mappings) == ["company"]
    assert len(found.problems) == 1
