"""Which converter a line gets, what is refused and what the refusal advises; constants; templates."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from connector.core.convert import ImpossiblePairError, constant_for, converter_for, field_named, unknown_words
from connector.core.line import HeldError, Refs
from connector.core.mapping import FieldName, Keyword, LineSpec, Template
from connector.core.model import ABSENT
from connector.core.schema import CrmField, Stage
from connector.core.schema import FieldType as T
from tests.core.converters import AT, COLUMNS, METADATA, OPTIONS, REFS, field, one, sending, several

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connector.core.line import Converter
    from connector.core.mapping import SetValue
    from connector.core.model import Json


@pytest.mark.parametrize(
    ("column", "of", "converter", "advice"),
    [
        ("jsonb", T.NUMBER, None, "as: number with a column of kind number, integer or text"),
        ("boolean", T.DATE, None, "as: date with a column of kind timestamptz"),
        ("date", T.NUMBER, "number", "as: number with a column"),
        ("text", T.NUMBER, "datetime", "as: number"),
        ("text", T.TEXT, "html", "as: text"),
        ("text", T.SET, None, "as: set with a column of kind array or json"),
        ("text", T.ORG, None, "link: with the name of a mapping"),
        ("text", T.ORG, "org_name", "use link:"),
        ("text", T.OTHER, None, "cannot be mapped"),
        ("text", T.TEXT, "txet", "known: text, integer"),
        ("text", T.OTHER, "text", "as: text does not fit CRM field 'F' (other); fields of this type cannot be mapped"),
        ("integer", T.ENUM, None, "as: enum"),
    ],
)
def test_impossible_pairs_say_what_fits(column: str, of: T, converter: str | None, advice: str) -> None:
    """A pair that cannot be converted is refused with what would be right."""
    with pytest.raises(ImpossiblePairError) as refused:
        one(column, of, converter)
    assert advice in refused.value.message


@pytest.mark.parametrize(
    ("column", "of", "converter", "message"),
    [
        ("date", T.NUMBER, "number", "as: number with a column of kind number, integer or text"),
        ("text", T.OTHER, None, "fields of this type cannot be mapped"),
        (
            "boolean",
            T.ORG,
            None,
            "what fits: link: with the name of a mapping, as: id with a column of kind integer, text, uuid or number",
        ),
        (
            "date",
            T.SET,
            None,
            (
                "what fits: as: set with a column of kind array or json; "
                "as: label with a column of kind text, enum or other"
            ),
        ),
    ],
)
def test_advice_in_full(column: str, of: T, converter: str | None, message: str) -> None:
    """For the `as:` that was asked for, else for each that the field takes."""
    with pytest.raises(ImpossiblePairError) as refused:
        one(column, of, converter)
    pair = f"column 'c' ({column}) does not fit CRM field 'F' ({of.value})"
    assert refused.value.message == f"{pair}; {message}"


def test_what_takes_no_map() -> None:
    """A postal address is no word."""
    with pytest.raises(ImpossiblePairError, match=r"^as: address takes no values: map$"):
        one("text", T.ADDRESS, "address", values={"a": "b"})


def test_advice_for_the_name_of_an_organization() -> None:
    """What to do instead."""
    with pytest.raises(ImpossiblePairError) as refused:
        one("text", T.ORG, "org_name")
    assert refused.value.message == (
        "as: org_name is not supported: the CRM's records hold only the organization's id. Map organizations and "
        "use link: with that mapping's name"
    )


NO_COMPOSITE = (
    "this is no composite: [amount, currency] columns fit a monetary field or [value, currency] as: money; a "
    "timestamp, a date, or [date, time] columns fit [date, time] fields as: datetime"
)


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ({"a": "text", "b": "text"}, {"m": T.MONEY}),
        ({"a": "numeric", "b": "numeric"}, {"m": T.MONEY}),
        ({"a": "numeric", "b": "text", "c": "text"}, {"m": T.MONEY}),
        ({"a": "numeric", "b": "text"}, {"x": T.TEXT, "y": T.CURRENCY}),
        ({"a": "numeric", "b": "text"}, {"x": T.NUMBER, "y": T.TEXT}),
        ({"a": "numeric", "b": "text"}, {"x": T.TEXT, "y": T.TEXT}),
        ({"a": "numeric", "b": "text"}, {"x": T.NUMBER}),
        ({"a": "numeric"}, {"x": T.DATE, "y": T.TIME}),
        ({"a": "date", "b": "time"}, {"x": T.DATE, "y": T.DATE}),
    ],
)
def test_what_is_no_composite(columns: Mapping[str, str], fields: Mapping[str, T]) -> None:
    """And what would be one."""
    with pytest.raises(ImpossiblePairError) as refused:
        several(columns, fields)
    assert refused.value.message == NO_COMPOSITE


@pytest.mark.parametrize(("values", "link"), [({"a": "b"}, None), ({}, "company")])
def test_a_composite_stands_alone(values: Mapping[str, str], link: str | None) -> None:
    """It takes neither `values:` nor `link:`."""
    spec = LineSpec(AT, ("c", "d"), (FieldName("F"),), values=values, link=link)
    with pytest.raises(ImpossiblePairError) as refused:
        converter_for(spec, [COLUMNS["numeric"], COLUMNS["text"]], [field(T.MONEY)], METADATA)
    assert refused.value.message == "values: and link: need one column and one CRM field"


def test_impossible_composites() -> None:
    """Composites are money and due times, and take neither `values:` nor `link:`."""
    with pytest.raises(ImpossiblePairError, match="no composite"):
        several({"a": "text", "b": "numeric"}, {"m": T.MONEY})
    with pytest.raises(ImpossiblePairError, match="no composite"):
        several({"a": "numeric", "b": "text"}, {"m": T.MONEY}, "datetime")
    with pytest.raises(ImpossiblePairError, match="no composite"):
        several({"a": "text"}, {"x": T.TEXT, "y": T.TEXT})


def test_link_needs_a_field_that_points_to_a_record() -> None:
    """`link:` on a text field, or beside `values:`, is refused."""
    with pytest.raises(ImpossiblePairError, match="points to a record"):
        one("integer", T.TEXT, link="company")
    with pytest.raises(ImpossiblePairError, match=r"^link: stands alone: it takes neither values: nor another as:$"):
        one("integer", T.ORG, link="company", values={"1": "2"})
    with pytest.raises(ImpossiblePairError, match="stands alone"):
        one("integer", T.ORG, "user_id", link="company")


def test_unknown_words_of_values() -> None:
    """`check` learns which CRM words of a map the CRM does not define."""
    assert unknown_words(one("text", T.ENUM, values={"g": "Gold", "b": "Bronze"})) == ("Bronze",)
    assert unknown_words(one("text[]", T.SET, values={"g": "Gold", "b": "Bronze"})) == ("Bronze",)
    assert unknown_words(one("text", T.USER, values={"b": "bob@acme.test"})) == ()
    assert unknown_words(one("text", T.TEXT)) == ()


@pytest.mark.parametrize(
    ("of", "value", "crm"),
    [
        (T.KEY, "call", "call"),
        (T.BOOLEAN, True, True),
        (T.NUMBER, 5, 5),
        (T.NUMBER, "5", 5),
        (T.TEXT, "now", "now"),
        (T.ENUM, "Gold", "31"),
        (T.SET, ["Gold", "Silver"], ["31", "32"]),
        (T.USER, "ana@acme.test", "7"),
        (T.STAGE, "Sales / Won", "2"),
        (T.TEXT, Keyword.NULL, None),
        (T.DATETIME, Keyword.NOW, "2026-05-04T10:00:30Z"),
        (T.DATE, Keyword.NOW, "2026-05-04"),
        (T.TIME, Keyword.NOW, "10:00:30"),
    ],
)
def test_constants(of: T, value: SetValue, crm: Json) -> None:
    """A `set.crm` value is said by the app's side always, in the CRM's spelling, and writes no column."""
    made = constant_for(field(of), value, METADATA)
    noon = datetime(2026, 5, 4, 12, 0, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    assert made.to_crm(made.read_app({}), Refs(now=noon)) == crm
    assert made.write_app("x") == {}
    assert made.write_crm(crm, {}) == {"f": crm}


def test_constants_of_arrays_and_addresses() -> None:
    """A list is all of it, one value the primary."""
    several_values = constant_for(field(T.EMAILS), ["a@x.test", "b@x.test"], METADATA)
    assert several_values.to_crm(several_values.read_app({}), REFS) == ["a@x.test", "b@x.test"]
    primary = constant_for(field(T.EMAILS), "a@x.test", METADATA)
    assert primary.to_crm(primary.read_app({}), REFS) == "a@x.test"
    address = constant_for(field(T.ADDRESS), "1 Road", METADATA)
    assert address.write_crm(address.to_crm(address.read_app({}), REFS), {}) == {"f": {"value": "1 Road"}}


@pytest.mark.parametrize(("value", "kind"), [("x", "one value"), (["x"], "a list")])
def test_a_field_that_takes_no_constant(value: SetValue, kind: str) -> None:
    """It says which kind."""
    with pytest.raises(ImpossiblePairError) as refused:
        constant_for(field(T.OTHER), value, METADATA)
    assert refused.value.message == f"set: CRM field 'F' (other) does not take {kind}"


def test_constants_that_cannot_be() -> None:
    """What the field cannot hold is refused with its options; an inactive user is only a held value."""
    with pytest.raises(ImpossiblePairError, match=r"unknown_option; options: Gold, Silver"):
        constant_for(field(T.ENUM), "Bronze", METADATA)
    with pytest.raises(ImpossiblePairError, match="now needs a date"):
        constant_for(field(T.TEXT), Keyword.NOW, METADATA)
    with pytest.raises(ImpossiblePairError, match="does not take a list"):
        constant_for(field(T.TEXT), ["a"], METADATA)
    with pytest.raises(HeldError, match="inactive_user"):
        constant_for(field(T.USER), "bob@acme.test", METADATA).to_crm("bob@acme.test", Refs())


def test_now_is_the_same_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """UTC, whatever its zone."""
    made = constant_for(field(T.TIME), Keyword.NOW, METADATA)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert made.to_crm("now", Refs(now=datetime(2026, 5, 4, 12, 0, tzinfo=UTC))) == "12:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_now_is_written_once() -> None:
    """Any time in the field equals `now`, none does not."""
    made = constant_for(field(T.DATETIME), Keyword.NOW, METADATA)
    assert made.same_crm("now", "2026-11-02T09:15:00Z")
    assert not made.same_crm("now", None)


def test_template_over_columns_sends_text() -> None:
    """A template's base is its rendered text; nulls render as nothing; it is never written back."""
    made = sending("{{ direction | capitalize }} call, {{ state }}", {"direction": "text", "state": "integer"}, T.TEXT)
    assert made.read_app({"direction": "inbound", "state": "4"}) == "Inbound call, 4"
    assert made.read_app({"direction": None, "state": None}) == "call,"
    assert made.to_crm("Inbound call, 4", REFS) == "Inbound call, 4"
    assert made.write_app("x") == {}


