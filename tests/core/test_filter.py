"""`only:` conditions, as rows and records meet them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.filter import crm_reader, failing, row_reader, undecided
from connector.core.mapping import Condition
from connector.core.mapping import Test as Check
from connector.core.model import ABSENT
from connector.core.schema import Column, CrmField, Option, Stage
from connector.core.schema import FieldType as T
from tests.core.converters import AT, METADATA, OPTIONS

if TYPE_CHECKING:
    from connector.core.model import CrmValue, Json

FIELDS = (
    CrmField("org_id", "Organization", T.ORG),
    CrmField("owner_id", "Owner", T.USER),
    CrmField("stage_id", "Stage", T.STAGE),
    CrmField("pipeline_id", "Pipeline", T.PIPELINE),
    CrmField("hash1", "Tier", T.ENUM, custom=True, options=OPTIONS),
    CrmField("label_ids", "Labels", T.SET, options=OPTIONS),
    CrmField("type", "Type", T.KEY, options=(Option("call", "Phone call"),)),
    CrmField("emails", "Email", T.EMAILS),
    CrmField("hash2", "ARR", T.MONEY, custom=True),
    CrmField("title", "Title", T.TEXT),
)
RECORD: dict[str, Json] = {
    "org_id": 12,
    "owner_id": 7,
    "stage_id": 3,
    "pipeline_id": 1,
    "hash1": 31,
    "label_ids": [31, 32],
    "type": "call",
    "emails": [{"value": "a@x.test"}, {"value": "b@x.test"}],
    "hash2": {"value": 100, "currency": "EUR"},
    "title": None,
}


def holds(name: str, test: Check, *operands: Json, value: CrmValue = ABSENT) -> bool:
    """Whether the condition holds for the value; for the record above when none is given."""
    reader = crm_reader(FIELDS, METADATA, RECORD) if value is ABSENT else lambda _: value
    condition = Condition(AT, name, test, operands)
    return failing([condition], reader, lambda mapping, key: (mapping, key) == ("company", "12")) is None


@pytest.mark.parametrize(
    ("name", "operand"),
    [
        ("owner_id", "ana@acme.test"),
        ("owner_id", 7),
        ("Owner", "ANA@acme.test"),
        ("stage_id", "Renewal / New"),
        ("stage_id", "New"),
        ("stage_id", "3"),
        ("pipeline_id", "Sales"),
        ("hash1", "Gold"),
        ("Tier", "Gold"),
        ("Tier", "31"),
        ("label_ids", "Silver"),
        ("type", "call"),
        ("type", "Phone call"),
        ("emails", "b@x.test"),
        ("ARR", 100),
    ],
)
def test_crm_values_match_in_either_spelling(name: str, operand: Json) -> None:
    """Ids and what people call them match; of several values any may."""
    assert holds(name, Check.ANY_OF, "nothing", operand)
    assert not holds(name, Check.NOT, operand)
    assert not holds(name, Check.ANY_OF, "nothing")


@pytest.mark.parametrize(
    ("test", "operands", "value", "expected"),
    [
        (Check.PRESENT, (), "x", True),
        (Check.PRESENT, (), None, False),
        (Check.PRESENT, (), "", False),
        (Check.PRESENT, (), [], False),
        (Check.PRESENT, (), False, True),
        (Check.ABSENT, (), None, True),
        (Check.ABSENT, (), 0, False),
        (Check.ANY_OF, ("lead", "customer"), "customer", True),
        (Check.ANY_OF, ("lead",), None, False),
        (Check.ANY_OF, (True,), "true", True),
        (Check.ANY_OF, (True,), True, True),
        (Check.ANY_OF, (False,), "true", False),
        (Check.ANY_OF, (5,), "5.00", True),
        (Check.ANY_OF, (1,), True, False),
        (Check.NOT, ("closed",), None, True),
        (Check.NOT, ("closed",), "open", True),
        (Check.NOT, ("closed", "lost"), "lost", False),
        (Check.BETWEEN, (10, 20), "9.5", False),
        (Check.BETWEEN, (10, 20), "10", True),
        (Check.BETWEEN, (10, 20), 20.0, True),
        (Check.BETWEEN, (10, None), "100", True),
        (Check.BETWEEN, (None, 20), "100", False),
        (Check.BETWEEN, (10, 20), None, False),
        (Check.BETWEEN, ("2026-01-01", "2026-01-31"), "2026-01-31 23:59:59+00", True),
        (Check.BETWEEN, ("2026-01-01", "2026-01-31"), "2026-01-31T23:59:59Z", True),
        (Check.BETWEEN, ("2026-01-01", "2026-01-31"), "2026-02-01", False),
        (Check.BETWEEN, ("A", "Z"), "Tom", True),
        (Check.BETWEEN, ("S", "T"), "Sam", True),
        (Check.BETWEEN, (None, "abcdefghij"), "abcdefghijk", False),
        (Check.BETWEEN, ("abcdefghijk", None), "abcdefghijj", False),
        (Check.BETWEEN, (None, "2026-xx-01"), "2026-xx-01 or so", False),
        (Check.BETWEEN, (None, "2026-01-01 noon"), "2026-01-01 or so", False),
        (Check.BETWEEN, ("2026-01-01T10:00:00Z", None), "2026-01-01 10:00:00+00", True),
        (Check.BETWEEN, ("2026-01-01T10:00:00Z", None), "2026-01-01 09:59:59.9+00", False),
        (Check.BETWEEN, ("2026-01-01T10:00:00+02:00", None), "2026-01-01 08:00:00+00", True),
        (Check.BETWEEN, (None, "2026-01-01 12:00"), "2026-01-01 12:00:01+00", False),
        (Check.ANY_OF, ("2026-01-01T12:00:00+02:00",), "2026-01-01 10:00:00+00", True),
        (Check.BETWEEN, ("b", "c"), "c", True),
        (Check.BETWEEN, ("b", "c"), "cc", False),
        (Check.IN, ("company",), "12", True),
        (Check.IN, ("company",), 12, True),
        (Check.IN, ("company",), "13", False),
        (Check.IN, ("company",), None, False),
    ],
)
def test_tests(test: Check, operands: tuple[Json, ...], value: Json, expected: bool) -> None:  # noqa: FBT001
    """Each comparison, at its edges."""
    assert holds("x", test, *operands, value=value) is expected


@pytest.mark.parametrize(
    ("kind", "text", "test", "operands", "expected"),
    [
        ("array", '["vip", "new"]', Check.ANY_OF, ("vip",), True),
        ("array", '["vip", "new"]', Check.NOT, ("vip",), False),
        ("array", '["new"]', Check.NOT, ("vip",), True),
        ("array", "[]", Check.PRESENT, (), False),
        ("array", "[]", Check.ABSENT, (), True),
        ("array", "[12]", Check.IN, ("company",), True),
        ("json", '["vip"]', Check.ANY_OF, ("vip",), True),
        ("json", '{"a": 1}', Check.PRESENT, (), True),
        ("interval", "PT30M", Check.BETWEEN, ("01:00:00", None), False),
        ("interval", "PT2H", Check.BETWEEN, ("01:00:00", None), True),
        ("interval", "P1Y", Check.PRESENT, (), True),
        ("text", "[1]", Check.ANY_OF, ("[1]",), True),
    ],
)
def test_columns_of_several_values(
    kind: str,
    text: str,
    test: Check,
    operands: tuple[Json, ...],
    expected: bool,  # noqa: FBT001
) -> None:
    """`only.send` on a list column asks its elements: any of them may match, and an empty list is absent."""
    reader = row_reader({"c": Column("c", kind, kind)}, {"c": text})
    condition = Condition(AT, "c", test, operands)
    assert (failing([condition], reader, lambda *found: found == ("company", "12")) is None) is expected


def test_a_custom_field_may_be_called_like_a_built_in_one() -> None:
    """The condition goes by the key that its name was bound to."""
    fields = (CrmField("arr", "ARR", T.NUMBER), *FIELDS)
    condition = Condition(AT, "ARR", Check.ANY_OF, (100,), "hash2")
    assert failing([condition], crm_reader(fields, METADATA, RECORD), lambda *_: False) is None
    assert failing([condition], crm_reader(fields, METADATA, {**RECORD, "hash2": None}), lambda *_: False) is condition


def test_the_first_failing_condition_is_named() -> None:
    """Keys AND; the first that fails is returned for `explain`."""
    conditions = [
        Condition(AT, "org_id", Check.PRESENT),
        Condition(AT, "title", Check.PRESENT),
        Condition(AT, "Tier", Check.ANY_OF, ("Silver",)),
    ]
    reader = crm_reader(FIELDS, METADATA, RECORD)
    assert failing(conditions, reader, lambda *_: False) is conditions[1]
    assert failing(conditions[:1], reader, lambda *_: False) is None
    assert failing([], reader, lambda *_: False) is None


def test_what_the_payload_lacks_is_no_evidence() -> None:
    """An absent field neither passes a record nor throws it out: it is named as undecided."""
    conditions = [Condition(AT, "Tier", Check.ANY_OF, ("Gold",)), Condition(AT, "title", Check.PRESENT)]
    reader = crm_reader(FIELDS, METADATA, {"title": "x"})
    assert failing(conditions, reader, lambda *_: False) is None
    assert undecided(conditions, reader) is conditions[0]
    assert undecided(conditions[1:], reader) is None


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.floats()


@given(scalars | st.lists(scalars), st.lists(scalars, min_size=1))
def test_not_is_the_opposite_of_any_of(value: Json, operands: list[Json]) -> None:
    """{not: x} holds exactly where x does not, null included; nothing ever fails."""
    assert holds("x", Check.NOT, *operands, value=value) is not holds("x", Check.ANY_OF, *operands, value=value)
    assert holds("x", Check.PRESENT, value=value) is not holds("x", Check.ABSENT, value=value)
    holds("x", Check.BETWEEN, *[*operands, None][:2], value=value)


def test_a_name_that_is_no_field() -> None:
    """It is read as the key of a field that the account's definitions lack."""
    assert crm_reader(FIELDS, METADATA, {"new_field": "x"})("new_field") == "x"
    assert crm_reader(FIELDS, METADATA, {})("new_field") is ABSENT


def test_an_id_is_of_its_own_kind() -> None:
    """User 7 is not called like stage 7."""
    clash = replace(METADATA, stages=(*METADATA.stages, Stage("7", "Late", "1")))
    read = crm_reader(FIELDS, clash, {"owner_id": 7, "stage_id": 7})
    assert read("owner_id") == ["7", "ana@acme.test"]
    assert read("stage_id") == ["7", "Sales / Late", "Late"]
