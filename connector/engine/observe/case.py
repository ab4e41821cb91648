"""A case: one claimed link on its way through a reconcile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from connector.core.line import BoundMapping
from connector.core.match import MatchKey
from connector.core.model import CrmId, Gone, Link, LinkId, Observed, Row, Side
from connector.core.plan import Candidate, Effect, Situation
from connector.engine.context import Rules
from connector.store.intents import Intent
from connector.store.work import Item

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
REFUSED, FOREIGN_KEY = "row_refused", "23503"
TAKEN = Gone("merged")
"""What a record is to the second row on one survivor."""
RecordKeys = Mapping[str, Mapping[bytes, MatchKey]]
"""The match keys of a record by mapping and keyed hash."""


@dataclass(slots=True)
class Case:
    """One claimed link on its way through a reconcile."""

    item: Item
    link: Link
    rules: Rules
    read_at: datetime
    """What was committed from then on is not in what was observed."""
    mapping: BoundMapping | None = None
    row: Row | None = None
    crm: Observed | None = None
    situation: Situation | None = None
    leftovers: Sequence[Intent] = ()
    known_keys: RecordKeys = field(default_factory=dict)
    """Of the page's record, as its page has found them."""
    keys: Sequence[MatchKey] = ()
    hashes: Sequence[bytes] = ()
    candidates: tuple[Candidate, ...] = ()
    peers: bool = False
    contested: bool = False
    moved: bool = False
    """The link follows to the record into which its own was merged."""
    nameless: bool = False
    """The record that we made was merged into another before its answer was heard: nobody has told its id."""
    leaning: Sequence[LinkId] = ()
    """Of a row that goes with its record: the links of rows that refer to it, and may refer to another one by now."""
    referring: Sequence[LinkId] = ()
    """Of a row whose record has gone and that gets another one: the links of rows that refer to it, and name that record."""
    adopted: Side | None = None
    confirmed: frozenset[tuple[Side, Effect]] = frozenset()
    """Effects that use up what a person confirmed in `fetch-all`, once they have happened."""
    braked: frozenset[str] = frozenset()
    """What the brake stops of it, as `Plan.words` spells it."""
    let_go: frozenset[tuple[Side, Effect]] = frozenset()
    """Effects that the brake had stopped and a person released."""
    fresh: bool = True
    """False when the record came from a page: it may not be the ground of a send."""
    new: bool = False
    """True while the link is not stored: a page is the first to meet the record."""


def key_refused(item: Item) -> bool:
    """True when a foreign key refused the row at the last look."""
    return (item.cause or "").startswith(f"{REFUSED}:{FOREIGN_KEY}")


def age(case: Case) -> tuple[int, str]:
    """Sorts the CRM's records by their ids, as they were made."""
    return int_or(case.link.crm_id) if case.link.crm_id is not None else (0, "")


def int_or(crm_id: CrmId) -> tuple[int, str]:
    """Sorts numeric ids as numbers."""
    return (int(crm_id), "") if _NUMBER.fullmatch(crm_id) else (0, crm_id)
