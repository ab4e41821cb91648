"""A line ready for work: one field rule joined with both schemas.

`Line` is the only thing merge and plan know about fields. Made by `bind`; its conversions live in `convert`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from connector.core.mapping import (
    Backfill,
    BrakeSpec,
    Condition,
    Conflict,
    Deletes,
    Direction,
    Empty,
    OnLeave,
    Position,
    Problem,
    Rollout,
    SetValue,
)
from connector.core.model import AppKey, CrmId, CrmValue, Json
from connector.core.pins import Pins
from connector.core.schema import CrmField, Table

RETURNED: Final = "~"
"""In a rule, what stands before the number of the line's returns."""


def digest(rule: str) -> str:
    """A rule without the number of returns."""
    return rule.partition(RETURNED)[0]


def returns(rule: str) -> int:
    """How often the line of a rule had returned after it was set aside."""
    return int(rule.partition(RETURNED)[2] or 0)


class HeldError(Exception):
    """This value cannot be converted; the record goes on without it. `cause` is a code, never a value."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class UnresolvedError(Exception):
    """A reference whose other half is not known yet. `mapping` is the target, exactly one key is given."""

    def __init__(self, mapping: str, *, app_key: AppKey | None = None, crm_id: CrmId | None = None) -> None:
        super().__init__(mapping)
        self.mapping, self.app_key, self.crm_id = mapping, app_key, crm_id


@dataclass(frozen=True, slots=True)
class Refs:
    """What values refer to: (target mapping, app key) → CRM id, (target mapping, CRM id) → app key, and the moment."""

    by_app: Mapping[tuple[str, AppKey], CrmId] = field(default_factory=dict)
    by_crm: Mapping[tuple[str, CrmId], AppKey] = field(default_factory=dict)
    now: datetime | None = None
    """When the plan is made, in UTC; None where nothing is written."""
    merged: Mapping[tuple[str, AppKey], CrmId] = field(default_factory=dict)
    """By row whose record was merged into another one: the survivor, which has a row of its own."""

    def crm_id(self, mapping: str, key: AppKey) -> CrmId:
        """The CRM id of a row, or what its record was merged into; UnresolvedError when its link is still half open."""
        found = self.merged.get((mapping, key)) or self.by_app.get((mapping, key))
        if found is None:
            raise UnresolvedError(mapping, app_key=key)
        return found

    def app_key(self, mapping: str, crm_id: CrmId) -> AppKey:
        """The key of the row of a CRM record; UnresolvedError when its link is still half open."""
        found = self.by_crm.get((mapping, crm_id))
        if found is None:
            raise UnresolvedError(mapping, crm_id=crm_id)
        return found


class Converter(Protocol):
    """The conversions of one line. All pure; values are in a side's own spelling.

    App spelling: PostgreSQL text or None for one column, a list of them for several. CRM spelling: what this line reads
    of the record (the primary e-mail, not the array). Errors: HeldError, UnresolvedError.
    """

    def read_app(self, columns: Mapping[str, str | None], /) -> Json:
        """The app's value of the line."""
        ...

    def read_crm(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The CRM's value of the line; ABSENT when the payload lacks the field."""
        ...

    def to_crm(self, app: Json, refs: Refs, /) -> Json:
        """The app's value in the CRM's spelling; null stays null."""
        ...

    def to_app(self, crm: Json, refs: Refs, /) -> Json:
        """The CRM's value in the app's spelling; null stays null."""
        ...

    def write_app(self, app: Json, /) -> Mapping[str, str | None]:
        """Column values that make the row say `app`."""
        ...

    def write_crm(self, crm: Json, current: Mapping[str, Json], /) -> Mapping[str, Json]:
        """Field values that make a record with the fields `current` say `crm`; neighbours in an array stay."""
        ...

    def same_app(self, one: Json, other: Json, /) -> bool:
        """True when two app spellings mean the same ("1.50" and "1.5")."""
        ...

    def same_crm(self, one: Json, other: Json, /) -> bool:
        """True when two CRM spellings mean the same."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One bound line.

    `name` keys the base; `rule` is a hash of what makes the base valid (columns, crm, as, values,
    link, template): another hash means first sight again.
    """

    name: str
    at: Position
    direction: Direction
    columns: tuple[str, ...]
    """Columns it reads (of a template: those it mentions) or writes."""
    fields: tuple[CrmField, ...]
    converter: Converter
    rule: str
    conflict: Conflict
    empty: Empty = Empty.KEEP
    link: str | None = None
    required: bool = False
    """The reference must be there: a NOT NULL column, or the only target of a note."""
    deferred: bool = False
    """A back edge of a reference cycle: written second."""
    readonly_crm: bool = False
    """A CRM field nobody may write (`id`, `add_time`)."""
    template: bool = False


@dataclass(frozen=True, slots=True)
class BoundMapping:
    """A mapping ready for work."""

    name: str
    at: Position
    object: str
    table: Table
    key: str
    direction: Direction
    lines: tuple[Line, ...]
    constants: tuple[Line, ...]
    """`set.crm` as send-only lines with a fixed app value: sent on create and kept."""
    conflict: Conflict
    match: tuple[tuple[Line, ...], ...]
    deletes: Deletes
    only_receive: tuple[Condition, ...]
    only_send: tuple[Condition, ...]
    on_leave: OnLeave
    backfill: Backfill
    rollout: Rollout
    set_app: Mapping[str, SetValue]
    updated_at: str | None
    brake: BrakeSpec
    aside: tuple[str, ...] = ()
    """Names of the lines that are set aside: both their sides are left as they are."""
    incomplete: bool = False
    """A match key or a required column is set aside with its line: no new pair can be made for now."""

    @property
    def hears(self) -> bool:
        """True when CRM records that are not linked yet concern it: it takes them in, or pairs its rows with them."""
        return self.direction.receives or (self.direction.sends and bool(self.match))

    @property
    def observed(self) -> bool:
        """True when its plans are only looked at: nothing of it is written on either side."""
        return self.rollout is Rollout.OBSERVE

    @property
    def every_line(self) -> tuple[Line, ...]:
        """Lines and constants together."""
        return self.lines + self.constants


@dataclass(frozen=True, slots=True)
class Bound:
    """A set joined with both schemas: usable mappings in file order, and every problem found."""

    mappings: Mapping[str, BoundMapping]
    problems: tuple[Problem, ...]
    pins: Pins = field(default_factory=Pins)

    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Mapping → the others that send rows of the same table as records of the same object, but never the same row."""

    def siblings(self, mapping: BoundMapping) -> Sequence[BoundMapping]:
        """The mappings to which a row of this one can go over, in file order."""
        others = self.kinds.get(mapping.name)
        return [m for m in self.mappings.values() if m.name in others] if others else ()