@pytest.mark.parametrize(
    ("source", "number", "text"),
    [
        ("{{ n }}", "1.50", "1.50"),
        ("{{ n * 2 }}", "1.50", "3.00"),
        ("{{ n * 2 }}", "4", "8"),
        ("{{ n * 1.5 }}", "4", "6.0"),
        ("{{ n * 1.5 }}", "-4", "-6.0"),
    ],
)
def test_numbers_in_a_template_can_be_reckoned_with(source: str, number: str, text: str) -> None:
    """Whole ones as such, others exactly."""
    assert sending(source, {"n": "numeric"}, T.TEXT).read_app({"n": number}) == text


def test_rendered_texts_are_compared_as_the_field_does() -> None:
    """By what they mean there."""
    made = sending("{{ n }}", {"n": "text"}, T.NUMBER)
    assert made.same_crm("1", 1.0)
    assert not made.same_crm(1, 2)
    assert made.same_app("1", "1.0")
    assert not made.same_app("1", "2")


def test_template_to_html_escapes_values() -> None:
    """HTML targets autoescape: the admin's elements stay, the values' do not."""
    made = sending("<b>{{ name }}</b>", {"name": "text"}, T.HTML)
    assert made.to_crm(made.read_app({"name": "<i>&"}), REFS) == "<b>&lt;i&gt;&amp;</b>"


