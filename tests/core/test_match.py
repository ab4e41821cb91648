"""Match keys: canonical values, rules, and SQL that finds what Python compares."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.line import BoundMapping, Line, Refs
from connector.core.mapping import Backfill, BrakeSpec, Conflict, Deletes, Direction, OnLeave, Rollout
from connector.core.match import (
    SQL,
    Kind,
    MatchKey,
    app_keys,
    canonical,
    canonical_kind,
    crm_keys,
    digest,
    sql_keys,
    sql_kind,
)
from connector.core.model import AppKey, CrmId
from connector.core.schema import CrmField, Table
from connector.core.schema import FieldType as T
from tests.core.converters import AT, COLUMNS, one, several

if TYPE_CHECKING:
    from connector.core.line import Converter
    from connector.core.model import Json


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("email", " Ana@Acme.TEST\n", "ana@acme.test"),
        ("email", "  ", None),
        ("email", None, None),
        ("email", "A\u030aSA@x.test", "åsa@x.test"),
        ("phone", "+49 (0)30 123-4567", "+49301234567"),
        ("phone", "+49301234567", "+49301234567"),
        ("phone", "0049 30 1234567", "+49301234567"),
        ("phone", "(+49) 30 1234567", "+49301234567"),
        ("phone", "030 1234567", "0301234567"),
        ("phone", "1-800-FLOWERS", "1-800-flowers"),
        ("phone", "1-800 FLOWERS", "1-800flowers"),
        ("phone", "+1 555 123-4567", "+15551234567"),
        ("phone", "٠٣٠ ١٢٣", "030123"),
        ("phone", "+", None),
        ("phone", "n/a", None),
        ("phone", "+39 06 698", "+3906698"),
        ("text", "  Ada \t Lovelace\n", "ada lovelace"),
        ("text", "STRASSE", "strasse"),
        ("text", "Straße", "strasse"),
        ("text", "", None),
        ("text", ["a"], None),
        ("number", "1.50", "1.5"),
        ("number", 1.5, "1.5"),
        ("number", "100", "100"),
        ("number", "-0.0", "0"),
        ("number", "x", None),
        ("exact", "A b", "A b"),
        ("exact", 12, "12"),
    ],
)
def test_canonical(kind: Kind, value: Json, expected: str | None) -> None:
    """Spellings of one value have one canonical text; blank has none."""
    assert canonical(kind, value) == expected


@given(st.sampled_from(list(SQL)), st.text())
def test_canonical_is_its_own_canonical(kind: Kind, value: str) -> None:
    """Taking the canonical text twice changes nothing."""
    found = canonical(kind, value)
    assert found is None or canonical(kind, found) == found


def line(name: str, converter: Converter, field: CrmField, link: str | None = None) -> Line:
    """A line of one column and one field."""
    return Line(name, AT, Direction.BOTH, ("c",), (field,), converter, "r", Conflict.CRM, link=link)


EMAIL = line("email", one("text", T.EMAILS), CrmField("f", "Email", T.EMAILS))
EMAILS = line("emails", one("text[]", T.EMAILS), CrmField("f", "Email", T.EMAILS))
NAME = line("name", one("text", CrmField("name", "Name", T.TEXT)), CrmField("name", "Name", T.TEXT))
ORG = CrmField("org_id", "Organization", T.ORG)
COMPANY = line("company", one("integer", ORG, link="company"), ORG, link="company")
ID = line("id", one("integer", CrmField("id", "Id", T.ID)), CrmField("id", "Id", T.ID))
SCORE = line("score", one("numeric", CrmField("s", "Score", T.NUMBER)), CrmField("s", "Score", T.NUMBER))
REFS = Refs({("company", AppKey("5")): CrmId("12")}, {})


def mapping(*match: tuple[Line, ...]) -> BoundMapping:
    """A mapping with these match rules."""
    return BoundMapping(
        "contact",
        AT,
        "person",
        Table("app", "contacts", {"c": COLUMNS["text"]}, ("c",)),
        "c",
        Direction.BOTH,
        tuple(line for rule in match for line in rule),
        (),
        Conflict.CRM,
        match,
        Deletes(),
        (),
        (),
        OnLeave.FREEZE,
        Backfill(),
        Rollout.FULL,
        {},
        None,
        BrakeSpec(),
    )


def parts(keys: tuple[MatchKey, ...]) -> list[tuple[int, tuple[str, ...]]]:
    """Keys as rule and texts."""
    return [(key.rule, key.parts) for key in keys]


ARRAY: Json = [{"value": "A@x.test", "primary": False}, {"value": "b@x.test", "primary": True}, {"value": ""}]


def test_all_addresses_of_a_record_count() -> None:
    """A row's one e-mail meets any of the record's, and a row's list counts in full."""
    keys = crm_keys(mapping((EMAIL,)), {"f": ARRAY}, "1")
    assert parts(keys) == [(0, ("b@x.test",)), (0, ("a@x.test",))]
    assert app_keys(mapping((EMAIL,)), {"c": " a@X.test"}, REFS)[0] in keys
    assert parts(app_keys(mapping((EMAILS,)), {"c": '["a@x.test", "B@x.test"]'}, REFS)) == [
        (0, ("a@x.test",)),
        (0, ("b@x.test",)),
    ]


