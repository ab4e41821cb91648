"""Does a record look like what we sent? What a CRM does to values makes no other record of it; an edit makes it doubtful."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connector.core.fingerprint import Likeness, Resemblance, resemblance
from connector.core.model import CrmId, Json, Pair, Record
from tests.core.people import NOW, ROLE, SCORE, TIER, mapping

SECOND = timedelta(seconds=1)
MAPPING = mapping(
    "direction: send\nset: {crm: {Tier: Gold}}\nfields:\n"
    "  - {column: name, crm: name}\n  - {column: job, crm: job}\n  - {column: score, crm: Score}\n"
    "  - {column: company_id, crm: org_id, link: company}\n  - {column: owner, crm: owner_id, as: user_email}\n"
)
SENT: Mapping[str, Json] = {"name": "Ann <b>Lee</b>", "job": "CTO", SCORE: 12.345, "org_id": "12", TIER: "70"}
STORED: Mapping[str, Json] = {**SENT, "org_id": 12, TIER: 70, "owner_id": 1, ROLE: None}


def like(fields: Mapping[str, Json], *, made: datetime = NOW, changed: datetime = NOW) -> Resemblance:
    """How like a record is to what was sent now."""
    names = {line.fields[0].key: line for line in MAPPING.every_line}
    base = {names[key].name: Pair(None, value, names[key].rule) for key, value in SENT.items()}
    record = Record("person", CrmId("1"), {**STORED, **fields}, None, changed, made)
    return resemblance(MAPPING, base, record, NOW)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="ids as numbers, and an owner whom the CRM put in"),
        pytest.param({"name": " Ann Lee"}, id="markup stripped, blanks trimmed"),
        pytest.param({"name": "ANN LEE."}, id="spelt otherwise"),
        pytest.param({SCORE: 12.35}, id="rounded to the cent"),
        pytest.param({"org_id": None}, id="the organization was deleted"),
    ],
)
def test_what_a_crm_does_to_values(fields: Mapping[str, Json]) -> None:
    """It is the record that we sent."""
    assert like(fields).likeness is Likeness.ALIKE


@pytest.mark.parametrize("fields", [{"job": "CEO"}, {"org_id": 13}, {TIER: 71}, {"name": "Bob", "job": "CEO"}])
def test_an_edit_within_the_minute(fields: Mapping[str, Json]) -> None:
    """A record that was changed after it was made may be ours; the same values in one that was not changed are not."""
    assert like(fields, changed=NOW + SECOND).likeness is Likeness.EDITED
    assert like(fields).likeness is Likeness.OTHER


def test_little_in_common() -> None:
    """A record that shows less than half of what was sent is somebody else's, and so is one that shows constants only."""
    later = NOW + SECOND
    assert like({"name": "Bob", "job": "CEO", SCORE: 1}, changed=later).likeness is Likeness.OTHER


def test_when_it_was_made() -> None:
    """What was there before is not ours; what was made after the minute and edited is not either."""
    early, late = NOW - 6 * SECOND, NOW + 70 * SECOND
    assert like({}, made=early).likeness is Likeness.OTHER
    assert like({}, made=NOW - 4 * SECOND).likeness is Likeness.ALIKE
    assert like({"job": "CEO"}, made=late, changed=late + SECOND).likeness is Likeness.OTHER


def test_a_record_belongs_to_what_it_resembles_most() -> None:
    """Exact beats spelt otherwise, all beats some."""
    assert like({}) > like({"name": "Ann Lee"}) > like({"job": "CEO"}, changed=NOW + SECOND) > like({"job": "CEO"})


def test_nothing_to_compare() -> None:
    """A create whose lines are all gone from the mapping resembles nothing."""
    nothing = replace(MAPPING, lines=(), constants=())
    assert resemblance(nothing, {}, Record("person", CrmId("1"), {}), NOW) == Resemblance()
