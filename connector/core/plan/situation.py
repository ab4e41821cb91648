"""Everything that was observed about one link: what a plan is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from connector.core.line import BoundMapping, Refs
from connector.core.merge import Parent
from connector.core.model import AppKey, Clocks, Json, Link, LinkId, Observed, Row, Undo
from connector.core.schema import Metadata
from connector.core.unseen import Heard


class Kin(StrEnum):
    """What a record is that carries the key of a row which is linked to another record.

    copy: a person duplicated that record · twin: an earlier create of ours for that row, late or restored.
    """

    COPY = "copy"
    TWIN = "twin"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record or row of the other side with an equal match key.

    `owner`: the other link, both of whose sides live, to which it belongs. `restore`: of a row whose record was deleted,
    what `deletes.receive` wrote into it. `widowed`: it is such a row.
    """

    key: str
    owner: LinkId | None = None
    restore: Mapping[str, Undo] = field(default_factory=dict)
    widowed: bool = False

    @property
    def linked(self) -> bool:
        """True when it belongs to another."""
        return self.owner is not None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the connection already knows.

    Nothing is sent before a mapping's first fetch-all, and nothing is created
    before the object's first listing is complete.
    """

    sends: bool = True
    listed: bool = True


@dataclass(slots=True)
class Situation:
    """Everything observed about one link.

    `row` None: the app has no such row (when `link.app_key` is known). `crm` None: the CRM side was not looked at,
    because the link has no CRM id.
    """

    mapping: BoundMapping
    link: Link
    row: Row | None
    crm: Observed | None
    metadata: Metadata
    now: datetime
    clocks: Clocks = field(default_factory=Clocks)
    refs: Refs = field(default_factory=Refs)
    unreachable: frozenset[Parent] = frozenset()
    dead: frozenset[Parent] = frozenset()
    candidates: tuple[Candidate, ...] = ()
    rivals: bool = False
    """Another link is creating a record with an equal match key right now."""
    peers: bool = False
    """The half that this one took by a match could as well mean another one: the pair would be a guess."""
    intent_link: LinkId | None = None
    """The link whose open create intent made this CRM half (by identity or fingerprint)."""
    intents_pending: LinkId | None = None
    """The link of an open create intent that may have made this CRM half, and nobody can tell yet."""
    own_key: AppKey | None = None
    """The key of the row that the CRM half was made for and that a restore took away, where no other row can have it."""
    unplaced: str | None = None
    """The gate for which a CRM half waits: it may have been created by what this database has lost."""
    linked_in: Callable[[str, Json], bool] = lambda _mapping, _value: False
    ready: Readiness = field(default_factory=Readiness)
    heard: Heard = field(default_factory=Heard)
    """What events told of our last writes: values of the CRM that these put away before anybody had seen them."""
    oscillating: frozenset[str] = frozenset()
    """Lines of which one more write would go on with an oscillation."""
    kin: Kin | None = None
    merging: LinkId | None = None
    """The link of a row that will follow to this CRM half, into which its record was merged."""
    leaning: LinkId | None = None
    """Of a record that is gone and whose row may go: a link whose row refers to that one, and may to another by now."""
    unmoved: bool = False
    """Those that lean on it have had their time."""
    contested: bool = False
    """The record was merged into one whose row holds unsent edits, and nobody has settled it."""
    evidence: bool = False
    """A delete event was received for the CRM record."""
    heir: str | None = None
    """The other mapping whose record this one is now that it does not pass the filter of its own."""
    newer: bool = False
    """Of a tombstone: the record is certainly newer than it was when a side was deleted."""
    siblings: Sequence[BoundMapping] = ()
    """The other mappings of the object that share the table, but for those by which the row has a record of its own."""
    owner: str | None = None
    """Of a row without a record: the mapping among those by which it has one, or will have."""
    left_behind: Sequence[Link] = ()
    """The links of this table that the CRM half had left for other mappings, the newest first."""
    braked: frozenset[str] = frozenset()
    """What the brake stops, as `Plan.words` spells it: lines that would do it wait, the others go on."""
