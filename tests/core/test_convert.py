"""Conversions by example: one table per direction, and every reason to hold a value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from connector.core.convert import Cause
from connector.core.line import HeldError, Refs, UnresolvedError
from connector.core.mapping import TooLong
from connector.core.model import ABSENT
from connector.core.schema import Column, CrmField, Option
from connector.core.schema import FieldType as T
from tests.core.converters import REFS, field, one

if TYPE_CHECKING:
    from connector.core.model import Json

Kind = T | CrmField

MOOD = Column("c", "app.mood", "enum", labels=("Gold",))
OID = Column("c", "oid", "integer")
WIDE = Column("c", "numeric(38,2)", "number")
BOTH_WAYS = [
    ("text", T.TEXT, None, "Zoë 🚀", "Zoë 🚀"),
    ("text", T.TEXT, None, "to be continued…", "to be continued…"),
    ("uuid", T.TEXT, None, "9f3c0a52-7d5e-4b6a-8a53-0d8f0a6c1b11", "9f3c0a52-7d5e-4b6a-8a53-0d8f0a6c1b11"),
    ("integer", T.TEXT, None, "42", "42"),
    ("text", T.PHONE, None, "+49 30 1", "+49 30 1"),
    ("text", T.CURRENCY, None, "EUR", "EUR"),
    ("integer", T.INTEGER, None, "42", 42),
    ("smallint", T.NUMBER, None, "-32768", -32768),
    (OID, T.NUMBER, None, "9223372036854775807", 2**63 - 1),
    ("numeric", T.NUMBER, None, "0.1", 0.1),
    ("numeric", T.NUMBER, None, "12345678901234567890", 12345678901234567890),
    ("numeric(10,2)", T.NUMBER, None, "1234.50", 1234.5),
    ("double", T.NUMBER, None, "-0.25", -0.25),
    ("real", T.NUMBER, None, "0.1", 0.1),
    ("real", T.NUMBER, None, "0.00097796", 0.00097796),
    ("text", T.NUMBER, None, "7", 7),
    ("boolean", T.BOOLEAN, None, "true", True),
    ("integer", T.BOOLEAN, None, "0", False),
    ("date", T.DATE, None, "2026-11-02", "2026-11-02"),
    ("timestamptz", T.DATE, None, "2026-11-02 00:00:00+00", "2026-11-02"),
    ("timestamptz", T.DATETIME, None, "2026-11-02 09:15:00+00", "2026-11-02T09:15:00Z"),
    ("timestamp", T.DATETIME, None, "2026-11-02 09:15:00", "2026-11-02T09:15:00Z"),
    ("date", T.DATETIME, None, "2026-11-02", "2026-11-02T00:00:00Z"),
    ("time", T.TIME, None, "09:15:00", "09:15:00"),
    ("integer", T.DURATION, None, "720", "00:12"),
    ("interval", T.DURATION, None, "26:05:00", "26:05"),
    ("numeric", T.DURATION, None, "720", "00:12"),
    ("numeric(10,2)", T.MONEY, None, "1234.50", 1234.5),
    ("text", T.ENUM, None, "Gold", "31"),
    ("text", T.KEY, None, "call", "call"),
    ("text[]", T.SET, None, '["Gold", "Silver"]', ["31", "32"]),
    ("jsonb", T.SET, None, '["Silver"]', ["32"]),
    ("text[]", T.SET, None, '["Straße"]', ["33"]),
    ("varchar5", T.TEXT, None, "abcde", "abcde"),
    ("text", T.SET, "label", "Gold", "31"),
    ("text", T.USER, None, "ana@acme.test", "7"),
    ("integer", T.USER, None, "7", "7"),
    ("text", T.PIPELINE, None, "Sales", "1"),
    ("integer", T.PIPELINE, None, "1", "1"),
    ("text", T.STAGE, None, "Renewal / New", "3"),
    ("integer", T.ORG, None, "12", "12"),
    ("bigint", T.ID, None, "12", "12"),
    ("text", T.EMAILS, None, "ana@acme.test", "ana@acme.test"),
    ("text[]", T.EMAILS, None, '["a@x.test", "b@x.test"]', ["a@x.test", "b@x.test"]),
    ("text", T.ADDRESS, None, "1 Road, Town", "1 Road, Town"),
    ("jsonb", T.ADDRESS, None, '{"value": "1 Road", "locality": "Town"}', {"value": "1 Road", "locality": "Town"}),
    ("text", T.HTML, None, "a < b\nc", "a &lt; b<br>c"),
    ("text", T.HTML, "html", "<b>a</b> &amp; b", "<b>a</b> &amp; b"),
    ("text", T.HTML, "html", '<a href="https://x.test">a</a>', '<a href="https://x.test">a</a>'),
    ("text", T.HTML, None, 'say "a"', 'say "a"'),
    ("text", field(T.HTML, max_length=4), None, "abcd", "abcd"),
    ("text", field(T.TEXT, max_length=4), None, "abcd", "abcd"),
    (MOOD, T.ENUM, None, "Gold", "31"),
    (Column("c", "app.any_mood", "enum"), T.ENUM, None, "Silver", "32"),
    (WIDE, T.NUMBER, None, "1000000000000000000000000000001.00", 10**30 + 1),
]


@pytest.mark.parametrize(("column", "of", "converter", "app", "crm"), BOTH_WAYS)
def test_both_ways(column: str | Column, of: Kind, converter: str | None, app: str, crm: Json) -> None:
    """These spellings are each other's."""
    made = one(column, of, converter)
    assert made.to_crm(app, REFS) == crm
    assert type(made.to_crm(app, REFS)) is type(crm)
    assert made.to_app(crm, REFS) == app
    assert made.same_app(app, app)
    assert made.same_crm(crm, crm)