def test_html_of_a_template_must_fit_the_field() -> None:
    """It is never cut."""
    spec = LineSpec(AT, Template("<b>{{ c }}</b>"), (FieldName("F"),))
    made = converter_for(spec, [COLUMNS["text"]], [field(T.HTML, max_length=8)], METADATA)
    assert made.to_crm(made.read_app({"c": "a"}), REFS) == "<b>a</b>"
    with pytest.raises(HeldError, match="too_long"):
        made.to_crm(made.read_app({"c": "ab"}), REFS)


def test_a_stage_of_a_pipeline_that_nobody_knows() -> None:
    """It is called by its own name."""
    metadata = replace(METADATA, stages=(*METADATA.stages, Stage("9", "Odd", "99")))
    assert constant_for(field(T.STAGE), "Odd", metadata).to_app("9", REFS) == "Odd"


def test_template_to_a_typed_field_is_converted() -> None:
    """Rendered text goes through the target's conversion like a text column."""
    made = sending("{{ a }}{{ b }}", {"a": "text", "b": "text"}, T.ENUM)
    assert made.to_crm(made.read_app({"a": "Go", "b": "ld"}), REFS) == "31"


def test_template_that_fails_is_held_and_clears_nothing() -> None:
    """An error while rendering is a held value, on both sides."""
    made = sending("{{ 1 / n }}", {"n": "integer"}, T.TEXT)
    failed = made.read_app({"n": "0"})
    assert failed is not None
    with pytest.raises(HeldError, match="template_failed"):
        made.to_crm(failed, REFS)
    assert not made.same_app(failed, "1")


