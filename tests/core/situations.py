"""Random lines, clocks, mappings and situations for the laws of merge and plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st

from connector.core.line import BoundMapping
from connector.core.model import (
    AppKey,
    Clocks,
    CrmId,
    Gone,
    Json,
    Link,
    LinkId,
    LinkState,
    Moved,
    NotVisible,
    Observed,
    Pair,
    Record,
    Row,
    Side,
    Undo,
)
from connector.core.plan import Candidate, Kin, Readiness, Situation
from tests.core.people import COLUMNS, CRM_ID, KEY, METADATA, NOW, REFS, mapping

FIELDS: Final = """
fields:
  - {column: name, crm: name}
  - {column: tier, crm: Tier, values: {gold: Gold, silver: Silver}}
  - {column: score, crm: Score}
  - {column: company_id, crm: org_id, link: company}
  - {column: status, crm: job, direction: send}
  - {column: role, crm: Role, direction: receive, empty: clear}
"""
COLUMN_OF: Final = {
    "name": "name", "Tier": "tier", "Score": "score", "org_id": "company_id", "job": "status", "Role": "role"
}  # fmt: skip
LINES: Final = {line.name: line for line in mapping(f"direction: both{FIELDS}").lines}


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one line on either side, conversions that fail among them."""

    app: list[Json]
    crm: list[Json]


_TEXT: Final = Values([None, "", "a", "A", " a ", "b"], [None, "", "a", "A", "a ", "b"])
VALUES: Final = {
    "name": _TEXT,
    "job": _TEXT,
    "Role": _TEXT,
    "Tier": Values([None, "", "gold", "silver", "tin"], [None, 70, "70", 71, 99]),
    "Score": Values([None, "0", "1.5", "1.50", "2"], [None, 0, 1.5, 2, "2"]),
    "org_id": Values([None, "5", "6"], [None, 12, "12", 13]),
}
_TIMES: Final = st.none() | st.integers(-4, 4).map(lambda half: NOW + timedelta(seconds=half / 2))


def _clocks(times: tuple[object, ...]) -> Clocks:
    app, crm, app_record, crm_record = times
    return Clocks(
        {"name": app} if app else {},  # type: ignore[dict-item]
        {"name": crm} if crm else {},  # type: ignore[dict-item]
        app_record,  # type: ignore[arg-type]
        crm_record,  # type: ignore[arg-type]
    )


CLOCKS: Final = st.tuples(_TIMES, _TIMES, _TIMES, _TIMES).map(_clocks)
_HEADS: Final = [
    f"direction: {direction}\nconflict: {conflict}\non_leave: {leave}\ndeletes: {deletes}\n{only}"
    for direction, conflict in (
        ("both", "crm"),
        ("both", "last_updated"),
        ("receive", "app"),
        ("send", "review"),
        ("none", "crm"),
    )
    for leave in ("freeze", "unlink", "delete")
    for deletes in (
        "{receive: delete, send: delete}",
        "{receive: {set: {archived_at: now, owner: gone}}, send: none}",
        "{receive: unlink, send: unlink}",
    )
    for only in ("", "only: {receive: {job: [a, b]}, send: {status: [a, b]}}\n")
]
MAPPINGS: Final = [
    mapping(head + extra + FIELDS) for head in _HEADS for extra in ("", "set: {crm: {owner_id: ana@acme.test}}\n")
]


KIN: Final = st.sampled_from([None, None, *Kin])


def columns() -> st.SearchStrategy[dict[str, Json]]:
    """The columns of some row."""
    return st.fixed_dictionaries({COLUMN_OF[name]: st.sampled_from(values.app) for name, values in VALUES.items()})


def fields() -> st.SearchStrategy[dict[str, Json]]:
    """The fields of some record; some are not in the payload."""
    return st.fixed_dictionaries(
        {"owner_id": st.sampled_from([None, 1, 2])},
        optional={LINES[name].fields[0].key: st.sampled_from(values.crm) for name, values in VALUES.items()},
    )


def rows() -> st.SearchStrategy[Row]:
    """Some row."""
    return columns().map(lambda held: Row(KEY, {c.name: held.get(c.name) for c in COLUMNS}))  # type: ignore[misc]


def records() -> st.SearchStrategy[Record]:
    """Some record."""
    return st.builds(Record, st.just("person"), st.just(CRM_ID), fields(), archived=st.booleans())


def observed() -> st.SearchStrategy[Observed]:
    """Whatever the CRM may answer for an id."""
    return st.one_of(
        records(), records(), st.just(Gone("is_deleted")), st.just(NotVisible()), st.just(Moved(CrmId("9")))
    )


def _base(bound: BoundMapping) -> st.SearchStrategy[dict[str, Pair]]:
    pairs = {
        line.name: st.builds(
            Pair, st.sampled_from(VALUES[line.name].app), st.sampled_from(VALUES[line.name].crm), st.just(line.rule)
        )
        for line in bound.lines
    }
    return st.fixed_dictionaries({}, optional=pairs)


@st.composite
def pairs(draw: st.DrawFn) -> Situation:
    """A row and a record that are linked, under any mapping, in any state that a pair can have."""
    bound = draw(st.sampled_from(MAPPINGS))
    states = st.sampled_from([LinkState.LINKED, LinkState.LINKED, LinkState.FROZEN])
    origin = draw(st.sampled_from(list(Side)))
    link = Link(LinkId(1), "person", "person", KEY, CRM_ID, draw(states), origin, draw(_base(bound)))
    return Situation(bound, link, draw(rows()), draw(records()), METADATA, NOW, draw(CLOCKS), REFS, kin=draw(KIN))


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Anything that could be observed about a link, sensible or not."""
    bound = draw(st.sampled_from(MAPPINGS))
    app_key, crm_id = draw(st.sampled_from([(KEY, CRM_ID), (KEY, None), (None, CRM_ID)]))
    link = Link(
        LinkId(1), "person", "person", app_key, crm_id, draw(st.sampled_from(list(LinkState))),
        draw(st.sampled_from(list(Side))), draw(_base(bound)), restore={"owner": Undo("ann", "gone")},
    )  # fmt: skip
    found = st.builds(Candidate, st.sampled_from(["7", "8"]), st.booleans())
    return Situation(
        bound, link, draw(st.none() | rows()) if app_key else None, draw(observed()) if crm_id else None, METADATA,
        NOW, draw(CLOCKS), REFS,
        candidates=tuple(draw(st.lists(found, max_size=2))),
        rivals=draw(st.booleans()),
        intent_link=draw(st.sampled_from([None, LinkId(4)])),
        intents_pending=draw(st.none() | st.just(LinkId(9))),
        ready=Readiness(draw(st.booleans()), draw(st.booleans())),
        evidence=draw(st.booleans()),
        kin=draw(KIN),
    )  # fmt: skip


__all__ = ["CLOCKS", "LINES", "MAPPINGS", "VALUES", "AppKey", "pairs", "situations"]