SENT = [
    ("interval", T.DURATION, "PT12M34S", "00:12"),
    ("interval", T.DURATION, "1 day 02:03:59", "26:03"),
    ("interval", T.DURATION, "PT2H", "02:00"),
    ("integer", T.DURATION, "59", "00:00"),
    ("numeric", T.NUMBER, "5.00", 5),
    ("numeric", T.INTEGER, "5.00", 5),
    ("numeric", T.NUMBER, "3.6666666666666667", 11 / 3),
    ("timestamptz", T.DATETIME, "2026-11-02 09:15:00.987654+05:30", "2026-11-02T03:45:00Z"),
    ("timestamptz", T.DATE, "2026-11-02 23:30:00-03", "2026-11-03"),
    ("text", T.ENUM, "gOLD", "31"),
    ("text", T.ENUM, "STRASSE", "33"),
    ("text", T.KEY, "Lunch", "lunch"),
    ("text", T.STAGE, "Won", "2"),
    ("text", T.USER, "ANA@acme.test", "7"),
    ("text[]", T.SET, "[]", None),
    ("text[]", T.SET, '["Silver", null, "gold", "Gold"]', ["31", "32"]),
    ("text", T.EMAILS, "  a@x.test ", "a@x.test"),
]


@pytest.mark.parametrize(("column", "of", "app", "crm"), SENT)
def test_sent(column: str, of: Kind, app: str, crm: Json) -> None:
    """What is sent where several app spellings mean the same."""
    assert one(column, of).to_crm(app, REFS) == crm


RECEIVED = [
    ("integer", T.DURATION, "00:12:34", "754"),
    ("interval", T.DURATION, "25:00", "25:00:00"),
    ("time", T.TIME, "09:15", "09:15:00"),
    ("numeric(10,2)", T.NUMBER, 1234.565, "1234.57"),
    ("numeric", T.NUMBER, 1e21, "1000000000000000000000"),
    ("numeric", T.NUMBER, "1e330", "1" + "0" * 330),
    (Column("c", "numeric(10)", "number"), T.NUMBER, 1234.5, "1235"),
    ("timestamptz", T.DATETIME, "2026-11-02T08:15:30.120Z", "2026-11-02 08:15:30.12+00"),
    ("text", T.DATETIME, "2026-11-02T08:15:30.120Z", "2026-11-02T08:15:30Z"),
    ("text", T.TEXT, 5, "5"),
    ("text", T.TEXT, 1.5, "1.5"),
    ("text", T.TEXT, 1e21, "1000000000000000000000"),
    ("text", T.BOOLEAN, True, "true"),
    ("text", T.BOOLEAN, False, "false"),
    ("text", T.HTML, "<p>Hi <b>you</b></p><ul><li>1 &amp; 2</li></ul>", "Hi you\n1 & 2"),
    ("text", T.HTML, "<script>x</script>ok", "ok"),
    ("text", T.USER, "8", "bob@acme.test"),
]


