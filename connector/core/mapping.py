"""What an admin wrote, validated: the closed grammar of a mapping set as plain values.

Made by `config` from YAML, joined with both schemas by `bind`. Positions travel along, so that every later complaint can
point at file, line and column.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from connector.core.model import Json


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a mapping file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing an admin should mend: where, what, and what would be right."""

    at: Position
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.at}: {'warning: ' if self.warning else ''}{self.message}"


class Direction(StrEnum):
    """Which way values may flow, named from the app's side."""

    RECEIVE = "receive"
    SEND = "send"
    BOTH = "both"
    NONE = "none"

    @property
    def receives(self) -> bool:
        """True when the CRM's value may reach the app."""
        return self in (Direction.RECEIVE, Direction.BOTH)

    @property
    def sends(self) -> bool:
        """True when the app's value may reach the CRM."""
        return self in (Direction.SEND, Direction.BOTH)

    def within(self, outer: Direction) -> Direction:
        """The directions that both allow."""
        receives, sends = self.receives and outer.receives, self.sends and outer.sends
        if receives:
            return Direction.BOTH if sends else Direction.RECEIVE
        return Direction.SEND if sends else Direction.NONE


class Conflict(StrEnum):
    """Who wins when both sides changed one line."""

    LAST_UPDATED = "last_updated"
    CRM = "crm"
    APP = "app"
    REVIEW = "review"


class Empty(StrEnum):
    """What an empty string means: nothing said, or clear the other side."""

    KEEP = "keep"
    CLEAR = "clear"


class TooLong(StrEnum):
    """What happens to a text longer than its target takes."""

    HOLD = "hold"
    CUT = "cut"


class DeletePolicy(StrEnum):
    """What a deletion on one side does to the other."""

    DELETE = "delete"
    SET = "set"
    UNLINK = "unlink"
    NONE = "none"


class OnLeave(StrEnum):
    """What happens to a link whose record leaves the filter."""

    FREEZE = "freeze"
    UNLINK = "unlink"
    DELETE = "delete"


class Rollout(StrEnum):
    """How much of a mapping is in force."""

    OBSERVE = "observe"
    RECEIVE = "receive"
    FULL = "full"


class Keyword(StrEnum):
    """The two unquoted words of `set:`."""

    NOW = "now"
    NULL = "null"


SetValue = Json | Keyword


@dataclass(frozen=True, slots=True)
class FieldName:
    """A CRM field as written: a built-in API name, a custom field's name, or `{key: …}`."""

    name: str
    by_key: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A Jinja2 source over one side's record."""

    source: str


@dataclass(frozen=True, slots=True)
class LineSpec:
    """One field rule as written. Either side is a tuple of names or a template; `direction` is not yet narrowed."""

    at: Position
    column: tuple[str, ...] | Template
    crm: tuple[FieldName, ...] | Template | None
    direction: Direction | None = None
    converter: str | None = None
    values: Dict[str, str] = field(default_factory=dict)
    link: str | None = None
    conflict: Conflict | None = None
    empty: Empty = Empty.KEEP
    too_long: TooLong = TooLong.HOLD


class Test(StrEnum):
    """The comparisons of `only:`."""

    ANY_OF = "any_of"
    PRESENT = "present"
    ABSENT = "absent"
    NOT = "not"
    BETWEEN = "between"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of `only:`.

    `operands`: the values of any_of and not; (from, to) of between, None = open end; the mapping's name of in.
    """

    at: Position
    name: str
    test: Test
    operands: tuple[Json, ...] = ()
    key: str | None = None
    """Of a bound condition on a CRM field: the field's key. Names are not unique."""

    @property
    def place(self) -> str:
        """The field's key, or the column, that it is about."""
        return self.key or self.name


@dataclass(frozen=True, slots=True)
class BrakeSpec:
    """When mass change stops: a count and a share of the mapping's links."""

    records: int = 200
    percent: float = 5.0


@dataclass(frozen=True, slots=True)
class BrakeHalves:
    """What a file says of the brake; each half that it leaves out is inherited."""

    records: int | None = None
    percent: float | None = None

    def over(self, inherited: BrakeSpec) -> BrakeSpec:
        """The whole brake."""
        return BrakeSpec(
            inherited.records if self.records is None else self.records,
            inherited.percent if self.percent is None else self.percent,
        )


@dataclass(frozen=True, slots=True)
class Deletes:
    """The policy per direction; `set` names the columns written when the CRM side is deleted."""

    receive: DeletePolicy = DeletePolicy.UNLINK
    send: DeletePolicy = DeletePolicy.NONE
    set: Dict[str, SetValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Backfill:
    """What fetch-all and full sweeps send of rows older than the triggers. `since` is an ISO date."""

    all: bool = True
    since: str | None = None


@dataclass(frozen=True, slots=True)
class MappingSpec:
    """One file: a table against a CRM object. `keys` gives the position of each top-level key for later complaints."""

    name: str
    at: Position
    object: str
    schema: str
    table: str
    key: str
    direction: Direction
    lines: tuple[LineSpec, ...]
    conflict: Conflict = Conflict.LAST_UPDATED
    match: tuple[tuple[str, ...], ...] = ()
    deletes: Deletes = field(default_factory=Deletes)
    only_receive: tuple[Condition, ...] = ()
    only_send: tuple[Condition, ...] = ()
    on_leave: OnLeave = OnLeave.FREEZE
    backfill: Backfill = field(default_factory=Backfill)
    rollout: Rollout = Rollout.FULL
    set_crm: Dict[str, SetValue] = field(default_factory=dict)
    set_app: Dict[str, SetValue] = field(default_factory=dict)
    updated_at: str | None = None
    brake: BrakeHalves = field(default_factory=BrakeHalves)
    keep: tuple[str, ...] = ()
    keys: Dict[str, Position] = field(default_factory=dict)


class Access(StrEnum):
    """What the connection may do to the CRM."""

    READ_WRITE = "read_write"
    READ_ONLY = "read_only"


class Webhooks(StrEnum):
    """How webhook subscriptions are made."""

    AUTO = "auto"
    MANUAL = "manual"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """Seconds between sweeps; `recent` None = auto."""

    recent: float | None = None
    full: float = 86_400.0


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """`daily` tokens, None = learnt from the CRM; `reserve` is the share kept for live work, 0…1."""

    daily: int | None = None
    reserve: float = 0.2


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """connection.yaml. `credentials` and `url` are references (`env:NAME`, `file:/path`) or literals, not yet resolved.

    `keys` gives the position of each key for later complaints.
    """

    name: str
    at: Position
    crm: str
    credentials: Dict[str, str] = field(repr=False)
    url: str | None = None
    access: Access = Access.READ_WRITE
    sweep: SweepSpec = field(default_factory=SweepSpec)
    brake: BrakeSpec = field(default_factory=BrakeSpec)
    budget: BudgetSpec = field(default_factory=BudgetSpec)
    identity_field: str | None = "Connector ID"
    webhooks: Webhooks = Webhooks.AUTO
    keys: Dict[str, Position] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class MappingSet:
    """A directory: one connection and its mappings in file order. `version` is a digest of the files' content."""

    connection: ConnectionSpec
    mappings: tuple[MappingSpec, ...]
    version: str


CRMS: Final = ("pipedrive",)
OBJECTS: Final = ("organization", "person", "deal", "lead", "activity", "note", "product", "user", "pipeline", "stage")
