"""A day and a time of day that are one instant: two fields of the CRM, one or two columns."""

from __future__ import annotations

from typing import Any

import pytest

from connector.core.line import HeldError
from connector.core.model import ABSENT
from connector.core.schema import FieldType as T
from tests.core.converters import REFS, several

DUE = {"due_date": T.DATE, "due_time": T.TIME}


@pytest.mark.parametrize(
    ("due_time", "app"),
    [
        ("09:15:00", "2026-11-02 09:15:00+00"),
        ("09:15", "2026-11-02 09:15:00+00"),
        (None, "2026-11-02 00:00:00+00"),
        ("", "2026-11-02 00:00:00+00"),
    ],
)
def test_due_date_and_time_are_one_instant(due_time: str | None, app: str) -> None:
    """Two fields are one UTC instant; no time is all day, which is midnight."""
    made = several({"at": "timestamptz"}, DUE, "datetime")
    crm = made.read_crm({"due_date": "2026-11-02", "due_time": due_time})
    assert crm is not ABSENT
    assert made.to_app(crm, REFS) == app
    written = made.write_crm(made.to_crm(app, REFS), {})
    assert written["due_time"] == ("09:15:00" if due_time else None)
    again = made.read_crm(written)
    assert again is not ABSENT
    assert made.same_crm(again, crm)


def test_due_date_in_other_columns() -> None:
    """A date column leaves the time alone; a date and a time column hold all day as no time."""
    day = several({"on": "date"}, DUE)
    assert day.write_crm(day.to_crm("2026-11-02", REFS), {"due_time": "09:00"}) == {"due_date": "2026-11-02"}
    both = several({"on": "date", "at": "time"}, DUE)
    assert both.to_app("2026-11-02T09:15:00Z", REFS) == ["2026-11-02", "09:15:00"]
    assert both.to_app("2026-11-02", REFS) == ["2026-11-02", None]
    assert both.to_crm(["2026-11-02", "09:15:00"], REFS) == "2026-11-02T09:15:00Z"
    assert both.to_crm([None, "09:15:00"], REFS) is None
    assert both.write_crm(None, {}) == {"due_date": None, "due_time": None}


def test_due_fields_as_they_are_read() -> None:
    """The date alone for all day, else an instant in one spelling; one without the other says nothing."""
    made = several({"at": "timestamptz"}, DUE)
    assert made.read_crm({"due_date": "2026-11-02", "due_time": "09:15"}) == "2026-11-02T09:15:00Z"
    assert made.read_crm({"due_date": "2026-11-02", "due_time": "09:15:30"}) == "2026-11-02T09:15:30Z"
    assert made.read_crm({"due_date": "2026-11-02", "due_time": None}) == "2026-11-02"
    assert made.read_crm({"due_date": None, "due_time": "09:15"}) is None
    assert made.read_crm({"due_date": "2026-11-02"}) is ABSENT
    assert made.read_crm({"due_time": "09:15"}) is ABSENT


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "text"])
@pytest.mark.parametrize("converter", [None, "datetime"])
def test_due_fields_in_one_column(kind: str, converter: str | None) -> None:
    """Of any kind that holds an instant."""
    made = several({"at": kind}, DUE, converter)
    assert made.to_crm("2026-11-02 09:15:00", REFS) == "2026-11-02T09:15:00Z"


@pytest.mark.parametrize("columns", [{"on": "date"}, {"on": "date", "at": "time"}])
def test_due_fields_by_their_name(columns: dict[str, str]) -> None:
    """`as: datetime` may be written out."""
    assert several(columns, DUE, "datetime").write_crm("2026-11-02", {})["due_date"] == "2026-11-02"


DAY_AND_TIME = several({"on": "date", "at": "time"}, DUE)


@pytest.mark.parametrize(
    ("app", "crm"),
    [
        (["2026-11-02", "09:15:30.25"], "2026-11-02T09:15:30Z"),
        (["2026-11-02", None], "2026-11-02T00:00:00Z"),
        ([None, "09:15:00"], None),
    ],
)
def test_a_date_and_a_time_column_are_sent(app: Any, crm: Any) -> None:
    """In whole seconds; no time is midnight, no day is nothing."""
    assert DAY_AND_TIME.to_crm(app, REFS) == crm


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["2026-11-02", "09:15:30.25"], ["2026-11-02", "09:15:30"], True),
        (["2026-11-02", "09:15:30"], ["2026-11-02", "09:15:31"], False),
        (["2026-11-02", "09:15:30"], ["2026-11-03", "09:15:30"], False),
        (["2026-11-02", None], ["2026-11-02", "00:00:00"], True),
        ([None, "09:15:00"], None, True),
    ],
)
def test_a_date_and_a_time_column_are_compared(one: Any, other: Any, same: bool) -> None:  # noqa: FBT001
    """By the second; without a day they say nothing."""
    assert DAY_AND_TIME.same_app(one, other) is same
    assert not DAY_AND_TIME.same_app(["2026-11-02"], ["2026-11-02"] * 3)


def test_due_fields_are_compared_by_the_second() -> None:
    """Whatever the CRM makes of its fraction."""
    assert DAY_AND_TIME.same_crm("2026-11-02T09:15:00Z", "2026-11-02T09:15:00.400Z")
    assert not DAY_AND_TIME.same_crm("2026-11-02T09:15:00Z", "2026-11-02T09:15:01Z")


def test_columns_that_are_no_day_and_time() -> None:
    """A list of another length is held."""
    with pytest.raises(HeldError, match="invalid_value"):
        DAY_AND_TIME.to_crm(["2026-11-02"], REFS)