@pytest.mark.parametrize(("column", "of", "crm", "app"), RECEIVED)
def test_received(column: str | Column, of: Kind, crm: Json, app: str) -> None:
    """What is received where several CRM spellings mean the same."""
    assert one(column, of).to_app(crm, REFS) == app


HELD_SENT = [
    ("text", T.ENUM, "Bronze", Cause.UNKNOWN_OPTION),
    ("text", T.STAGE, "New", Cause.UNKNOWN_OPTION),
    ("text", T.USER, "eve@acme.test", Cause.UNKNOWN_USER),
    ("text", T.USER, "bob@acme.test", Cause.INACTIVE_USER),
    ("integer", T.USER, "8", Cause.INACTIVE_USER),
    ("integer", T.USER, "99", Cause.UNKNOWN_USER),
    ("numeric", T.NUMBER, "NaN", Cause.OUT_OF_RANGE),
    ("numeric", T.NUMBER, "12345678901234567890.12", Cause.OUT_OF_RANGE),
    ("numeric", T.INTEGER, "1.5", Cause.NOT_AN_INTEGER),
    ("text", T.NUMBER, "1e999999999", Cause.OUT_OF_RANGE),
    ("text", T.NUMBER, "many", Cause.INVALID_NUMBER),
    ("numeric", T.NUMBER, "4503599627370496.500001", Cause.OUT_OF_RANGE),
    ("text", T.NUMBER, "5X", Cause.INVALID_NUMBER),
    ("text", T.NUMBER, "\xa05", Cause.INVALID_NUMBER),
    ("timestamptz", T.DATETIME, "infinity", Cause.INVALID_DATE),
    ("interval", T.DURATION, "1 mon", Cause.OUT_OF_RANGE),
    ("interval", T.DURATION, "1 year", Cause.OUT_OF_RANGE),
    ("interval", T.DURATION, "-00:01:00", Cause.OUT_OF_RANGE),
    ("interval", T.DURATION, "1 day -02:00:00", Cause.OUT_OF_RANGE),
    ("integer", T.DURATION, "-1", Cause.OUT_OF_RANGE),
    ("interval", T.DURATION, "soon", Cause.INVALID_DURATION),
    ("jsonb", T.SET, '{"a": 1}', Cause.INVALID_JSON),
    ("jsonb", T.ADDRESS, '{"locality": "Town"}', Cause.INVALID_VALUE),
    ("text", field(T.TEXT, max_length=3), "abcd", Cause.TOO_LONG),
    ("text", field(T.HTML, max_length=5), "a<b", Cause.TOO_LONG),
]


@pytest.mark.parametrize(("column", "of", "app", "cause"), HELD_SENT)
def test_held_when_sending(column: str, of: Kind, app: str, cause: Cause) -> None:
    """A value that the CRM cannot say is held, with its cause."""
    with pytest.raises(HeldError) as held:
        one(column, of).to_crm(app, REFS)
    assert held.value.cause == cause


HELD_RECEIVED = [
    ("smallint", T.NUMBER, 32768, Cause.OUT_OF_RANGE),
    ("smallint", T.NUMBER, -32769, Cause.OUT_OF_RANGE),
    (OID, T.NUMBER, 2**63, Cause.OUT_OF_RANGE),
    ("integer", T.NUMBER, 1.5, Cause.NOT_AN_INTEGER),
    ("integer", T.NUMBER, float("inf"), Cause.OUT_OF_RANGE),
    ("numeric(10,2)", T.NUMBER, 99999999.995, Cause.OUT_OF_RANGE),
    ("real", T.NUMBER, 1e300, Cause.OUT_OF_RANGE),
    ("integer", T.TEXT, "abc", Cause.INVALID_NUMBER),
    ("numeric", T.NUMBER, True, Cause.INVALID_NUMBER),
    ("numeric", T.NUMBER, "1e331", Cause.OUT_OF_RANGE),
    ("numeric", T.NUMBER, [5], Cause.INVALID_NUMBER),
    ("varchar5", T.TEXT, "abcdef", Cause.TOO_LONG),
    ("varchar5", T.ENUM, "33", Cause.TOO_LONG),
    ("text", T.TEXT, "a\x00b", Cause.INVALID_TEXT),
    ("text", T.TEXT, "\ud800", Cause.INVALID_TEXT),
    ("uuid", T.TEXT, "x", Cause.INVALID_UUID),
    ("text", T.ENUM, "99", Cause.UNKNOWN_OPTION),
    ("text", T.USER, "99", Cause.UNKNOWN_USER),
    ("boolean", T.BOOLEAN, "maybe", Cause.INVALID_BOOLEAN),
    ("date", T.DATE, "yesterday", Cause.INVALID_DATE),
    ("time", T.TIME, "25:00", Cause.INVALID_TIME),
    ("text[]", T.SET, "31", Cause.INVALID_VALUE),
    (MOOD, T.ENUM, "32", Cause.NOT_IN_ENUM),
]


