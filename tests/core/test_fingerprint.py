"""Does a record look like what we sent? What a CRM does to values makes no other record of it; an edit makes it doubtful."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import pytest

from connector.core.fingerprint import Likeness, Resemblance, alike, holds_all, resemblance, spelt_alike
from connector.core.line import Line
from connector.core.mapping import Conflict, Direction
from connector.core.model import ABSENT, AppKey, CrmId, CrmValue, Json, Pair, Record, Row
from connector.core.schema import FieldType
from tests.core.converters import AT, one
from tests.core.people import NOW, ROLE, SCORE, TIER, mapping

SECOND = timedelta(seconds=1)
MAPPING = mapping(
    "direction: send\nset: {crm: {Tier: Gold}}\nfields:\n"
    "  - {column: name, crm: name}\n  - {column: job, crm: job}\n  - {column: score, crm: Score}\n"
    "  - {column: company_id, crm: org_id, link: company}\n  - {column: owner, crm: owner_id, as: user_email}\n"
)
SENT: Mapping[str, Json] = {"name": "Ann <b>Lee</b>", "job": "CTO", SCORE: 12.345, "org_id": "12", TIER: "70"}
STORED: Mapping[str, Json] = {**SENT, "org_id": 12, TIER: 70, "owner_id": 1, ROLE: None}


def like(
    fields: Mapping[str, Json],
    *,
    made: datetime | None = NOW,
    changed: datetime | None = NOW,
    sent: Mapping[str, Json] = MappingProxyType({}),
    of: Iterable[str] = SENT,
) -> Resemblance:
    """How like a record is to what was sent now: these fields of SENT, and more."""
    names = {line.fields[0].key: line for line in MAPPING.every_line}
    values = {**{key: SENT[key] for key in of}, **sent}
    base = {names[key].name: Pair(None, value, names[key].rule) for key, value in values.items()}
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


def test_a_time_without_its_seconds() -> None:
    """What the line takes for the same is the same, though not spelt alike."""
    at = Line("f", AT, Direction.SEND, (), (), one("time", FieldType.TIME), "rule", Conflict.APP)
    of = replace(MAPPING, lines=(at,), constants=())
    record = Record("person", CrmId("1"), {"f": "09:00"})
    assert resemblance(of, {"f": Pair(None, "09:00:00", "")}, record, NOW) == Resemblance(Likeness.ALIKE, 0, 1)


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


def test_how_like() -> None:
    """Of five lines: all exactly, one spelt otherwise, one edited. Few deviations come before many exact lines."""
    later = NOW + SECOND
    assert like({}) == Resemblance(Likeness.ALIKE, 0, 5)
    assert like({"name": "Ann Lee"}) == Resemblance(Likeness.ALIKE, -1, 4)
    assert like({"job": "CEO"}, changed=later) == Resemblance(Likeness.EDITED, -1, 4)
    assert Resemblance(Likeness.ALIKE, 0, 2) > Resemblance(Likeness.ALIKE, -1, 4)


def test_half_of_it_and_a_line_of_its_own() -> None:
    """An edited record may be ours with half of what was sent in it, if that is more than the mapping's constants."""
    later = NOW + SECOND
    six = {"owner_id": "1"}
    assert like({"name": "Bob", "job": "CEO", SCORE: 1}, changed=later, sent=six).likeness is Likeness.EDITED
    only_constant = like({"name": "Bob"}, changed=later, sent={}, of=("name", TIER))
    assert only_constant.likeness is Likeness.OTHER
    assert like({TIER: 71}, changed=later, sent={}, of=("name", TIER)).likeness is Likeness.EDITED


def test_the_limits_of_time() -> None:
    """Five seconds before our sending and a minute and five after it belong to it; a record without times is not edited."""
    early, late = NOW - 5 * SECOND, NOW + 65 * SECOND
    assert like({}, made=early).likeness is Likeness.ALIKE
    assert like({"job": "CEO"}, made=late, changed=late + SECOND).likeness is Likeness.EDITED
    assert like({"job": "CEO"}, made=late + SECOND, changed=late + 2 * SECOND).likeness is Likeness.OTHER
    assert like({}, made=None).likeness is Likeness.ALIKE
    assert like({"job": "CEO"}, made=None, changed=NOW + SECOND).likeness is Likeness.OTHER
    assert like({"job": "CEO"}, changed=None).likeness is Likeness.OTHER


def test_a_field_that_the_record_does_not_show() -> None:
    """No evidence either way."""
    held = {key: value for key, value in STORED.items() if key != "job"}
    names = {line.fields[0].key: line for line in MAPPING.every_line}
    base = {names[key].name: Pair(None, value, names[key].rule) for key, value in SENT.items()}
    assert resemblance(MAPPING, base, Record("person", CrmId("1"), held), NOW).likeness is Likeness.ALIKE


