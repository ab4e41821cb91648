"""Pins: renames are followed, what is gone or of another type is set aside alone, and what returns overwrites nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.core.bind import bind
from connector.core.line import Bound, BoundMapping, HeldError, Refs
from connector.core.merge import Grounds, Inputs, Reason, Verdict, decide
from connector.core.model import Clocks, Json, Pair
from connector.core.pins import Pins, former_words
from connector.core.schema import CrmField, FieldType, Option, Table
from tests.core.accounts import CUSTOMER_TIER, METADATA, PERSON, TABLES, column, loaded

TEXT = """object: person
table: app.contacts
key: id
direction: both
match: [email]
fields:
  - {column: email, crm: emails, as: primary}
  - {column: tier, crm: Customer tier, values: {gold: Gold, silver: Silver}}
  - {column: bio, crm: first_name}
"""


def look(
    pins: Pins | None = None,
    *,
    fields: Iterable[CrmField] = PERSON,
    contacts: Table | None = None,
    running: bool = True,
    text: str = TEXT,
) -> Bound:
    """One look at both schemas under a set that runs, or that is about to be applied."""
    tables = {**TABLES, **({("app", "contacts"): contacts} if contacts is not None else {})}
    metadata = dataclasses.replace(METADATA, fields={**METADATA.fields, "person": tuple(fields)})
    known = former_words(metadata, pins or Pins())
    return bind(loaded({"contact": text}), known, tables, pins=pins, quarantine=running)


def names(found: Bound) -> list[str]:
    """The lines that work."""
    return [line.name for line in found.mappings["contact"].lines]


def tier(found: Bound) -> str:
    """The rule of the tier's line."""
    return next(line.rule for line in found.mappings["contact"].lines if line.name == "Customer tier")


def person(**changes: object) -> list[CrmField]:
    """The fields of a person, the tier's changed."""
    return [dataclasses.replace(f, **changes) if f.key == CUSTOMER_TIER else f for f in PERSON]  # type: ignore[arg-type]


def without() -> list[CrmField]:
    """The fields of a person, the tier's gone."""
    return [f for f in PERSON if f.key != CUSTOMER_TIER]