@pytest.mark.parametrize(("column", "of", "crm", "cause"), HELD_RECEIVED)
def test_held_when_receiving(column: str | Column, of: Kind, crm: Json, cause: Cause) -> None:
    """A value that the column cannot hold is held, with its cause."""
    with pytest.raises(HeldError) as held:
        one(column, of).to_app(crm, REFS)
    assert held.value.cause == cause


SAME_APP = [
    ("numeric", T.NUMBER, "1.50", "1.5", True),
    ("numeric", T.NUMBER, "1.5", "1.51", False),
    ("timestamptz", T.DATETIME, "2026-11-02 09:15:00+00", "2026-11-02 10:15:00+01", True),
    ("timestamptz", T.DATETIME, "2026-11-02 09:15:00+00", "2026-11-02 09:15:01+00", False),
    ("interval", T.DURATION, "00:12:34", "PT12M", True),
    ("interval", T.DURATION, "00:12:34", "00:13:00", False),
    ("text[]", T.SET, '["Gold","Silver"]', '["Silver", "Gold"]', True),
    ("text[]", T.SET, '["Gold"]', None, False),
    ("text[]", T.SET, '["Gold"]', '["Silver"]', False),
    ("jsonb", T.TEXT, '{"a": 1, "b": 2}', '{"b":2,"a":1}', True),
    ("jsonb", T.TEXT, '{"a": 1}', '{"a": 2}', False),
    ("integer", T.USER, "7", "07", True),
    ("integer", T.USER, "7", "8", False),
    ("text[]", T.SET, "[]", None, True),
    ("jsonb", T.ADDRESS, '{"value":"a"}', '{"value": "a", "route": null}', True),
    ("jsonb", T.ADDRESS, '{"value": "a", "route": "b"}', '{"route": "b", "value": "a"}', True),
    ("jsonb", T.ADDRESS, '{"value": "a", "route": "b"}', '{"route": "c", "value": "a"}', False),
    ("timestamptz", T.DATE, "2026-11-02 23:30:00-03", "2026-11-03 00:00:00+00", True),
    ("timestamptz", T.DATE, "2026-11-02 23:30:00-03", "2026-11-02 00:00:00+00", False),
    ("time", T.TIME, "09:15:00.5", "09:15:00", True),
    ("text", T.ENUM, "gold", "Gold", True),
    ("text", T.ENUM, "Bronze", "Gold", False),
    ("text", T.TEXT, "a\r\nb", "a\nb", True),
    ("text", T.TEXT, "a\rb", "a\nb", True),
    ("text", T.TEXT, "", None, False),
    ("text", T.EMAILS, "a@x.test ", "a@x.test", True),
    ("text", T.EMAILS, "A@x.test", "a@x.test", False),
    ("numeric", T.NUMBER, "1", None, False),
]


@pytest.mark.parametrize(("column", "of", "left", "right", "same"), SAME_APP)
def test_same_app(column: str, of: Kind, left: Any, right: Any, same: bool) -> None:  # noqa: FBT001
    """App spellings are compared by meaning, both ways round."""
    made = one(column, of)
    assert made.same_app(left, right) is same
    assert made.same_app(right, left) is same


