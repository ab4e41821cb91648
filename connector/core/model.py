"""The words of the engine as types: sides, lanes, records, links, bases.

Shapes only; nothing here decides. A CRM id and an application key are always text, whatever the column or the API calls
them. `Json` is what a field or a base holds: JSON values, with `ABSENT` for "was not in the payload", which is neither
null nor empty. What a page holds by the hundreds (records, rows, links) is not frozen, which would double the time to make
it; nobody changes one all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, NewType

AppKey = NewType("AppKey", str)
CrmId = NewType("CrmId", str)
LinkId = NewType("LinkId", int)


Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Absent(Enum):
    """The type of `ABSENT`: a field that the payload did not carry. No statement about its value."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
CrmValue = Json | Literal[Absent.ABSENT]


class Side(StrEnum):
    """One of the two parties of an agreement."""

    APP = "app"
    CRM = "crm"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.CRM if self is Side.APP else Side.APP


class Lane(IntEnum):
    """Who asked for the work; lower numbers go first."""

    MANUAL = 0
    LIVE = 1
    SWEEP = 2
    FETCH_ALL = 3


class LinkState(StrEnum):
    """The life of a link.

    open: one side known · linked: both · excluded: a half that a filter keeps out · left_out: an old row that
    `backfill` leaves alone · frozen: left the filter, both stay · deleted: a side was deleted, `set`/delete applied
    · unlinked: kept apart until a person pairs them again. The last two are tombstones.
    """

    OPEN = "open"
    LINKED = "linked"
    EXCLUDED = "excluded"
    LEFT_OUT = "left_out"
    FROZEN = "frozen"
    DELETED = "deleted"
    UNLINKED = "unlinked"

    @property
    def tombstone(self) -> bool:
        """True when the link only remembers that its two sides were one."""
        return self in (LinkState.DELETED, LinkState.UNLINKED)


@dataclass(slots=True)
class Record:
    """A CRM record as read: `fields` by field key (built-in name or custom key), custom fields flat among them.

    `version` is opaque and only the adapter compares it; `modified_at` is the CRM's clock; `identity` is the text of
    the identity field, None where the object has none or it is empty.
    """

    object: str
    id: CrmId
    fields: Mapping[str, Json]
    version: str | None = None
    modified_at: datetime | None = None
    created_at: datetime | None = None
    identity: str | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """Positive evidence that a record was deleted; `proof` names it (`is_deleted`, `event+404`, …)."""

    proof: str


@dataclass(frozen=True, slots=True)
class NotVisible:
    """The CRM did not answer for the id: deleted or invisible, nobody can tell."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The record was merged into another one."""

    to: CrmId


Observed = Record | Gone | NotVisible | Moved


@dataclass(slots=True)
class Row:
    """An application's row: `columns` in PostgreSQL's own text spelling (arrays and json as JSON text), None for null."""

    key: AppKey
    columns: Mapping[str, str | None]


class Pair(NamedTuple):
    """What both sides last agreed on for one line, each in its own spelling."""

    app: Json
    crm: Json
    rule: str = ""


Base = Mapping[str, Pair]


class Undo(NamedTuple):
    """A column that `deletes.set` wrote: what it held before, and what it held then."""

    was: str | None
    wrote: str | None


class Sent(NamedTuple):
    """A line of a write, in the CRM's spelling: what was read before, and what was stored."""

    seen: Json
    sent: Json


@dataclass(frozen=True, slots=True)
class Write:
    """An update that we sent, by line.

    `at`: when at the earliest it was applied, `until`: when at the latest, since another one followed; seconds of the
    epoch by the CRM's clock. A line whose value was only sent along with others holds the same twice.
    """

    at: float
    lines: Mapping[str, Sent]
    until: float | None = None


@dataclass(frozen=True, slots=True)
class OpenConflict:
    """Both sides have changed a line, and a person is to say which value stays. Times are by our clock, where known."""

    app: Json
    crm: Json
    since: datetime
    app_at: datetime | None = None
    crm_at: datetime | None = None
    overwritten: bool = False
    """The CRM does not hold its value any more: our write put it away before anybody had seen it."""
    keep: Side | None = None
    """The side that a person has chosen, for exactly these values."""

    @property
    def mark(self) -> str:
        """What tells these two values from others without showing them."""
        return blake2b(json.dumps([self.app, self.crm], sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(slots=True)
class Link:
    """This row is that CRM record. `base` is keyed by line name; a half-open link lacks one of the two keys."""

    id: LinkId
    object: str
    mapping: str | None
    app_key: AppKey | None
    crm_id: CrmId | None
    state: LinkState
    origin: Side
    base: Base = field(default_factory=dict)
    restore: Mapping[str, Undo] = field(default_factory=dict)
    """Of a row whose record was deleted, by column."""
    committed_at: datetime | None = None
    version: str | None = None
    held: Mapping[str, str] = field(default_factory=dict)
    """Line → cause of the values that could not move."""
    conflicts: Mapping[str, OpenConflict] = field(default_factory=dict)
    """By line: what a person is to settle."""
    died: Side | None = None
    """Of a tombstone: the side that was deleted."""
    released: bool = False
    """Its record belongs to another mapping now; taken again when the record comes back."""
    sent: Sequence[Write] = ()
    """Our last writes of which no event has told yet what they put away, the newest last."""
    refused: Mapping[str, Json] = field(default_factory=dict)
    """By line: what both sides held when the CRM refused the value."""
    lost_since: datetime | None = None
    """What was written for it since then was lost by a restore, and is not found out yet."""

    @property
    def half(self) -> bool:
        """True while only one side is known."""
        return self.app_key is None or self.crm_id is None

    @property
    def widow(self) -> Side | None:
        """Of a tombstone: the side that lives on, free for another to be paired with."""
        if not self.state.tombstone or self.died is None:
            return None
        return Side.CRM if self.died is Side.APP else Side.APP


@dataclass(slots=True)
class Clocks:
    """When each side of a record last changed, for true conflicts only.

    `app` by column and `crm` by field key hold the times of noticed edits; the `*_record` times are those of the whole
    row and record; `band` is the uncertainty between the two clocks in seconds.
    """

    app: Mapping[str, datetime] = field(default_factory=dict)
    crm: Mapping[str, datetime] = field(default_factory=dict)
    app_record: datetime | None = None
    crm_record: datetime | None = None
    band: float = 1.0
