"""The two schemas as values: what the CRM's fields and the table's columns are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class FieldType(StrEnum):
    """CRM field types, vendor-neutral. The adapter translates its own names into these.

    text, long_text, html: str · integer, number · boolean · date "YYYY-MM-DD" · time "HH:MM[:SS]" · duration "HH:MM[:SS]"
    · datetime RFC 3339 UTC · money {"value", "currency"} · currency str · enum: option id · set: [option id] · user, org,
    person, deal, lead, pipeline, stage: id · emails, phones: [{"value", "label", "primary"}] · address {"value", …parts}
    · key: one of the option keys as text (activity type, deal status) · id: the record's own id · other: not convertible.
    """

    TEXT = "text"
    LONG_TEXT = "long_text"
    HTML = "html"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    DATETIME = "datetime"
    MONEY = "money"
    CURRENCY = "currency"
    ENUM = "enum"
    SET = "set"
    USER = "user"
    ORG = "org"
    PERSON = "person"
    DEAL = "deal"
    LEAD = "lead"
    PIPELINE = "pipeline"
    STAGE = "stage"
    EMAILS = "emails"
    PHONES = "phones"
    PHONE = "phone"
    ADDRESS = "address"
    KEY = "key"
    ID = "id"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of an enum or set field. `id` is what records hold, as text; `former` labels still find it."""

    id: str
    label: str
    former: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CrmField:
    """A field of a CRM object.

    `key` is what records are keyed by; `name` what people read; `group` names fields that
    travel in one write (`name`, `first_name`, `last_name`).
    """

    key: str
    name: str
    type: FieldType
    custom: bool = False
    writable: bool = True
    options: tuple[Option, ...] = ()
    max_length: int | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline."""

    id: str
    name: str
    pipeline_id: str


@dataclass(frozen=True, slots=True)
class User:
    """A user of the CRM."""

    id: str
    name: str
    email: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Metadata:
    """All definitions of one CRM account: fields by object, pipelines by id, stages, users, default currency."""

    fields: Mapping[str, tuple[CrmField, ...]] = field(default_factory=dict)
    pipelines: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    users: tuple[User, ...] = ()
    identity: Mapping[str, str] = field(default_factory=dict)
    """object → key of its identity field, where it has one."""
    me: str | None = None
    """Id of the user whose credentials are in use."""
    needs: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    """object → fields by key; of each group a new record needs one."""
    read_at: datetime | None = field(default=None, compare=False)
    """When the read of them began; two reads that say the same are equal."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an application's table. `type` is PostgreSQL's `format_type` text; `kind` its family.

    kind: text integer number boolean date time interval timestamp timestamptz uuid json array enum other. Of a domain,
    `base` is the type that it is made of in the end. `number` tells a column from a later one of the same name.
    """

    name: str
    type: str
    kind: str
    nullable: bool = True
    default: str | None = None
    generated: bool = False
    identity: bool = False
    max_length: int | None = None
    base: str = ""
    labels: tuple[str, ...] = ()
    """What an enum may say."""
    readable: bool = True
    writable: bool = True
    """Whether the connector's user may read it, and update it."""
    element: Column | None = None
    """What an array holds, as a column of its own."""

    @property
    def plain_type(self) -> str:
        """The type without its domain."""
        return self.base or self.type

    number: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the catalogue describes it. `references`: column → (schema, table) of its foreign key."""

    schema: str
    name: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()
    references: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    relation: str = "table"
    """table, view or foreign table."""
