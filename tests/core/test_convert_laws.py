"""Laws of every converter, by Hypothesis: round trips, idempotence, totality."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.convert.html import clean, escaped, plain
from connector.core.line import HeldError, UnresolvedError
from connector.core.mapping import TooLong
from connector.core.model import ABSENT
from connector.core.schema import FieldType as T
from tests.core.converters import COLUMNS, OPTIONS, REFS, field, one, several

if TYPE_CHECKING:
    from connector.core.line import Converter
    from connector.core.model import Json

stored_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
words = stored_text.filter(lambda text: bool(text.strip()))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("value"), each, max_size=3),
    max_leaves=5,
)
moments = st.datetimes(timezones=st.just(UTC)).map(lambda when: when.isoformat(sep=" "))
clocks = st.times().map(time.isoformat)
labels = st.sampled_from([option.label for option in OPTIONS])
numerics = st.decimals(min_value=-(10**8) + 1, max_value=10**8 - 1, places=2).map(str)

APP_VALUES: list[tuple[Any, Any, str | None, st.SearchStrategy[str]]] = [
    ("text", T.TEXT, None, stored_text),
    ("text", T.PHONE, None, words),
    ("text", T.HTML, None, stored_text),
    ("text", T.HTML, "html", stored_text),
    ("bigint", T.INTEGER, None, st.integers(-(2**63), 2**63 - 1).map(str)),
    ("bigint", T.TEXT, None, st.integers(-(2**63), 2**63 - 1).map(str)),
    ("numeric(10,2)", T.NUMBER, None, numerics),
    ("numeric(10,2)", T.MONEY, None, numerics),
    ("double", T.NUMBER, None, st.floats(allow_nan=False, allow_infinity=False).map(repr)),
    ("real", T.NUMBER, None, st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda x: f"{x:.9g}")),
    ("boolean", T.BOOLEAN, None, st.sampled_from(["true", "false"])),
    ("date", T.DATE, None, st.dates().map(str)),
    ("date", T.DATETIME, None, st.dates().map(str)),
    ("timestamptz", T.DATETIME, None, moments),
    ("timestamp", T.DATETIME, None, st.datetimes().map(lambda when: when.isoformat(sep=" "))),
    ("time", T.TIME, None, clocks),
    ("integer", T.DURATION, None, st.integers(0, 2**31 - 1).map(str)),
    ("text", T.ENUM, None, labels),
    ("text[]", T.SET, None, st.lists(labels).map(json.dumps)),
    ("text[]", T.EMAILS, None, st.lists(words).map(json.dumps)),
    ("text", T.EMAILS, None, words),
    ("text", T.ADDRESS, None, words),
    ("jsonb", T.ADDRESS, None, st.dictionaries(st.sampled_from(["route", "value"]), words).map(json.dumps)),
    ("text", T.STAGE, None, st.sampled_from(["Sales / New", "Sales / Won", "Won"])),
    ("integer", T.ORG, None, st.integers(1, 2**31 - 1).map(str)),
]
IDS = [f"{column}-{of}-{name}" for column, of, name, _ in APP_VALUES]


@pytest.mark.parametrize(("column", "of", "converter", "values"), APP_VALUES, ids=IDS)
def test_round_trip(column: str, of: T, converter: str | None, values: st.SearchStrategy[str]) -> None:
    """What was sent and is read back means the same as before; what was written is read."""
    made = one(column, of, converter)

    @given(values)
    def law(app: str) -> None:
        try:
            crm = made.to_crm(app, REFS)
        except HeldError:
            return
        read = made.read_crm(made.write_crm(crm, {}))
        assert read is not ABSENT
        assert made.same_crm(read, crm)
        back = made.to_app(crm, REFS)
        assert made.same_app(back, app)
        assert made.same_crm(made.to_crm(back, REFS), crm)
        assert made.same_app(made.read_app(made.write_app(back)), back)

    law()


CONVERTERS = [(column, of) for column in COLUMNS for of in T]


def _possible() -> list[Converter]:
    made = []
    for column, of in CONVERTERS:
        for converter in (None, "html", "label"):
            try:
                made.append(one(column, of, converter))
            except Exception:  # noqa: BLE001 (any refusal will do)
                continue
    made.append(several({"a": "numeric(10,2)", "b": "text"}, {"m": T.MONEY}))
    made.append(several({"a": "numeric", "b": "text"}, {"m": T.NUMBER, "k": T.CURRENCY}))
    made.append(several({"a": "date", "b": "time"}, {"m": T.DATE, "k": T.TIME}))
    made.append(one("integer", T.ORG, link="company"))
    made.append(one("text", T.ENUM, values={"a": "Gold", "b": "Nothing"}))
    made.append(one("text", field(T.TEXT, max_length=2), too_long=TooLong.CUT))
    return made


@given(made=st.sampled_from(_possible()), one_value=json_values, other=json_values)
def test_whatever_arrives_is_converted_or_held(made: Converter, one_value: Json, other: Json) -> None:
    """No value of any shape makes a converter fail otherwise than by HeldError or UnresolvedError; reading is total."""
    fields = {"f": one_value, "m": one_value, "k": other}
    read = made.read_crm(fields)
    assert read is not ABSENT
    with contextlib.suppress(HeldError, UnresolvedError):
        made.to_app(read, REFS)
    with contextlib.suppress(HeldError, UnresolvedError):
        made.to_crm(one_value, REFS)
    made.same_app(one_value, other)
    made.same_crm(one_value, other)


@given(stored_text)
def test_escaped_text_reads_as_itself(text: str) -> None:
    """Plain text in an HTML field comes back line by line, blanks at the ends of lines aside."""
    seen = plain(escaped(text))
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    assert [line.rstrip() for line in seen.strip().split("\n")] == [line.rstrip() for line in lines]


TAGS = ["<p>", "</p>", "<b>", "<script>", "</script>", "<!--", "&lt;", "<svg>", "<style>", "<math>", "<table>", "<td>"]


@given(st.lists(st.sampled_from([*"<>/ab &;\"'=\n", *TAGS])).map("".join))
def test_cleaning_twice_changes_nothing(source: str) -> None:
    """Cleaned HTML is its own cleaned form, and never holds a script."""
    once = clean(source)
    assert clean(once) == once
    assert "<script" not in once


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))
def test_numbers_are_sent_without_artefacts(number: Decimal) -> None:
    """What is sent, spelled in JSON, is the very number."""
    sent = one("numeric", T.NUMBER).to_crm(format(number, "f"), REFS)
    assert abs(Decimal(json.dumps(sent)) - number) < Decimal("1e-6")
    if len(number.normalize().as_tuple().digits) <= 15:
        assert Decimal(json.dumps(sent)) == number


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_sent_in_whole_seconds(when: datetime) -> None:
    """RFC 3339 with Z, no fraction: CRMs refuse one."""
    sent = one("timestamptz", T.DATETIME).to_crm(when.isoformat(sep=" "), REFS)
    assert sent == when.strftime("%4Y-%m-%dT%H:%M:%SZ") or str(sent).endswith(when.strftime("-%m-%dT%H:%M:%SZ"))


@given(st.integers(0, 10**6))
def test_durations_are_cut_never_rounded(seconds: int) -> None:
    """HH:MM holds the full minutes, and no more."""
    hours, minutes = str(one("integer", T.DURATION).to_crm(str(seconds), REFS)).split(":")
    assert int(hours) * 60 + int(minutes) == seconds // 60


@given(stored_text, st.integers(1, 20))
def test_a_cut_text_keeps_the_limit_and_its_beginning(text: str, limit: int) -> None:
    """A cut text is as long as the field takes, begins like the original and ends with the mark."""
    sent = one("text", field(T.TEXT, max_length=limit), too_long=TooLong.CUT).to_crm(text, REFS)
    assert isinstance(sent, str)
    assert len(sent) <= limit
    assert sent == text or (sent.endswith("…") and text.startswith(sent[:-1]))