def contacts(*, drop: str = "", **changes: object) -> Table:
    """The table of contacts without a column, or with the tier's changed."""
    table = TABLES["app", "contacts"]
    columns = {name: column for name, column in table.columns.items() if name != drop}
    if changes:
        columns["tier"] = dataclasses.replace(columns["tier"], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(table, columns=columns)


def test_a_renamed_field_is_followed_even_if_another_takes_its_name() -> None:
    """The file's name stands for the key under which the field was first seen."""
    first = look()
    other = CrmField("9" * 40, "Customer tier", FieldType.ENUM, custom=True, options=(Option("1", "Gold"),))
    renamed = look(first.pins, fields=[*person(name="Tier"), other])
    assert renamed.mappings["contact"].lines[1].fields[0].key == CUSTOMER_TIER
    assert [problem.message for problem in renamed.problems] == ["the field 'Customer tier' is now named 'Tier'"]
    assert renamed.pins == first.pins


def test_a_renamed_option_is_followed_by_its_id() -> None:
    """Swapped labels included: each word keeps the option that it stood for."""
    first = look()
    swapped = person(options=(Option("70", "Silver"), Option("71", "Gold")))
    found = look(first.pins, fields=swapped).mappings["contact"].lines[1].converter
    assert (found.to_crm("gold", Refs()), found.to_app("71", Refs())) == ("70", "silver")
    taken = person(options=(Option("99", "Gold"), Option("70", "Top"), Option("71", "Silver")))
    found = look(first.pins, fields=taken).mappings["contact"].lines[1].converter
    assert found.to_crm("gold", Refs()) == "70"
    with pytest.raises(HeldError):
        found.to_app("99", Refs())
    renamed = look(first.pins, fields=person(options=(Option("70", "Top"), Option("71", "Silver"))))
    assert [problem.message for problem in renamed.problems] == [
        "the option 'Gold' of 'Customer tier' is now named 'Top'"
    ]


@pytest.mark.parametrize(
    "moved",
    [
        {"fields": without()},
        {"fields": person(type=FieldType.TEXT)},
        {"contacts": contacts(drop="tier")},
        {"contacts": contacts(kind="integer")},
    ],
)
def test_what_is_gone_or_of_another_type_is_set_aside_alone_until_it_returns(moved: dict[str, object]) -> None:
    """However often one looks; the line then has another rule, which older bases do not fit."""
    first = look()
    gone = look(first.pins, **moved)  # type: ignore[arg-type]
    assert names(gone) == ["emails", "first_name"]
    assert gone.mappings["contact"].aside == ("Customer tier",)
    again = look(gone.pins, **moved)  # type: ignore[arg-type]
    assert list(again.pins.aside) == [("contact", "Customer tier")]
    back = look(again.pins)
    assert names(back) == names(first)
    assert (tier(first), tier(back)) == (tier(first), f"{tier(first)}~1")
    assert tier(look(back.pins)) == tier(back)


@pytest.mark.parametrize("moved", [{"fields": person(key="9" * 40)}, {"contacts": contacts(number=99)}])
def test_another_field_or_column_of_the_same_name_is_no_silent_successor(moved: dict[str, object]) -> None:
    """Deleted and made anew between two looks, all its values are gone: it is set aside, and returns at the next look."""
    first = look()
    replaced = look(first.pins, **moved)  # type: ignore[arg-type]
    assert names(replaced) == ["emails", "first_name"]
    back = look(replaced.pins, **moved)  # type: ignore[arg-type]
    assert tier(back).endswith("~1")


def test_who_changes_the_files_takes_both_schemas_as_they_are() -> None:
    """With a warning, and with the care that a returned line gets."""
    first = look()
    found = look(first.pins, contacts=contacts(number=99), running=False)
    assert [problem.warning for problem in found.problems] == [True]
    assert tier(found).endswith("~1")
    assert tier(look(found.pins, contacts=contacts(number=99))) == tier(found)


def test_without_its_match_key_a_mapping_makes_no_new_pairs() -> None:
    """Else a row would be created in the CRM although its record is there."""
    found: BoundMapping = look(look().pins, contacts=contacts(drop="email")).mappings["contact"]
    assert (found.incomplete, [line.name for line in found.lines]) == (True, ["Customer tier", "first_name"])


def test_without_the_line_that_fills_a_required_column_no_row_is_made() -> None:
    """The mapping goes on with the pairs that it has; without a set that runs it is a mistake."""
    text = "object: organization\ntable: app.companies\nkey: id\ndirection: both\nfields:\n"
    text += "  - {column: name, crm: name}\n  - {column: contact_id, crm: id}\n"
    fields = {**METADATA.fields, "organization": tuple(f for f in METADATA.fields["organization"] if f.key != "name")}
    metadata = dataclasses.replace(METADATA, fields=fields)
    first = bind(loaded({"company": text}), METADATA, TABLES)
    found = bind(loaded({"company": text}), metadata, TABLES, pins=first.pins, quarantine=True).mappings["company"]
    assert (found.incomplete, [line.name for line in found.lines]) == (True, ["id"])
    assert not first.mappings["company"].incomplete
    assert not bind(loaded({"company": text}), metadata, TABLES, pins=first.pins).mappings
    table = TABLES["app", "companies"]
    more = dataclasses.replace(table, columns={**table.columns, "code": column("code", null=False)})
    unfilled = bind(loaded({"company": text}), metadata, {**TABLES, ("app", "companies"): more}, quarantine=True)
    assert any("column 'code' is NOT NULL" in problem.message for problem in unfilled.problems)


@pytest.mark.parametrize(
    ("lacking", "right"), [({"readable": False}, "SELECT"), ({"writable": False}, "UPDATE")], ids=["read", "write"]
)
def test_a_right_that_the_connectors_user_lacks(lacking: dict[str, Any], right: str) -> None:
    """Under a running set the line is set aside; before, it is a warning at the column's place."""
    message = f"column 'tier': the connector's user lacks {right} (tier) on app.contacts"
    before = look(contacts=contacts(**lacking), running=False)
    assert [str(problem) for problem in before.problems] == [f"contact.yaml:8:14: warning: {message}"]
    assert names(before) == ["emails", "Customer tier", "first_name"]
    running = look(look().pins, contacts=contacts(**lacking))
    assert [str(problem) for problem in running.problems] == [f"contact.yaml:8:14: {message}"]
    assert names(running) == ["emails", "first_name"]


def test_options_of_every_field_that_a_template_reads_are_known() -> None:
    """Whichever of them has any."""
    text = TEXT.split("fields:", maxsplit=1)[0].replace("match: [email]\n", "")
    text += 'fields:\n  - {column: bio, crm: "{{ first_name }} {{ customer_tier }}"}\n'
    assert look(text=text).pins.options["person"] == {CUSTOMER_TIER: ("70", "71")}


def test_a_field_that_is_only_kept_is_set_aside_by_its_name() -> None:
    """It costs no line."""
    text = TEXT.replace("match:", "keep: [Score]\nmatch:")
    gone = look(look(text=text).pins, text=text, fields=[f for f in PERSON if f.name != "Score"])
    assert gone.mappings["contact"].aside == ("keep.Score",)
    assert len(gone.mappings["contact"].lines) == 3


def test_a_filters_option_is_followed_by_its_id() -> None:
    """With a warning at its place."""
    text = TEXT.replace("match:", "only: {receive: {Customer tier: [Gold]}}\nmatch:")
    renamed = person(options=(Option("70", "Top"), Option("71", "Silver")))
    found = look(look(text=text).pins, text=text, fields=renamed)
    warning = "warning: the option 'Gold' of 'Customer tier' is now named 'Top'"
    assert [str(problem) for problem in found.problems] == [
        f"contact.yaml:5:34: {warning}",
        f"contact.yaml:9:55: {warning}",
    ]
    only = text.replace("  - {column: tier, crm: Customer tier, values: {gold: Gold, silver: Silver}}\n", "")
    assert look(text=only).pins.words["person"] == {CUSTOMER_TIER: {"Gold": "70"}}


def test_a_constants_option_is_followed_by_its_id() -> None:
    """Renamed in the CRM, the file's word still means it, with a warning at its place."""
    text = TEXT.replace("match:", "set: {crm: {Customer tier: Gold}}\nmatch:").replace(
        "  - {column: tier, crm: Customer tier, values: {gold: Gold, silver: Silver}}\n", ""
    )
    first = look(text=text)
    renamed = look(first.pins, text=text, fields=person(options=(Option("70", "Top"), Option("71", "Silver"))))
    assert [str(problem) for problem in renamed.problems] == [
        "contact.yaml:5:13: warning: the option 'Gold' of 'Customer tier' is now named 'Top'"
    ]
    (constant,) = renamed.mappings["contact"].constants
    assert constant.converter.to_crm("Gold", Refs()) == "70"


def test_of_a_mapping_without_its_table_every_line_returns() -> None:
    """What the rows say after a restore is no edit."""
    tables = {key: table for key, table in TABLES.items() if key != ("app", "contacts")}
    first = look()
    gone = bind(loaded({"contact": TEXT}), METADATA, tables, pins=first.pins, quarantine=True)
    assert gone.mappings == {}
    assert len(gone.pins.aside) == 3
    back = look(gone.pins)
    assert all(line.rule.endswith("~1") for line in back.mappings["contact"].lines)


def test_a_constant_is_set_aside_alone() -> None:
    """`set.crm` on a field that is gone costs nothing else."""
    text = TEXT.replace("match:", "set: {crm: {Score: 1}}\nmatch:")
    first = look(text=text)
    gone = look(first.pins, text=text, fields=[f for f in PERSON if f.name != "Score"])
    assert (len(gone.mappings["contact"].lines), gone.mappings["contact"].constants) == (3, ())
    back = look(gone.pins, text=text)
    assert back.mappings["contact"].constants[0].rule.endswith("~1")


@pytest.mark.parametrize(
    ("app", "crm", "noticed", "verdict", "reason"),
    [
        (None, 70, False, Verdict.RECEIVE, Reason.FIRST_SIGHT_FILL),
        ("silver", None, False, Verdict.SEND, Reason.FIRST_SIGHT_FILL),
        ("silver", 70, False, Verdict.AGREE, Reason.FIRST_SIGHT_KEPT),
        ("silver", 70, True, Verdict.SEND, Reason.APP_CHANGED),
        ("gold", 71, False, Verdict.RECEIVE, Reason.CRM_CHANGED),
        ("gold", 70, False, Verdict.AGREE, Reason.FIRST_SIGHT_EQUAL),
        (None, None, False, Verdict.AGREE, Reason.FIRST_SIGHT_EQUAL),
    ],
)
def test_a_returned_line_fills_what_is_empty_and_only_an_edit_overwrites(
    app: Json,
    crm: Json,
    noticed: bool,  # noqa: FBT001 (a parameter of the table)
    verdict: Verdict,
    reason: Reason,
) -> None:
    """A column that was dropped and added again is empty in every row, or holds a default: that is no edit of anybody."""
    before, first = look(), look().mappings["contact"].lines[1]
    line = look(look(before.pins, contacts=contacts(drop="tier")).pins).mappings["contact"].lines[1]
    clocks = Clocks(app={"tier": datetime(2026, 11, 1, tzinfo=UTC)} if noticed else {})
    found = decide(line, Inputs(app, crm, Pair("gold", 70, first.rule), Grounds(clocks, Refs())))
    assert (found.verdict, found.reason) == (verdict, reason)


WITHOUT_GOLD = (Option("71", "Silver"),)
AGAIN = (Option("71", "Silver"), Option("72", "Gold"))


def test_an_option_that_is_gone_is_nobodys_edit() -> None:
    """Once, until another goes; new options change nothing. A list of none tells nothing: it may not be shown just now."""
    first = look()
    assert tier(look(first.pins, fields=person(options=(*AGAIN, Option("70", "Gold"))))) == tier(first)
    assert tier(look(first.pins, fields=person(options=()))) == tier(first)
    gone = look(first.pins, fields=person(options=WITHOUT_GOLD))
    assert tier(gone) == f"{tier(first)}~1"
    again = look(gone.pins, fields=person(options=AGAIN))
    assert tier(again) == tier(gone)
    assert gone.pins.returned(first.pins) == {"contact"}
    assert again.pins.returned(gone.pins) == frozenset()


@pytest.mark.parametrize("crm", [None, 70])
@pytest.mark.parametrize(
    ("options", "app", "verdict"),
    [(WITHOUT_GOLD, "gold", Verdict.HELD), (AGAIN, "gold", Verdict.SEND), (WITHOUT_GOLD, "silver", Verdict.SEND)],
)
def test_a_row_keeps_what_an_option_said_that_is_gone(
    crm: Json, options: tuple[Option, ...], app: str, verdict: Verdict
) -> None:
    """Whether the record is empty now or still shows the id; the option made again, under another id, gets it back.

    Fails when the emptiness that a removed option leaves counts as an edit.
    """
    first = look()
    rule = first.mappings["contact"].lines[1].rule
    line = look(look(first.pins, fields=person(options=WITHOUT_GOLD)).pins, fields=person(options=options))
    clocks = Clocks(app={"tier": datetime(2026, 11, 1, tzinfo=UTC)} if app == "silver" else {})
    given = Inputs(app, crm, Pair("gold", 70, rule), Grounds(clocks, Refs()))
    found = decide(line.mappings["contact"].lines[1], given)
    assert found.verdict is verdict