SAME_CRM = [
    ("numeric", T.NUMBER, 1, 1.0, True),
    ("text", T.HTML, "<p>a</p>", "a", True),
    ("text", T.HTML, "a<br/>b", "a<BR>b", True),
    ("text", T.HTML, "a", "b", False),
    ("timestamptz", T.DATETIME, "2026-11-02T09:15:00Z", "2026-11-02T09:15:00.000Z", True),
    ("integer", T.DURATION, "00:12", "00:12:34", True),
    ("text[]", T.SET, ["31", "32"], ["32", "31"], True),
    ("text[]", T.SET, ["31"], ["32"], False),
    ("integer", T.TEXT, "a\r\nb", "a\nb", True),
    ("text", field(T.TEXT, max_length=3), "abcd", "abce", False),
    ("integer", T.USER, "7", "8", False),
    ("text", T.BOOLEAN, True, "true", True),
    ("text", T.BOOLEAN, True, False, False),
    ("integer", T.ORG, 12, "12", True),
    ("text", T.PHONE, "+49 30 1", "+49301", False),
    ("date", T.DATE, "2026-11-02", "2026-11-02T00:00:00Z", True),
    ("date", T.DATE, "2026-11-02", "2026-11-03", False),
    ("date", T.DATETIME, "2026-11-02T09:15:00Z", "2026-11-02T00:00:00Z", True),
    ("timestamptz", T.DATETIME, "2026-11-02T09:15:00Z", "2026-11-02T00:00:00Z", False),
    ("time", T.TIME, "09:15", "09:15:00", True),
    ("time", T.TIME, "09:15", "09:16", False),
    ("jsonb", T.ADDRESS, {"value": "a"}, {"value": "a", "route": None}, True),
    ("jsonb", T.ADDRESS, {"value": "a"}, {"value": "b"}, False),
    ("jsonb", T.ADDRESS, {"value": "a"}, "a", False),
]


@pytest.mark.parametrize(("column", "of", "left", "right", "same"), SAME_CRM)
def test_same_crm(column: str, of: Kind, left: Any, right: Any, same: bool) -> None:  # noqa: FBT001
    """CRM spellings are compared by meaning, both ways round."""
    made = one(column, of)
    assert made.same_crm(left, right) is same
    assert made.same_crm(right, left) is same


def test_cut_is_marked_and_never_read_back() -> None:
    """A long text is sent shortened, counts as the same as its cut form, and the cut form is never received."""
    made = one("text", field(T.TEXT, max_length=5), too_long=TooLong.CUT)
    assert made.to_crm("abcdefgh", REFS) == "abcd…"
    assert made.to_crm("abcde", REFS) == "abcde"
    assert made.to_app("abcde", REFS) == "abcde"
    assert made.same_app("abcdefgh", "abcd…")
    assert made.same_crm("abcd…", made.to_crm("abcdXYZ", REFS))
    with pytest.raises(HeldError, match="cut"):
        made.to_app("abcd…", REFS)


def test_a_number_that_is_whole_but_for_what_no_double_holds() -> None:
    """It is sent as a whole one."""
    sent = one("numeric", T.NUMBER).to_crm("5.00000000000000000001", REFS)
    assert (sent, type(sent)) == (5, int)


def test_an_option_that_was_renamed() -> None:
    """It goes by the word that a file holds of it, and is found by the new one too."""
    renamed = replace(field(T.ENUM), options=(Option("70", "Top", former=("Gold",)), Option("71", "Silver")))
    made = one("text", renamed)
    assert (made.to_crm("Gold", REFS), made.to_crm("Top", REFS), made.to_app("70", REFS)) == ("70", "70", "Gold")


def test_cut_where_there_is_no_limit() -> None:
    """The whole text is sent."""
    assert one("text", T.TEXT, too_long=TooLong.CUT).to_crm("abcdefgh", REFS) == "abcdefgh"


def test_values_map_words_to_labels() -> None:
    """`values:` maps app words to labels; what it does not name is held; two words for one label are the same."""
    made = one("text", T.ENUM, values={"gold": "Gold", "vip": "Gold", "silver": "Silver"})
    assert made.to_crm("vip", REFS) == "31"
    assert made.to_app("31", REFS) == "gold"
    assert made.same_app("gold", "vip")
    assert not made.same_app("tin", "zinc")
    with pytest.raises(HeldError, match="unmapped_value"):
        made.to_crm("Gold", REFS)
    with pytest.raises(HeldError, match="unmapped_value"):
        made.to_app("33", REFS)