def test_null_in_any_part_makes_no_key() -> None:
    """A composite rule needs all of its parts; other rules stand on their own."""
    rules = mapping((EMAIL,), (NAME, EMAIL))
    assert parts(crm_keys(rules, {"f": ARRAY, "name": None}, "1")) == [(0, ("b@x.test",)), (0, ("a@x.test",))]
    assert (1, ("ada", "a@x.test")) in parts(crm_keys(rules, {"f": ARRAY, "name": " ADA"}, "1"))
    assert crm_keys(rules, {}, "1") == ()
    assert app_keys(rules, {"c": None}, REFS) == ()


def test_references_compare_by_crm_id() -> None:
    """A reference needs its link on the app's side only; half open, its rule gives no key and others do."""
    rules = mapping((COMPANY,), (NAME,))
    assert parts(crm_keys(rules, {"org_id": 12}, "1")) == [(0, ("12",))]
    assert parts(app_keys(rules, {"c": "5"}, REFS)) == [(0, ("12",)), (1, ("5",))]
    assert parts(app_keys(rules, {"c": "6"}, REFS)) == [(1, ("6",))]


def test_ids_and_numbers() -> None:
    """The record's own id is a key although no field holds it; numbers meet in any spelling."""
    assert app_keys(mapping((ID,)), {"c": "77"}, REFS) == crm_keys(mapping((ID,)), {}, "77")
    assert app_keys(mapping((SCORE,)), {"c": "1.50"}, REFS) == crm_keys(mapping((SCORE,)), {"s": 1.5}, "1")


def test_kinds_of_lines() -> None:
    """The field decides how values are compared; composites cannot be searched by one column."""
    assert [canonical_kind(each) for each in (EMAIL, NAME, COMPANY, ID, SCORE)] == [
        "email",
        "text",
        "exact",
        "exact",
        "number",
    ]
    money = several({"a": "numeric", "b": "text"}, {"m": T.MONEY})
    two = Line("m", AT, Direction.BOTH, ("a", "b"), (CrmField("m", "M", T.MONEY),), money, "r", Conflict.CRM)
    assert sql_kind(two) is None
    assert sql_kind(EMAIL) == "email"
    assert app_keys(mapping((two,)), {"a": "1", "b": "EUR"}, REFS) == ()


TIER = line("tier", one("text", T.ENUM, values={"gold": "Gold"}), CrmField("f", "Tier", T.ENUM))


def test_words_compare_as_the_app_says_them() -> None:
    """A choice is the same whether a row says its word or a record holds its id."""
    assert parts(crm_keys(mapping((TIER,)), {"f": 31}, "1")) == [(0, ("gold",))]
    assert app_keys(mapping((TIER,)), {"c": "gold"}, REFS) == crm_keys(mapping((TIER,)), {"f": 31}, "1")
    assert crm_keys(mapping((TIER,)), {"f": 99}, "1") == ()