FIELDS = (
    CrmField("first_name", "First name", T.TEXT),
    CrmField("owner_id", "Owner", T.USER),
    CrmField("hash1", "Customer tier", T.ENUM, custom=True, options=OPTIONS),
    CrmField("emails", "Email", T.EMAILS),
    CrmField("labels", "Labels", T.SET, options=OPTIONS),
)


def receiving(source: str, column: str = "text", converter: str | None = None) -> Converter:
    """The converter of a template over the CRM record."""
    return converter_for(
        LineSpec(AT, ("c",), Template(source), converter=converter), [COLUMNS[column]], FIELDS, METADATA
    )


def test_template_over_the_crm_record_reads_like_a_person() -> None:
    """Options show their labels, users their e-mails, contacts their values; custom fields go by name."""
    made = receiving(
        '{{ first_name }} {{ customer_tier }}/{{ record["Customer tier"] }} {{ owner_id }} {{ emails[0] }}'
    )
    fields: dict[str, Json] = {"first_name": "Ada", "owner_id": 7, "hash1": 31, "emails": [{"value": "a@x.test"}]}
    assert made.read_crm(fields) == "Ada Gold/Gold ana@acme.test a@x.test"
    assert made.read_crm({"first_name": "Ada"}) is ABSENT
    assert made.write_crm("x", {}) == {}
    assert receiving("{{ labels | join('+') }}").read_crm({"labels": [31, 99]}) == "Gold+99"
    assert receiving("{{ customer_tier }}").read_crm({"hash1": 99}) == "99"


def test_template_means_the_custom_field_where_a_built_in_one_is_called_alike() -> None:
    """A built-in field goes by its API name; what people call it comes last."""
    fields = (CrmField("arr", "ARR", T.NUMBER), CrmField("hash", "ARR", T.TEXT, custom=True))
    assert [getattr(field_named(name, fields), "key", None) for name in ("arr", "ARR", "mrr")] == ["arr", "hash", None]
    odd = (CrmField("hash", "X-Ray (new)", T.TEXT, custom=True),)
    assert field_named("x_ray_new", odd) is odd[0]


def test_template_over_the_crm_record_fits_the_column() -> None:
    """The rendered text must fit the column like any other value; as: html escapes."""
    assert receiving("{{ first_name }}", "integer").to_app("42", REFS) == "42"
    with pytest.raises(HeldError, match="invalid_number"):
        receiving("{{ first_name }}", "integer").to_app("x", REFS)
    assert receiving("{{ first_name }}").to_app("<b>x</b>", REFS) == "<b>x</b>"
    assert receiving("<b>{{ first_name }}</b>", converter="html").read_crm({"first_name": "<"}) == "<b>&lt;</b>"


def test_templates_name_what_exists() -> None:
    """An unknown column, field or a syntax error is a refusal with its place."""
    with pytest.raises(ImpossiblePairError, match="mentions 'nmae', 'srname', which is no column"):
        sending("{{ nmae }} {{ srname }}", {"name": "text"}, T.TEXT)
    with pytest.raises(ImpossiblePairError, match="mentions 'teir', 'tier', which is no field"):
        receiving("{{ tier }} {{ teir }}")
    with pytest.raises(ImpossiblePairError, match="template, line 2"):
        converter_for(
            LineSpec(AT, Template("a\n{{ b"), (FieldName("F"),)), [COLUMNS["text"]], [field(T.TEXT)], METADATA
        )