@pytest.mark.parametrize(
    ("column", "of", "values", "app", "crm"),
    [
        ("boolean", T.ENUM, {"true": "Gold", "false": "Silver"}, "false", "32"),
        ("integer", T.ENUM, {"1": "Gold", "2": "Silver"}, "2", "32"),
        ("text[]", T.SET, {"g": "Gold", "s": "Silver"}, '["g", "s"]', ["31", "32"]),
        ("jsonb", T.SET, {"g": "Gold", "s": "Silver"}, '["g", "s"]', ["31", "32"]),
        ("text[]", T.ENUM, {'["g"]': "Gold"}, '["g"]', "31"),
        ("text[]", T.EMAILS, {"ana": "a@x.test"}, '["ana"]', ["a@x.test"]),
        ("text", T.STAGE, {"won": "Sales / Won"}, "won", "2"),
        ("text", T.STAGE, {"won": "Won"}, "won", "2"),
        ("text", T.PIPELINE, {"new": "Sales"}, "new", "1"),
        ("text", T.KEY, {"phone call": "call"}, "phone call", "call"),
        ("text", T.BOOLEAN, {"done": "true", "open": "false"}, "done", True),
        ("text", T.TEXT, {"de": "Germany"}, "de", "Germany"),
        ("text", T.USER, {"a": "ana@acme.test"}, "a", "7"),
        ("text", T.SET, {"g": "Gold"}, "g", "31"),
    ],
)
def test_values_before_every_family(column: str, of: Kind, values: Any, app: str, crm: Json) -> None:
    """A map stands before any converter of words, and on any column that can spell its words."""
    made = one(column, of, "label" if of is T.SET and column == "text" else None, values=values)
    assert made.to_crm(app, REFS) == crm
    assert made.to_app(crm, REFS) == app


@pytest.mark.parametrize("converter", ["id", "link"])
def test_a_link_may_be_written_out(converter: str) -> None:
    """`as: link` and `as: id` say what it is anyway."""
    assert one("integer", T.ORG, converter, link="company").to_crm("5", REFS) == "12"


def test_link_goes_through_the_other_mapping() -> None:
    """A reference is the row's key on one side and the record's id on the other, unresolved while its link is half."""
    made = one("integer", T.ORG, link="company")
    assert made.to_crm("5", REFS) == "12"
    assert made.to_app("12", REFS) == "5"
    assert made.read_crm({"f": 12}) == "12"
    with pytest.raises(UnresolvedError):
        made.to_crm("6", Refs())


def test_null_and_absent() -> None:
    """Null stays null both ways; a field that the payload lacks is absent; an empty collection reads as null."""
    for column, of in (("text", T.TEXT), ("text[]", T.SET), ("text", T.EMAILS), ("text", T.HTML), ("jsonb", T.ADDRESS)):
        made = one(column, of)
        assert made.to_crm(None, REFS) is None
        assert made.to_app(None, REFS) is None
        assert made.read_crm({}) is ABSENT
        assert made.read_crm({"f": None}) is None
    assert one("text[]", T.SET).read_app({"c": "[]"}) is None
    assert one("jsonb", T.SET).read_app({"c": "no list"}) == "no list"
    assert one("text[]", T.SET).read_crm({"f": [None, "", 31]}) == ["31"]
    assert one("text", T.ENUM).read_crm({"f": True}) == "true"
    assert one("text", T.ENUM).read_crm({"f": ""}) is None
    assert one("text", T.ENUM).read_crm({}) is ABSENT
    assert one("text[]", T.EMAILS).read_crm({"f": []}) is None


def test_clearing_a_column_that_takes_no_null() -> None:
    """A text that takes no null is cleared with the empty text, a collection with the empty list, a document with {}."""
    assert one("required", T.TEXT).write_app(None) == {"c": ""}
    assert one("text", T.TEXT).write_app(None) == {"c": None}
    assert one("text[] not null", T.SET).write_app(None) == {"c": "[]"}
    assert one("text[]", T.SET).write_app(None) == {"c": None}
    assert one("jsonb not null", T.ADDRESS).write_app(None) == {"c": "{}"}


def test_a_row_without_the_column_is_a_defect_not_a_null() -> None:
    """Reading a row that lacks the column raises: taken for null, it would clear the CRM."""
    with pytest.raises(KeyError):
        one("text", T.TEXT).read_app({})