@pytest.mark.parametrize(
    ("held", "sent", "same"),
    [
        pytest.param("Ann Lee.", " <b>ann</b> LEE", True, id="case, blanks, punctuation, markup"),
        pytest.param("Ann Lee", "Ann Bee", False, id="other letters"),
        pytest.param("?!", "? !", True, id="no letters: all but blanks"),
        pytest.param("?!", "?-", False, id="other signs"),
        pytest.param("12.35", 12.345, True, id="a cent"),
        pytest.param(12.36, "12.35", True, id="a whole cent"),
        pytest.param("12.37", "12.35", False, id="two cents"),
        pytest.param("Infinity", "infinity", True, id="a word that Decimal would take for a number"),
        pytest.param("NaN", "nan", True, id="another one"),
        pytest.param(True, 1, False, id="a yes is no number"),
        pytest.param(["Ann", "Bea"], ["ann", "bea"], True, id="lists by element"),
        pytest.param(["Ann"], ["Ann", "Bea"], False, id="a list with fewer"),
        pytest.param(["Ann", "Bea"], ["Ann", "Zoe"], False, id="a list with another"),
        pytest.param({"value": "Main St."}, {"value": "main st"}, True, id="composites by part"),
        pytest.param({"value": "Main St."}, {"value": "Side St."}, False, id="a composite with another part"),
        pytest.param({"value": "x"}, {"city": "x"}, False, id="a composite of other parts"),
        pytest.param(["x"], "x", False, id="a list and a text"),
        pytest.param(None, None, False, id="nothing was stored"),
        pytest.param(ABSENT, "x", False, id="the answer lacks it"),
    ],
)
def test_spelt_alike(held: CrmValue, sent: Json, same: bool) -> None:  # noqa: FBT001
    """What a CRM does to a value when it stores it."""
    assert spelt_alike(held, sent) is same


@pytest.mark.parametrize(
    ("held", "replaced", "arrived"),
    [
        pytest.param("Ann Lee", "Bob", True, id="as sent"),
        pytest.param("ANN LEE", "Bob", True, id="as the CRM spells it"),
        pytest.param("ANN LEE", "ANN LEE", False, id="as it was before: only its spelling was to change"),
        pytest.param("Ann Lee", "Ann Lee", True, id="as sent, and as it was before"),
        pytest.param("Bob", "Bob", False, id="as it was before"),
        pytest.param("Zoe", "Bob", False, id="as somebody else entered it"),
        pytest.param("ANN LEE", None, True, id="there was nothing before"),
    ],
)
def test_an_update_whose_outcome_is_unknown(held: str, replaced: str | None, arrived: bool) -> None:  # noqa: FBT001
    """It was applied if the record shows what was sent; what was there before is no spelling of it."""
    sent = {"name": Pair(None, "Ann Lee", ""), "job": Pair(None, "CTO", ""), "gone": Pair(None, "x", "")}
    record = Record("person", CrmId("1"), {"name": held, "job": "CTO"})
    assert holds_all(MAPPING, sent, {"name": replaced}, record) is arrived
    assert not holds_all(MAPPING, sent, {"name": replaced}, replace(record, fields={"name": held, "job": "CEO"}))


def test_an_update_of_a_field_that_the_answer_lacks() -> None:
    """What is not shown is not denied; and what was there before need not be known."""
    sent = {"name": Pair(None, "Ann Lee", "")}
    assert holds_all(MAPPING, sent, {}, Record("person", CrmId("1"), {"job": "x"}))
    assert holds_all(MAPPING, sent, {}, Record("person", CrmId("1"), {"name": "ANN LEE"}))
    assert not holds_all(MAPPING, {"name": Pair(None, None, "")}, {}, Record("person", CrmId("1"), {"name": "Ann"}))


def test_nothing_to_compare() -> None:
    """A create whose lines are all gone from the mapping resembles nothing."""
    nothing = replace(MAPPING, lines=(), constants=())
    assert resemblance(nothing, {}, Record("person", CrmId("1"), {}), NOW) == Resemblance()


BOTH_WAYS = replace(MAPPING, lines=tuple(replace(line, direction=Direction.BOTH) for line in MAPPING.lines))
ROW: Mapping[str, str | None] = {"name": "Ann", "job": "CTO", "score": "5", "owner": "ana@acme.test"}
RECORD: Mapping[str, Json] = {"name": "Ann", "job": "CTO", SCORE: 5, "owner_id": 1}


@pytest.mark.parametrize(
    ("columns", "fields", "same"),
    [
        pytest.param({}, {}, True, id="all of it"),
        pytest.param({}, {"name": "Bob", "job": "CEO"}, True, id="half of it"),
        pytest.param({}, {"name": "Bob", "job": "CEO", SCORE: 6}, False, id="less than half"),
        pytest.param({"score": None}, {"name": "Bob", "job": "CEO"}, False, id="less than half of what both fill"),
        pytest.param({"score": None, "owner": None}, {"name": "Bob"}, True, id="half of what both fill"),
        pytest.param({"score": None}, {"name": "Bob", "owner_id": None}, True, id="either side may lack one"),
        pytest.param({"company_id": "5"}, {"name": "Bob", "job": "CEO", "org_id": 13}, True, id="references aside"),
        pytest.param(dict.fromkeys(ROW), {}, False, id="an empty row"),
        pytest.param({}, dict.fromkeys(RECORD), False, id="an empty record"),
    ],
)
def test_a_row_and_a_record_that_are_alike(
    columns: Mapping[str, str | None],
    fields: Mapping[str, Json],
    same: bool,  # noqa: FBT001
) -> None:
    """They say the same in half of the lines that both fill; two that share nothing are strangers."""
    row, record = Row(AppKey("1"), {**ROW, **columns}), Record("person", CrmId("1"), {**RECORD, **fields})
    assert alike(MAPPING, row, record) is same
    assert alike(BOTH_WAYS, row, record) is same