def test_several_fields_compare_as_text() -> None:
    """Whatever the first of them is."""
    whole = several({"a": "date", "b": "time"}, {"d": T.DATE, "t": T.TIME})
    fields = (CrmField("n", "N", T.NUMBER), CrmField("t", "T", T.TIME))
    assert canonical_kind(Line("w", AT, Direction.BOTH, ("a", "b"), fields, whole, "r", Conflict.CRM)) == "text"


def test_what_a_database_may_have_left() -> None:
    """Capitals beyond ASCII at the starts of words, or all; a letter whose capital is two stays; what is exact is exact."""
    assert sql_keys("text", "aö bä") == ("aö bä", "aÖ bÄ")
    assert sql_keys("text", "\u01f0an") == ("\u01f0an",)
    assert sql_keys("exact", "äb") == ("äb",)


def test_the_digest_of_match_rules() -> None:
    """Keys are kept as long as it stands: it changes with the rules of mappings that pair, and with nothing else."""
    pairs, none = mapping((EMAIL,)), mapping()
    assert digest([pairs]) == digest([pairs, none])
    assert digest([pairs]) != digest([])
    assert digest([pairs]) != digest([mapping((replace(EMAIL, rule="other"),))])
    assert digest([pairs]) != digest([replace(pairs, name="client")])
    assert digest([replace(pairs, direction=Direction.NONE)]) == digest([])
    assert len(digest([pairs])) == 16


SAMPLES: dict[Kind, list[str]] = {
    "email": [" Ana@ACME.test\t", "\nx", "a b", "  ", "x\x1f", "Ünal@x.test", "ÀÉ@x.test", "e\u0301"],
    "phone": [
        "+49 (0)30 123-4567",
        "0049301234567",
        "030/1234567",
        "12",
        "1-800-FLOWERS 12",
        "+1 (555) 010-0100 x5",
        "00:30",
        "+49 (0)30 1",
        "+1",
    ],
    "text": [" Ada \t\n Lovelace ", "ÖZIL Öz", "MÜLLER", "Éa bÉ", "x\x0b\x0cy", "\x1ca"],
    "number": ["1.50", "-0", "100", "0.0010", " 7 ", "1e3", "12345678901234567890.10"],
    "exact": ["A b", "12"],
}
ascii_texts = st.text(string.printable, max_size=12)


@pytest.mark.parametrize("kind", list(SQL))
async def test_sql_finds_what_python_compares(database: str, kind: Kind) -> None:
    """For every value that has a canonical text, the SQL expression yields one of its `sql_keys`."""
    drawn: list[str] = [*SAMPLES[kind]]

    @given(st.lists(ascii_texts, min_size=30, max_size=30))
    def draw(texts: list[str]) -> None:
        drawn.extend(texts)

    draw()
    connection = await asyncpg.connect(database)
    try:
        query = f"SELECT value, {SQL[kind].format('value')} FROM unnest($1::text[]) AS each (value)"
        found = await connection.fetch(query, drawn)
    finally:
        await connection.close()
    for value, sql in found:
        expected = canonical(kind, value)
        if expected is not None:
            assert sql in sql_keys(kind, expected) or (not value.isascii() and "\u0301" in value), (value, sql)


async def test_sql_of_typed_columns(database: str) -> None:
    """The expressions take columns of any type, and a text that is no number is no error."""
    connection = await asyncpg.connect(database)
    try:
        for kind, literal in (("number", "'x'::text"), ("number", "1.50::numeric"), ("exact", "7::bigint")):
            await connection.fetchval(f"SELECT {SQL[kind].format(literal)}")  # type: ignore[index]
        assert await connection.fetchval(f"SELECT {SQL['number'].format('1.50::numeric')}") == "1.5"
    finally:
        await connection.close()
