"""Hints as JSON: lossless, and nothing gets through that PostgreSQL cannot keep."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.model import CrmId
from connector.ports import Hint, HintKind
from connector.store.hints import hint_from_json, hint_json

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
numbers = st.integers(-(10**30), 10**30) | st.floats(-1e15, 1e15)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
fields = st.dictionaries(texts, values, max_size=4)
hints = st.builds(
    Hint,
    id=texts,
    object=texts,
    crm_id=texts.map(CrmId),
    kind=st.sampled_from(HintKind),
    created=st.booleans(),
    version=st.none() | texts,
    at=st.none() | st.datetimes(timezones=st.just(UTC) | zones) | st.datetimes(),
    actor=st.none() | texts,
    source=st.none() | texts,
    merged_to=st.none() | texts.map(CrmId),
    merged_from=st.none() | texts.map(CrmId),
    values=fields,
    previous=fields,
    identity=st.none() | texts,
)


@given(hints)
def test_a_hint_survives_the_round_trip(hint: Hint) -> None:
    """Every field comes back equal, times with their zone."""
    back = hint_from_json(hint_json(hint))
    assert back == hint
    assert (back.at and back.at.utcoffset()) == (hint.at and hint.at.utcoffset())


async def test_a_hint_survives_jsonb(database: str) -> None:
    """PostgreSQL takes every text that `hint_json` lets pass, and gives an equal hint back."""
    db = await asyncpg.connect(database)

    @settings(max_examples=50)
    @given(hints)
    def encode(hint: Hint) -> None:
        seen.append(hint)

    seen: list[Hint] = []
    encode()
    try:
        kept = await db.fetch("select hint::text from unnest($1::jsonb[]) hint", [hint_json(hint) for hint in seen])
    finally:
        await db.close()
    assert [hint_from_json(row["hint"]) for row in kept] == seen


def deep() -> Any:
    """A list nested deeper than any parser likes."""
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("value", ["a\0b", "\\\\\0", "\ud800", float("nan"), float("inf"), deep()])
def test_what_postgresql_cannot_keep_is_refused(value: Any) -> None:
    """NUL, lone surrogates, numbers that are none and endless depth are ValueErrors, wherever they stand."""
    with pytest.raises(ValueError):  # noqa: PT011  # of several origins
        hint_json(Hint("1", "person", CrmId("1"), HintKind.CHANGED, values={"x": [value]}))
    if isinstance(value, str):
        with pytest.raises(ValueError):  # noqa: PT011
            hint_json(Hint(value, "person", CrmId("1"), HintKind.CHANGED))


@pytest.mark.parametrize("value", ["\\u0000", "\\\\u0000", "u0000"])
def test_text_that_only_looks_like_nul_passes(value: str) -> None:
    """A backslash followed by u0000 is ordinary text."""
    hint = Hint("1", "person", CrmId("1"), HintKind.CHANGED, values={"x": value})
    assert hint_from_json(hint_json(hint)) == hint


def test_defaults_are_not_written() -> None:
    """A bare hint costs four keys."""
    text = hint_json(Hint("1", "person", CrmId("2"), HintKind.DELETED))
    assert json.loads(text) == {"id": "1", "object": "person", "crm_id": "2", "kind": "deleted"}


def test_times_keep_microseconds() -> None:
    """The CRM's clock comes back to the microsecond."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert hint_from_json(hint_json(Hint("1", "person", CrmId("2"), HintKind.CHANGED, at=at))).at == at
